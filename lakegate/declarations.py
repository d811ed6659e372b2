"""The two declarations, ``dataset.toml`` and ``model.toml``: one dialect, unknown keys are errors."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from lakegate.canonical import exact_json, sha256_bytes
from lakegate.errors import BadDeclaration, nearest
from lakegate.gate_rules import BUILT_IN_CELLS, METRICS, Rule, parse_rule
from lakegate.model_tables import (
    ArchitectureTable,
    DataTable,
    EngineTable,
    ExportTable,
    Flip,
    ModelTable,
    ModelTask,
    MonitoringTable,
    OperatingTable,
    OwnMetricTable,
    Precision,
    ResourcesTable,
    ScheduleTable,
    ServingTable,
    Share,
    TrainingTable,
    WaiverTable,
)
from lakegate.slices import labels_named, parse_predicate
from lakegate.strict import Strict

__all__ = [
    "ArchitectureTable",
    "DataTable",
    "DatasetDeclaration",
    "EngineTable",
    "ExportTable",
    "Flip",
    "ModelDeclaration",
    "ModelTable",
    "ModelTask",
    "MonitoringTable",
    "OperatingTable",
    "OwnMetricTable",
    "Precision",
    "QualityTable",
    "ResourcesTable",
    "ScheduleTable",
    "ServingTable",
    "SliceTable",
    "SplitTable",
    "Strict",
    "Task",
    "TrainingTable",
    "WaiverTable",
    "declaration_digest",
    "model_task",
    "shared_task",
]

Task = Literal["classification", "detection", "segmentation", "keypoints"]
LEARNT_FROM: dict[ModelTask, tuple[Task, ...]] = {  # datasets whose labels hold what the task needs
    "detection": ("detection", "segmentation", "keypoints"),
    "classification": ("classification",),
    "segmentation": ("segmentation",),
}
METRIC_NAME = re.compile(r"[a-z][a-z0-9_]*")
SLICE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


class SplitTable(Strict):
    """``given`` keeps the export's own lists; ``hash`` draws by group."""

    source: Literal["hash", "given"] = Field(default="hash", alias="from")
    test: Share = 0.2
    val: Share = 0.0
    group: str = "name"

    @model_validator(mode="after")
    def _shares_fit(self) -> "SplitTable":
        if self.test + self.val > 1:
            raise ValueError(f"test = {self.test} and val = {self.val} are more than 1 together")
        return self


class QualityTable(Strict):
    """Limits that a version is judged by; a pair is [lowest, highest]."""

    min_side_px: int | None = Field(default=None, ge=1)
    max_side_px: int | None = Field(default=None, ge=1)
    aspect: tuple[float, float] | None = None
    brightness: tuple[float, float] | None = None
    contrast: tuple[float, float] | None = None
    entropy: tuple[float, float] | None = None
    blur_min: float | None = Field(default=None, ge=0)
    max_empty_share: Share | None = None
    min_objects_per_label: int | None = Field(default=None, ge=1)
    max_label_share: Share | None = None
    min_samples_per_group: int | None = Field(default=None, ge=1)
    max_shift: Share | None = None
    near_duplicate_bits: int = Field(default=4, ge=-1, le=8)  # of 64; -1: only exact copies are looked for

    @model_validator(mode="after")
    def _pairs_ascend(self) -> "QualityTable":
        for name in ("aspect", "brightness", "contrast", "entropy"):
            pair = getattr(self, name)
            if pair is not None and pair[0] > pair[1]:
                raise ValueError(f"{name} = {list(pair)}: the lower limit is above the upper one")
        return self


class SliceTable(Strict):
    """A named subset of samples."""

    where: str

    @field_validator("where")
    @classmethod
    def _is_predicate(cls, text: str) -> str:
        try:
            parse_predicate(text)
        except BadDeclaration as error:
            raise ValueError(str(error)) from error
        return text


class DatasetDeclaration(Strict):
    """``datasets/<name>/dataset.toml``."""

    name: str = ""
    task: Task
    labels: tuple[str, ...] = Field(min_length=1)
    on_bad_sample: Literal["refuse", "quarantine"] = "refuse"
    split: SplitTable = SplitTable()
    rename: dict[str, str] = Field(default_factory=dict)
    quality: QualityTable = QualityTable()
    slices: dict[str, SliceTable] = Field(default_factory=dict)

    @field_validator("labels")
    @classmethod
    def _labels_differ(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(f"labels stand twice: {', '.join(twice)}")
        if any(not label.strip() for label in labels):
            raise ValueError("a label is empty; every label needs a name")
        return labels

    @model_validator(mode="after")
    def _words_are_declared(self) -> "DatasetDeclaration":
        for name, table in self.slices.items():
            if name in BUILT_IN_CELLS or not SLICE_NAME.fullmatch(name):
                raise ValueError(
                    f"[slices.{name}]: a slice is named by small letters, digits, - and _, not {', '.join(BUILT_IN_CELLS)}"
                )
            for label in labels_named(table.where):
                self._check_label(label, f"[slices.{name}] where")
        for old, new in self.rename.items():
            self._check_label(new, f"[rename] {old}")
        return self

    def _check_label(self, label: str, where: str) -> None:
        if label not in self.labels:
            raise ValueError(f"{where}: label '{label}' is not declared{nearest(label, self.labels)}")

    @property
    def digest(self) -> str:
        """SHA-256 of the declaration's content (not of its comments)."""
        return declaration_digest(self)


class ModelDeclaration(Strict):
    """``models/<name>/model.toml``."""

    name: str = ""
    model: ModelTable = ModelTable()
    data: DataTable
    architecture: ArchitectureTable = ArchitectureTable()
    training: TrainingTable = TrainingTable()
    resources: ResourcesTable = ResourcesTable()
    export: ExportTable = ExportTable()
    operating: OperatingTable = OperatingTable()
    gate: dict[str, float] = Field(default_factory=dict)
    waivers: dict[str, WaiverTable] = Field(default_factory=dict)
    metrics: dict[str, OwnMetricTable] = Field(default_factory=dict)
    schedule: ScheduleTable = ScheduleTable()
    monitoring: MonitoringTable = MonitoringTable()
    serving: ServingTable = ServingTable()

    @field_validator("metrics")
    @classmethod
    def _metrics_have_names_of_their_own(cls, metrics: dict[str, OwnMetricTable]) -> dict[str, OwnMetricTable]:
        for name in metrics:
            if name in METRICS or not METRIC_NAME.fullmatch(name):
                why = "is a metric of Lakegate; choose another name" if name in METRICS else "use small letters, digits and _"
                raise ValueError(f"[metrics.{name}]: '{name}' {why}")
        return metrics

    @model_validator(mode="after")
    def _rules_parse(self) -> "ModelDeclaration":
        try:
            keys = [rule.key for rule in self.rules]
        except BadDeclaration as error:
            raise ValueError(str(error)) from error
        for key in self.waivers:
            if key not in keys:
                raise ValueError(f"[waivers.\"{key}\"]: [gate] has no such rule{nearest(key, keys)}")
        return self

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The gate's lines, parsed; raises ``BadDeclaration``."""
        return tuple(parse_rule(key, limit, self.metrics) for key, limit in self.gate.items())

    @property
    def digest(self) -> str:
        """SHA-256 of the declaration's content (not of its comments)."""
        return declaration_digest(self)


def declaration_digest(declaration: Strict) -> str:
    """Return the SHA-256 of everything declared, defaults included, in canonical order."""
    content: dict[str, Any] = declaration.model_dump(mode="json", by_alias=True)
    return sha256_bytes(exact_json(content))


def model_task(model: ModelDeclaration, dataset: DatasetDeclaration) -> ModelTask:
    """Return what a model predicts that trains on a dataset: the declared task, else the dataset's own.

    Raises:
        BadDeclaration: the labels of such a dataset do not say what the declared task has to learn.
    """
    task = model.architecture.task
    if task is None:
        return "detection" if dataset.task == "keypoints" else dataset.task
    if dataset.task not in LEARNT_FROM[task]:
        raise BadDeclaration(
            f"[architecture] task = '{task}' is learnt from datasets of task {' or '.join(LEARNT_FROM[task])}, "
            f"'{dataset.name}' is one of {dataset.task}; leave task out, or train on another dataset"
        )
    return task


def shared_task(model: ModelDeclaration, datasets: Mapping[str, DatasetDeclaration]) -> ModelTask:
    """Return what a model predicts that trains on all of these datasets.

    Raises:
        BadDeclaration: there is no task that all of them are for.
    """
    tasks = {name: model_task(model, dataset) for name, dataset in datasets.items()}
    if len(set(tasks.values())) != 1:
        words = ", ".join(f"{name} is for {task}" for name, task in tasks.items()) or "no dataset is named"
        raise BadDeclaration(f"one model does one task, but {words}; name it as [architecture] task, or leave datasets out")
    return next(iter(tasks.values()))
