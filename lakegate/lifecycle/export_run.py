"""Export a run to ONNX once; nothing is committed unless the exported file computes what the trained network computes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from lakegate.declarations import ModelDeclaration
from lakegate.engines.onnx_export import export_onnx
from lakegate.engines.parity import difference_words
from lakegate.errors import RegistryError, UnknownName, nearest
from lakegate.lake.client import LakeClient
from lakegate.lake.local import open_version
from lakegate.lake.local_version import DatasetVersion
from lakegate.registry import runs
from lakegate.registry.documents import RunReference
from lakegate.settings import Settings
from lakegate.training.record import RunRecord

Say = Callable[[str], None]


@dataclass(frozen=True)
class ExportedRun:
    """A run with its model.onnx."""

    model: str
    reference: RunReference
    record: RunRecord

    def parity_rows(self) -> list[dict[str, object]]:
        """Return the parity grid, one row per batch and size."""
        return [] if self.record.parity is None else [row.model_dump(exclude_none=True) for row in self.record.parity.rows]

    def sentence(self) -> str:
        """Say how closely ONNX follows the trained network."""
        parity = self.record.parity
        if parity is None:
            return "no parity grid was recorded"
        return (
            f"ONNX against the trained network on {parity.n_images} real images: "
            f"{difference_words(parity.worst_boxes_px, parity.worst_scores, 'at most ')}; {parity.atol:g} is allowed"
        )


def export(client: LakeClient, settings: Settings, model: str, run: str, say: Say) -> ExportedRun:
    """Add model.onnx and its parity grid to the run, in one commit.

    Raises:
        UnknownName: no such run. ParityFailed: ONNX computes something else. Unattested: the data is not attested.
    """
    record = _known(client, model, run)
    if runs.find_artifact(client, model, run, runs.ONNX) is None:
        _export(client, settings, model, record)
    else:
        say(f"run {run} is exported already")
    exported = find_export(client, model, run)
    say(exported.sentence())
    return exported


def find_export(client: LakeClient, model: str, run: str) -> ExportedRun:
    """Return a run that was exported.

    Raises:
        UnknownName: no such run. RegistryError: it was not exported yet.
    """
    return ExportedRun(model, runs.reference(client, model, run), _known(client, model, run))


def _known(client: LakeClient, model: str, run: str) -> RunRecord:
    record = runs.find_run(client, model, run)
    if record is None:
        raise UnknownName(f"{model} has no run '{run}'{nearest(run, runs.list_runs(client, model))}")
    return record


def _export(client: LakeClient, settings: Settings, model: str, record: RunRecord) -> None:
    started = time.monotonic()
    declaration = stored_declaration(client, model, record.run_id)
    folder = settings.home / "runs" / f"{model}-{record.run_id}-export"
    folder.mkdir(parents=True, exist_ok=True)
    exported = export_onnx(
        _trained(client, settings, model, record),
        declaration,
        record.labels,
        folder / runs.ONNX,
        _provenance(model, record),
        _images(client, settings, record, declaration.export.batch[2]),
        settings.threads,
        record.task,
    )
    record = record.with_export(runs.ONNX, exported.path, exported.parity, round(time.monotonic() - started, 3))
    files: dict[str, bytes | Path] = {runs.ONNX: exported.path, runs.RECORD: record.to_bytes()}
    runs.commit_run(client, model, record.run_id, files, f"Export {model} run {record.run_id} to ONNX")
    exported.path.unlink(missing_ok=True)
    folder.rmdir()


def stored_declaration(client: LakeClient, model: str, run: str) -> ModelDeclaration:
    """Return the declaration that the run was trained with, not the one in the checkout now."""
    data = client.read("models", runs.run_branch(model, run), runs.DECLARATION)
    return ModelDeclaration.model_validate_json(data)


def _trained(client: LakeClient, settings: Settings, model: str, record: RunRecord) -> Path:
    pinned = RunReference(run_id=record.run_id, commit=runs.run_branch(model, record.run_id), model_sha256="")
    path = runs.fetch_file(client, settings, pinned, runs.CHECKPOINT)
    if path.name != record.artifacts[runs.CHECKPOINT].sha256:
        raise RegistryError(f"{runs.CHECKPOINT} of run {record.run_id} is not the file that its record names; train again")
    return path


def _provenance(model: str, record: RunRecord) -> dict[str, str]:
    versions = ", ".join(f"{item.dataset}@{item.tag} {item.commit}" for item in record.datasets)
    return {"model": model, "run": record.run_id, "datasets": versions, "code_commit": record.code_commit}


def _images(client: LakeClient, settings: Settings, record: RunRecord, count: int) -> list[Path]:
    use = record.datasets[0]
    version = DatasetVersion(use.dataset, use.tag, use.commit, use.content_digest)
    local = open_version(client, settings, version)
    return [image.path for image in islice(local.images.values(), count)]
