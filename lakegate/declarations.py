"""The two declarations, ``dataset.toml`` and ``model.toml``: one dialect, unknown keys are errors."""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from lakegate.canonical import exact_json, sha256_bytes
from lakegate.compute_capability import check_demand
from lakegate.cron import check_cron
from lakegate.errors import BadDeclaration, nearest
from lakegate.gate_rules import BUILT_IN_CELLS, Rule, parse_rule
from lakegate.slices import labels_named, parse_predicate

Task = Literal["classification", "detection", "segmentation", "keypoints"]
Flip = Literal["horizontal", "vertical", "diagonal"]
Precision = Literal["fp32", "fp16", "int8"]
Share = Annotated[float, Field(ge=0, le=1)]
COMPUTE_CAPABILITY = re.compile(r"[1-9]\d?\.\d")
SLICE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
INIT = re.compile(r"random|production|run:[0-9a-f]{10}")


class Strict(BaseModel):
    """Base of every table: unknown keys are refused, values cannot be changed after loading, nan is no number."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)


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


class ModelTable(Strict):
    """Who answers for the model, and what it is for."""

    team: str = ""
    description: str = ""


class DataTable(Strict):
    """Datasets to train and to judge on; ``name:slice`` narrows."""

    train: tuple[str, ...] = Field(min_length=1)
    evaluate: tuple[str, ...] = ()


class ArchitectureTable(Strict):
    """The network, the size of its input, and where its first weights come from."""

    name: str = "tiny-detector"
    input_px: tuple[int, int] = (320, 320)  # height, width
    init: str = "random"  # or "production", or "run:<id>" of a run of this model

    @field_validator("init")
    @classmethod
    def _is_start(cls, text: str) -> str:
        if not INIT.fullmatch(text):
            raise ValueError(f"init = '{text}': expected 'random', 'production' or 'run:<id>', the id of a run of this model")
        return text

    @field_validator("input_px")
    @classmethod
    def _multiple_of_stride(cls, sides: tuple[int, int]) -> tuple[int, int]:
        if any(side < 64 or side % 32 for side in sides):
            raise ValueError(f"input_px = {list(sides)}: both sides (height, width) must be multiples of 32, from 64")
        return sides


class TrainingTable(Strict):
    """How the network is trained."""

    epochs: int = Field(default=20, ge=1)
    batch_size: int = Field(default=8, ge=1)
    seed: int = 0
    learning_rate: float = Field(default=4e-3, gt=0)
    weight_decay: float = Field(default=1e-3, ge=0)
    flips: tuple[Flip, ...] = ("horizontal",)  # mirrored copies that could be real images
    patience: int = Field(default=0, ge=0)  # epochs without a lower validation loss before it stops; 0: never
    ema: float = Field(default=0.0, ge=0, lt=1)  # decay per step of averaged weights, such as 0.999; 0: none
    mixed_precision: Literal["auto", "off"] = "auto"  # bfloat16 on a GPU that has it


class ResourcesTable(Strict):
    """What a training needs; chooses the work pool."""

    compute_capability: str | tuple[str, ...] = "any"
    memory_gib: float = Field(default=4, gt=0)
    gpus: int = Field(default=1, ge=1, le=64)  # of one machine; each takes its share of every batch

    @field_validator("compute_capability", mode="before")
    @classmethod
    def _is_demand(cls, demand: object) -> object:
        return check_demand(demand)


class EngineTable(Strict):
    """One engine that is demanded before production. Limits that are not set are those usual for the precision."""

    compute_capability: str
    precision: Precision = "fp16"
    max_score_error: float | None = Field(default=None, gt=0)
    max_box_error_px: float | None = Field(default=None, gt=0)
    min_agreement: Share | None = None

    @field_validator("compute_capability")
    @classmethod
    def _is_capability(cls, text: str) -> str:
        if not COMPUTE_CAPABILITY.fullmatch(text):
            raise ValueError(f"'{text}': an engine is for one compute capability, written as \"8.6\"")
        return text


class ExportTable(Strict):
    """``batch`` is [min, opt, max]."""

    batch: tuple[int, int, int] = (1, 8, 8)
    parity_atol: float = Field(default=1e-4, gt=0)
    engines: tuple[EngineTable, ...] = ()

    @field_validator("batch")
    @classmethod
    def _ascends(cls, batch: tuple[int, int, int]) -> tuple[int, int, int]:
        if not 1 <= batch[0] <= batch[1] <= batch[2]:
            raise ValueError(f"batch = {list(batch)}: expected 1 <= min <= opt <= max")
        return batch

    @field_validator("engines")
    @classmethod
    def _engines_differ(cls, engines: tuple[EngineTable, ...]) -> tuple[EngineTable, ...]:
        names = [f"{item.precision} for {item.compute_capability}" for item in engines]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"an engine stands twice: {', '.join(twice)}")
        return engines


class OperatingTable(Strict):
    """How predictions are cut where the model is deployed."""

    score_threshold: float = Field(default=0.3, ge=0, le=1)
    nms_iou: float = Field(default=0.5, gt=0, le=1)
    max_objects: int = Field(default=100, ge=1)


class ScheduleTable(Strict):
    """What starts a release by itself: a new version of a dataset of ``[data] train``, and ``retrain``, a cron line (UTC)."""

    on_new_version: bool = True
    retrain: str = ""

    @field_validator("retrain")
    @classmethod
    def _is_cron(cls, line: str) -> str:
        try:
            return check_cron(line) if line.strip() else ""
        except BadDeclaration as error:
            raise ValueError(str(error)) from error


class MonitoringTable(Strict):
    """Which share of the requests in production is kept for monitoring."""

    sampling_ratio: Share = 0.05


class ServingTable(Strict):
    """``accept_interface_change``: why clients may meet other names, shapes, types or labels than now; empty refuses that."""

    accept_interface_change: str = ""


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
    schedule: ScheduleTable = ScheduleTable()
    monitoring: MonitoringTable = MonitoringTable()
    serving: ServingTable = ServingTable()

    @field_validator("gate")
    @classmethod
    def _rules_parse(cls, gate: dict[str, float]) -> dict[str, float]:
        try:
            for key, limit in gate.items():
                parse_rule(key, limit)
        except BadDeclaration as error:
            raise ValueError(str(error)) from error
        return gate

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The gate's lines, parsed."""
        return tuple(parse_rule(key, limit) for key, limit in self.gate.items())

    @property
    def digest(self) -> str:
        """SHA-256 of the declaration's content (not of its comments)."""
        return declaration_digest(self)


def declaration_digest(declaration: Strict) -> str:
    """Return the SHA-256 of everything declared, defaults included, in canonical order."""
    content: dict[str, Any] = declaration.model_dump(mode="json", by_alias=True)
    return sha256_bytes(exact_json(content))
