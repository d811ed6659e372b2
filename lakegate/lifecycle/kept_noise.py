"""What was measured of a recipe's seed noise, in the evidence under the recipe's digest."""

import json
from dataclasses import asdict
from typing import Any

from lakegate.canonical import exact_json, sha256_bytes
from lakegate.declarations import ModelDeclaration
from lakegate.errors import RegistryError, VersionNotFound
from lakegate.evaluation.seed_noise import NoiseInCell, SeedNoise
from lakegate.lake.client import LakeClient
from lakegate.lifecycle.export_run import stored_declaration
from lakegate.lifecycle.training_run import recipe_digest
from lakegate.registry.store import EVIDENCE, REPOSITORY, put_evidence
from lakegate.training.record import RunRecord


def find_noise(client: LakeClient, record: RunRecord) -> SeedNoise | None:
    """Return what was measured for this run's recipe on its versions; ``None`` where nothing was."""
    try:
        return _read(client.read(REPOSITORY, EVIDENCE, _path(client, record)))
    except VersionNotFound:
        return None


def keep_noise(client: LakeClient, record: RunRecord, noise: SeedNoise) -> None:
    """Keep what was measured for this run's recipe."""
    put_evidence(client, {_path(client, record): exact_json(asdict(noise))}, f"seed noise: {record.model} {record.run_id}")


def _read(data: bytes) -> SeedNoise:
    try:
        content: dict[str, Any] = json.loads(data)
        cells = tuple(NoiseInCell(item["name"], item["n_units"], tuple(item["n_flips"])) for item in content["cells"])
        lists = {name: tuple(content[name]) for name in ("versions", "seeds", "runs")}
        return SeedNoise(**{**content, **lists, "cells": cells})
    except (ValueError, KeyError, TypeError) as error:
        raise RegistryError(f"the seed noise is not of this version of Lakegate ({error}); measure it again") from error


def _path(client: LakeClient, record: RunRecord) -> str:
    versions = sorted(f"{item.dataset}\t{item.content_digest}" for item in record.datasets)
    content = [run_recipe_digest(client, record), versions]
    return f"seed-noise/{record.model}/{sha256_bytes(exact_json(content))}.json"


def run_recipe_digest(client: LakeClient, record: RunRecord) -> str:
    """Return the digest of what shapes a run, without its seed and data."""
    recipe = recipe_digest(run_declaration(client, record))
    return sha256_bytes(f"{recipe} {record.start_sha256}".encode())


def run_declaration(client: LakeClient, record: RunRecord) -> ModelDeclaration:
    """Return the declaration of a run; a run that started from others' weights starts from the same ones again."""
    declaration = stored_declaration(client, record.model, record.run_id)
    if not record.start_run:
        return declaration
    start = declaration.architecture.model_copy(update={"init": f"run:{record.start_run}"})
    return declaration.model_copy(update={"architecture": start})
