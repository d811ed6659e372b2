"""The run record: everything that is needed to repeat a run, as one JSON file (``record.json``)."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from lakegate.canonical import exact_json, sha256_file
from lakegate.code_version import CodeVersion
from lakegate.declarations import ModelDeclaration, ModelTask, OperatingTable
from lakegate.detections import POSTPROCESSING_DIGEST
from lakegate.engines.parity import ParityGrid
from lakegate.errors import BadInput
from lakegate.imaging import PREPROCESSING_DIGEST
from lakegate.lake.local_version import DatasetVersion
from lakegate.settings import Settings
from lakegate.task_types.registry import task_type
from lakegate.training.environment import Environment, Strict, read_environment
from lakegate.training.job import FULL_PRECISION, TrainingResult

Origin = Literal["model.toml", "default", "override"]


class DatasetUse(Strict):
    """A version that the run trained on; ``references`` are the lines of ``[data] train`` that name it."""

    dataset: str
    tag: str
    commit: str
    content_digest: str
    references: list[str]
    n_train_samples: int


class Parameter(Strict):
    """An effective parameter and where its value came from."""

    name: str
    value: Any
    origin: Origin


class Artifact(Strict):
    """A file of the run."""

    sha256: str
    size_bytes: int


class RunRecord(Strict):
    """The truth about one run; W&B and Prefect are views of it. Times are UTC, durations in seconds."""

    schema_version: Literal[1] = 1
    run_id: str
    model: str
    created_at: str
    requested_by: str
    requester_is_authenticated: bool = False
    datasets: list[DatasetUse]
    task: ModelTask = "detection"
    labels: list[str]
    declaration_digest: str
    parameters: list[Parameter]
    seed: int
    determinism: str
    code_commit: str
    code_digest: str
    code_is_dirty: bool
    code_patch: str
    code_problem: str
    environment: Environment
    preprocessing_digest: str = PREPROCESSING_DIGEST
    postprocessing_digest: str = POSTPROCESSING_DIGEST
    metrics: dict[str, float]
    history: list[dict[str, float]]
    epochs_run: int
    resumed_from_epoch: int | None
    chosen_epoch: int = 0  # whose weights model.pt holds; 0 in records of versions that kept the last
    chosen_because: str = ""
    start_run: str = ""  # whose weights the training started from
    start_sha256: str = ""  # of that run's model.pt
    precision: str = FULL_PRECISION
    processes: int = 1
    durations_s: dict[str, float]
    peak_memory_bytes: int
    artifacts: dict[str, Artifact]
    parity: ParityGrid | None = None
    notes: list[str]
    flow_run_id: str = ""
    wandb_id: str = ""
    wandb_url: str = ""
    wandb_mode: str = ""
    tracking_error: str = ""

    def to_bytes(self) -> bytes:
        """Serialise with sorted keys; equal records are equal bytes."""
        return exact_json(self.model_dump(mode="json"))

    @classmethod
    def from_bytes(cls, data: bytes, where: str = "record.json") -> "RunRecord":
        """Parse a record; raises ``BadInput`` naming the fields that do not fit."""
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            fields = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'file'}: {item['msg']}" for item in error.errors())
            raise BadInput(f"{where} is not a run record of this version of Lakegate: {fields}") from error

    def save(self, path: Path) -> None:
        """Write the record beside ``path`` and rename it."""
        aside = path.with_name(f".{path.name}.part")
        aside.write_bytes(self.to_bytes())
        aside.replace(path)

    @classmethod
    def load(cls, path: Path) -> "RunRecord":
        """Read a record; raises ``BadInput`` where there is none."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise BadInput(f"{path}: cannot be read ({error.strerror or error}); expected a run record") from error
        return cls.from_bytes(data, str(path))

    def with_export(self, name: str, path: Path, parity: ParityGrid | None, duration_s: float) -> "RunRecord":
        """Return the record with an exported file and its parity grid added."""
        return self.model_copy(
            update={
                "artifacts": {**self.artifacts, name: artifact(path)},
                "parity": parity or self.parity,
                "durations_s": {**self.durations_s, f"export {name}": duration_s},
            }
        )


class Request(Strict):
    """Who asked for a run and under which ids others know it."""

    run_id: str
    requested_by: str
    flow_run_id: str = ""
    wandb_id: str = ""
    wandb_url: str = ""
    wandb_mode: str = ""
    tracking_error: str = ""


def build_record(
    request: Request,
    declaration: ModelDeclaration,
    versions: Sequence[DatasetVersion],
    labels: Sequence[str],
    result: TrainingResult,
    code: CodeVersion,
    settings: Settings,
    seed: int,
    overrides: Mapping[str, float | int | str] | None = None,
    notes: Sequence[str] = (),
    task: ModelTask = "detection",
) -> RunRecord:
    """Gather the record of a finished training.

    Args:
        request: who asked, and the ids of Prefect and W&B.
        declaration: as it was trained, overrides applied.
        versions: the pinned versions, one per dataset.
        labels: in class order.
        result: what ``fit`` returned.
        code: as ``code_version.read_code_version`` found it before the training.
        settings: for the lock file and the thread count.
        seed: that the training used.
        overrides: values that replaced declared ones, by ``"epochs"`` or ``"training.epochs"``.
    """
    return RunRecord(
        **request.model_dump(),
        model=declaration.name,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        datasets=[_dataset_use(item, declaration, result) for item in versions],
        task=task,
        postprocessing_digest=task_type(task).processing_digest(OperatingTable()),
        labels=list(labels),
        declaration_digest=declaration.digest,
        parameters=parameters_of(declaration, overrides or {}, seed),
        seed=seed,
        determinism=result.determinism,
        code_commit=code.commit,
        code_digest=code.digest,
        code_is_dirty=code.is_dirty,
        code_patch=code.patch,
        code_problem=code.problem,
        environment=read_environment(settings, result),
        metrics=dict(result.metrics),
        history=[dict(row) for row in result.history],
        epochs_run=result.epochs_run,
        resumed_from_epoch=result.resumed_from_epoch,
        chosen_epoch=result.chosen_epoch,
        chosen_because=result.chosen_because,
        start_run=result.start.run_id if result.start else "",
        start_sha256=result.start.sha256 if result.start else "",
        precision=result.precision,
        processes=result.processes,
        durations_s=dict(result.durations_s),
        peak_memory_bytes=result.peak_memory_bytes,
        artifacts={path.name: artifact(path) for path in (result.model_path, result.last_path) if path},
        notes=[*result.notes, *notes],
    )


def parameters_of(
    declaration: ModelDeclaration, overrides: Mapping[str, float | int | str], seed: int
) -> list[Parameter]:
    """List the parameters of all tables but ``[model]`` and ``[gate]`` with where each value came from.

    A declaration that is rebuilt with overrides must be rebuilt from ``model_dump(exclude_unset=True)``, or its defaults
    count as written in model.toml.
    """
    result = []
    for table_name in ("data", "architecture", "training", "resources", "export", "operating"):
        table = getattr(declaration, table_name)
        for name, value in table.model_dump(mode="json").items():
            full_name = f"{table_name}.{name}"
            is_set = table_name in declaration.model_fields_set and name in table.model_fields_set
            origin: Origin = "model.toml" if is_set else "default"
            if name in overrides or full_name in overrides:
                origin = "override"
            if full_name == "training.seed" and value != seed:
                value, origin = seed, "override"
            result.append(Parameter(name=full_name, value=value, origin=origin))
    return result


def artifact(path: Path) -> Artifact:
    """Return digest and size of a file."""
    return Artifact(sha256=sha256_file(path), size_bytes=path.stat().st_size)


def _dataset_use(version: DatasetVersion, declaration: ModelDeclaration, result: TrainingResult) -> DatasetUse:
    references = [item for item in declaration.data.train if item.partition(":")[0] == version.dataset]
    return DatasetUse(
        dataset=version.dataset,
        tag=version.tag,
        commit=version.commit,
        content_digest=version.content_digest,
        references=references,
        n_train_samples=result.n_samples.get(version.dataset, 0),
    )
