"""The repository ``models``: runs on branches of their own, stages as branches of pointers, evidence by digest."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from lakegate.canonical import sha256_bytes
from lakegate.errors import PublishConflict, RegistryError, ServiceRefused, VersionNotFound
from lakegate.lake.client import LakeClient
from lakegate.registry.documents import Document, Pointer, Release, Stage

REPOSITORY = "models"
STAGES: tuple[Stage, ...] = ("staging", "production")
EVIDENCE = "evidence"
Kind = TypeVar("Kind", bound=Document)


def ensure_registry(client: LakeClient) -> None:
    """Make the repository with its protected stage branches; safe to repeat."""
    client.ensure_repository(REPOSITORY, protected_branches=("main", *STAGES))
    for branch in (*STAGES, EVIDENCE):
        client.create_branch(REPOSITORY, branch, "main", exist_ok=True)


def read_document(client: LakeClient, ref: str, path: str, kind: type[Kind]) -> Kind | None:
    """Read one document; ``None`` where there is none.

    Raises:
        RegistryError: the file is there and is not such a document.
    """
    try:
        data = client.read(REPOSITORY, ref, path)
    except VersionNotFound:
        return None
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        raise RegistryError(
            f"lakefs://{REPOSITORY}/{ref}/{path} is not a {kind.__name__}: {error}; "
            "it was written by another version of Lakegate or by hand"
        ) from error


def put_evidence(client: LakeClient, files: Mapping[str, bytes | Path], message: str) -> None:
    """Store evidence; files that are there already stay as they are ("no changes" is success)."""
    client.upload_many(REPOSITORY, EVIDENCE, files)
    client.commit(REPOSITORY, EVIDENCE, message, {})


def read_pointer(client: LakeClient, stage: Stage, model: str) -> Pointer | None:
    """Return what is in a stage now; ``None`` where the model was never there."""
    return read_document(client, stage, f"{model}.json", Pointer)


def write_pointer(client: LakeClient, stage: Stage, pointer: Pointer, release: Release | None = None) -> str:
    """Write the pointer on a short branch and merge it, with the release's own document where one is given.

    Two writers of different models both pass; of two writers of the same model the second conflicts.

    Returns:
        The stage's commit after the merge.

    Raises:
        PublishConflict: somebody else moved this model in this stage at the same time.
    """
    files: dict[str, bytes | Path] = {f"{pointer.model}.json": pointer.to_bytes()}
    if release is not None:
        files[f"releases/{release.model}/{release.number}.json"] = release.to_bytes()
    base = client.head(REPOSITORY, stage).id
    move = sha256_bytes(f"{pointer.kind} {pointer.release} {pointer.request_digest}".encode())
    branch = f"move-{pointer.model}-{move[:8]}-{base[:8]}"
    client.create_branch(REPOSITORY, branch, base, exist_ok=True)
    try:
        client.upload_many(REPOSITORY, branch, files)
        message = f"{pointer.kind}: {pointer.model} release {pointer.release} in {stage}"
        client.commit(REPOSITORY, branch, message, {"written_by": pointer.written_by})
        return client.merge(REPOSITORY, branch, stage, message, {"written_by": pointer.written_by})
    except PublishConflict as error:
        raise PublishConflict(
            f"{pointer.model} was moved in {stage} by somebody else at the same time; "
            f"look with `lakegate model status {pointer.model}`, then decide again"
        ) from error
    finally:
        _drop_branch(client, branch)


def _drop_branch(client: LakeClient, branch: str) -> None:
    try:
        client.delete_branch(REPOSITORY, branch)
    except (VersionNotFound, ServiceRefused):
        return  # another process of the same step was quicker
