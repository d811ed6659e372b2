"""Runs: found by what determines them, committed once, read by everybody."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lakegate.canonical import exact_json, sha256_bytes
from lakegate.errors import RegistryError, UnknownName, VersionNotFound, nearest
from lakegate.lake.client import LakeClient
from lakegate.lake.local import fetch_object
from lakegate.lake.local_version import DatasetVersion
from lakegate.registry.documents import RunReference
from lakegate.registry.store import REPOSITORY
from lakegate.settings import Settings
from lakegate.training.record import RunRecord

RECORD, ONNX, CHECKPOINT, DECLARATION = "record.json", "model.onnx", "model.pt", "declaration.json"
LAST_CHECKPOINT = "last.pt"  # of a run whose best epoch was not its last


def run_id(
    recipe_digest: str,
    versions: Sequence[DatasetVersion],
    seed: int,
    code_digest: str,
) -> str:
    """Return the id of the run that these inputs determine: asking twice for the same training is one run."""
    content = {
        "recipe": recipe_digest,
        "versions": sorted(f"{item.dataset}\t{item.content_digest}" for item in versions),
        "seed": seed,
        "code": code_digest,
    }
    return sha256_bytes(exact_json(content))[:10]


def run_branch(model: str, run: str) -> str:
    """Return the run's branch."""
    return f"run-{model}-{run}"


def commit_run(client: LakeClient, model: str, run: str, files: Mapping[str, bytes | Path], message: str) -> str:
    """Add files to the run and commit; the record is sent last, so a killed upload never looks like a run.

    Files of a run are never replaced by other bytes; only the record grows, when an export adds its file to it.

    Returns:
        The commit that holds the run with these files.

    Raises:
        RegistryError: a file of that name is there with other bytes.
    """
    branch = run_branch(model, run)
    client.create_branch(REPOSITORY, branch, "main", exist_ok=True)
    stored = {entry.path: entry.sha256 for entry in client.list_objects(REPOSITORY, branch)}
    for name, data in files.items():
        digest = sha256_bytes(data if isinstance(data, bytes) else data.read_bytes())
        if name != RECORD and name in stored and stored[name] != digest and _is_committed(client, branch, name):
            raise RegistryError(
                f"run {run} of {model} has a '{name}' with other bytes already; runs are immutable: "
                "train again with another seed, or change what determines the run"
            )
    ordered = dict(sorted(files.items(), key=lambda item: item[0] == RECORD))
    client.upload_many(REPOSITORY, branch, {name: data for name, data in ordered.items() if name != RECORD})
    if RECORD in files:
        client.upload_many(REPOSITORY, branch, {RECORD: files[RECORD]})
    return client.commit(REPOSITORY, branch, message, {"model": model, "run": run})


def _is_committed(client: LakeClient, branch: str, name: str) -> bool:
    head = client.head(REPOSITORY, branch).id
    return any(entry.path == name for entry in client.list_objects(REPOSITORY, head, name))


def find_run(client: LakeClient, model: str, run: str) -> RunRecord | None:
    """Return the record of a committed run; ``None`` while there is none."""
    commit = _run_commit(client, model, run)
    if commit is None:
        return None
    try:
        return RunRecord.from_bytes(client.read(REPOSITORY, commit, RECORD))
    except VersionNotFound:
        return None


def find_artifact(client: LakeClient, model: str, run: str, name: str) -> str | None:
    """Return the SHA-256 of a committed file of the run; ``None`` while it is not there."""
    commit = _run_commit(client, model, run)
    if commit is None:
        return None
    for entry in client.list_objects(REPOSITORY, commit, name):
        if entry.path == name:
            return entry.sha256
    return None


def reference(client: LakeClient, model: str, run: str) -> RunReference:
    """Pin an exported run at its newest commit.

    Raises:
        UnknownName: no such run; RegistryError: it was not exported yet.
    """
    commit = _run_commit(client, model, run)
    if commit is None or find_run(client, model, run) is None:
        known = list_runs(client, model)
        raise UnknownName(f"{model} has no run '{run}'{nearest(run, known)}; `lakegate model log {model}` lists them")
    digest = find_artifact(client, model, run, ONNX)
    if digest is None:
        raise RegistryError(f"run {run} of {model} has no {ONNX}; export it first: lakegate model export {model} {run}")
    return RunReference(run_id=run, commit=commit, model_sha256=digest)


def list_runs(client: LakeClient, model: str) -> list[str]:
    """Return the ids of all runs of a model that have a record."""
    prefix = run_branch(model, "")
    names = [name.removeprefix(prefix) for name in client.branches(REPOSITORY, prefix)]
    return [name for name in names if "-" not in name and find_run(client, model, name) is not None]


def fetch_file(client: LakeClient, settings: Settings, run: RunReference, name: str) -> Path:
    """Return a local, checksum-verified copy of a file of the run at its pinned commit."""
    for entry in client.list_objects(REPOSITORY, run.commit, name):
        if entry.path == name:
            return fetch_object(client, settings, REPOSITORY, run.commit, entry)
    raise RegistryError(f"run {run.run_id} has no file '{name}' at commit {run.commit[:12]}")


def _run_commit(client: LakeClient, model: str, run: str) -> str | None:
    try:
        return client.head(REPOSITORY, run_branch(model, run)).id
    except VersionNotFound:
        return None
