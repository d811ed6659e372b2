"""What happened to a model: its runs, its releases, what stands in each stage."""

import re
from collections.abc import Sequence
from typing import Any

from lakegate.errors import VersionNotFound
from lakegate.lake.client import LakeClient
from lakegate.registry import releases, runs
from lakegate.registry.documents import Pointer
from lakegate.registry.store import read_pointer
from lakegate.settings import Settings
from lakegate.training.record import RunRecord

RUN_ID = re.compile(r"[0-9a-f]+")


def run_rows(client: LakeClient, model: str) -> list[dict[str, Any]]:
    """Return one row per committed run, newest first."""
    try:
        names = runs.list_runs(client, model)
    except VersionNotFound:
        return []
    records = [record for name in names if (record := runs.find_run(client, model, name)) is not None]
    rows = [
        {
            "run": record.run_id,
            "trained": record.created_at,
            "on": ", ".join(f"{item.dataset}@{item.tag}" for item in record.datasets),
            "seed": record.seed,
            "kept weights": _kept(record),
            "seconds": round(record.durations_s.get("training", 0.0), 1),
            "code": f"{record.code_commit[:12]}{' + changes' if record.code_is_dirty else ''}",
            "by": record.requested_by,
        }
        for record in records
    ]
    return sorted(rows, key=lambda row: str(row["trained"]), reverse=True)


def _kept(record: RunRecord) -> str:
    """Say of which epoch the weights are, and its loss: on samples that the run did not learn from, where it had such."""
    name = "val_loss" if "val_loss" in record.metrics else "loss"
    loss = f", {name} {record.metrics[name]:.4g}" if name in record.metrics else ""
    return f"epoch {record.chosen_epoch or len(record.history)} of {len(record.history)}{loss}"


def unfinished_runs(settings: Settings, model: str, committed: Sequence[str]) -> list[str]:
    """Return the runs of a model that have a folder on this machine and no record in the registry."""
    names = [path.name.removeprefix(f"{model}-") for path in (settings.home / "runs").glob(f"{model}-*")]
    return sorted(name for name in names if RUN_ID.fullmatch(name) and name not in committed)


def release_rows(client: LakeClient, model: str) -> list[dict[str, Any]]:
    """Return one row per release, newest first."""
    standing = _pointer(client, "production", model)
    rows = []
    for number in reversed(_release_numbers(client, model)):
        release = releases.read_release(client, model, number)
        rows.append(
            {
                "release": number,
                "run": release.run.run_id,
                "on": ", ".join(release.request.versions),
                "verdict": release.request.verdict,
                "approved by": f"{release.decision.approver} ({release.decision.identity})",
                "at": release.decision.decided_at,
                "in production": "yes" if standing is not None and standing.release == number else "",
            }
        )
    return rows


def stage_status(client: LakeClient, model: str) -> dict[str, Any]:
    """Return the release in production, the one waiting in staging (or None), and a sentence about both."""
    production, staging = _pointer(client, "production", model), _pointer(client, "staging", model)
    number = None if production is None else production.release
    waits = staging is not None and staging.release not in _release_numbers(client, model)
    decision = None
    if waits:
        decision = releases.find_decision(client, releases.open_request(client, model))
    open_number = staging.release if staging is not None and waits and decision is None else None
    sentence = f"{model}: " + (
        "nothing is in production yet" if production is None else f"release {number} is in production ({production.kind})"
    )
    if open_number is not None:
        sentence += (
            f"; release {open_number} is in staging and waits for approval: "
            f"lakegate model approve {model} --by NAME --reason TEXT"
        )
    elif decision is not None and decision.decision == "reject":
        sentence += f"; the last proposal was rejected by {decision.approver}: {decision.reason}"
    elif decision is not None and staging is not None:
        sentence += (
            f"; release {staging.release} was approved by {decision.approver} and is not in production yet: "
            f"`lakegate model approve {model} --by {decision.approver} --reason TEXT` goes on with it and asks for no code"
        )
    return {"model": model, "production": number, "staging": open_number, "sentence": sentence}


def _pointer(client: LakeClient, stage: Any, model: str) -> Pointer | None:
    try:
        return read_pointer(client, stage, model)
    except VersionNotFound:
        return None


def _release_numbers(client: LakeClient, model: str) -> list[int]:
    try:
        return releases.release_numbers(client, model)
    except VersionNotFound:
        return []
