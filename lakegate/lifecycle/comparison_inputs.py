"""What a comparison computes on: both models and all versions, brought onto this machine."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakegate.declarations import ModelDeclaration, Precision, model_task
from lakegate.engines.onnx_session import OnnxModel
from lakegate.errors import RegistryError
from lakegate.evaluation.predictions import ModelUnderTest
from lakegate.evaluation.seen_images import perceptual_hashes
from lakegate.lake.client import LakeClient
from lakegate.lake.local import OpenedVersions
from lakegate.lake.local_version import DatasetVersion, LocalVersion
from lakegate.lifecycle.export_run import stored_declaration
from lakegate.lifecycle.judged_file import AS_SERVED, judged_file
from lakegate.lifecycle.starting_run import ancestry
from lakegate.registry import releases, runs
from lakegate.registry.documents import RunReference
from lakegate.settings import Settings
from lakegate.training.record import RunRecord

if TYPE_CHECKING:
    from lakegate.lifecycle.comparison import ComparisonPlan


def require_record(client: LakeClient, model: str, run: str) -> RunRecord:
    """Return the record of a run; raises ``RegistryError`` where there is none."""
    record = runs.find_run(client, model, run)
    if record is None:
        raise RegistryError(f"run {run} of {model} has no record; train it again")
    return record


def versions_of_run(client: LakeClient, model: str, run: str) -> list[DatasetVersion]:
    """Return the versions that a run was trained on, the first one first."""
    return _versions_of(require_record(client, model, run))


def _versions_of(record: RunRecord) -> list[DatasetVersion]:
    return [DatasetVersion(item.dataset, item.tag, item.commit, item.content_digest) for item in record.datasets]


@dataclass(frozen=True)
class ComparisonInputs:
    """What a comparison computes on, on this machine. ``before``: the judged dataset as the baseline knows it."""

    models: tuple[ModelUnderTest, ModelUnderTest | None]  # candidate, baseline
    judged: LocalVersion
    before: LocalVersion | None
    further: dict[str, LocalVersion]


def open_inputs(client: LakeClient, settings: Settings, plan: "ComparisonPlan") -> ComparisonInputs:
    """Bring both models and all versions onto this machine.

    Raises:
        Unattested: a version has no valid attestation.
        RegistryError: a run has no record, or one whose weights it grew from has none.
    """
    opened = OpenedVersions(client, settings)
    judged = opened.version(plan.versions[0])
    old = next((item for item in plan.baseline_versions if item.dataset == plan.versions[0].dataset), None)
    further = {name: opened.version(item) for name, item in (*_other_datasets(plan), *plan.further)}
    candidate = _under_test(client, settings, plan, plan.candidate, plan.declaration, opened, plan.precision)
    baseline = None
    if plan.baseline is not None:
        baseline = _under_test(client, settings, plan, plan.baseline, _deployed(client, plan), opened)
    return ComparisonInputs((candidate, baseline), judged, None if old is None else opened.version(old), further)


def _other_datasets(plan: "ComparisonPlan") -> list[tuple[str, DatasetVersion]]:
    """The further training datasets are judged, too, each as a column of its own."""
    return [(item.dataset, item) for item in plan.versions[1:]]


def _under_test(
    client: LakeClient,
    settings: Settings,
    plan: "ComparisonPlan",
    run: RunReference,
    declaration: ModelDeclaration,
    opened: OpenedVersions,
    precision: Precision = AS_SERVED,
) -> ModelUnderTest:
    records = ancestry(client, plan.model, run.run_id)
    trained_on = [opened.version(item) for item in _versions_of(records[0])]
    task = model_task(declaration, trained_on[0].declaration)
    file = judged_file(client, settings, plan.model, run, precision)
    learned = {item.commit: opened.version(item) for record in records for item in _versions_of(record)}.values()
    images = [version.images[sample.id] for version in learned for sample in version.samples_in(split="train")]
    return ModelUnderTest(
        name=plan.model,
        run_id=run.run_id,
        model_sha256=file.sha256,
        declaration=declaration,
        labels=trained_on[0].declaration.labels,
        load=lambda threads: OnnxModel(file.path, threads),
        trained_on=frozenset(image.sha256 for image in images),
        trained_hashes=frozenset(perceptual_hashes(images, settings).values()),
        size_bytes=file.path.stat().st_size,
        task=task,
    )


def _deployed(client: LakeClient, plan: "ComparisonPlan") -> ModelDeclaration:
    """Return the baseline's declaration; in production it is judged at the thresholds that it was released with."""
    assert plan.baseline is not None
    declaration = stored_declaration(client, plan.model, plan.baseline.run_id)
    standing = releases.in_production(client, plan.model)
    if standing is not None and standing.run.run_id == plan.baseline.run_id:
        return declaration.model_copy(update={"operating": standing.request.operating})
    return declaration
