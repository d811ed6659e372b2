"""The tables of ``model.toml``; :class:`lakegate.declarations.ModelDeclaration` puts them together."""

import re
from datetime import date
from typing import Annotated, Literal

from pydantic import Field, field_validator

from lakegate.compute_capability import check_demand
from lakegate.cron import check_cron
from lakegate.errors import BadDeclaration
from lakegate.strict import Strict

ModelTask = Literal["detection", "classification", "segmentation"]
Flip = Literal["horizontal", "vertical", "diagonal"]
Precision = Literal["fp32", "fp16", "int8"]
Share = Annotated[float, Field(ge=0, le=1)]
INIT = re.compile(r"random|production|run:[0-9a-f]{10}")
FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
COMPUTE_CAPABILITY = re.compile(r"[1-9]\d?\.\d")


class ModelTable(Strict):
    """Who answers for the model, and what it is for."""

    team: str = ""
    description: str = ""


class DataTable(Strict):
    """Datasets to train and to judge on; ``name:slice`` narrows."""

    train: tuple[str, ...] = Field(min_length=1)
    evaluate: tuple[str, ...] = ()


class ArchitectureTable(Strict):
    """The network, what it predicts, the size of its input, and where its first weights come from.

    ``task`` is the dataset's own where it is left out; models of datasets of keypoints do detection.
    """

    name: str = "tiny-detector"
    task: ModelTask | None = None
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
    """What a training needs; chooses the work pool. ``shard_images``: a comparison computes so many images in one piece."""

    compute_capability: str | tuple[str, ...] = "any"
    memory_gib: float = Field(default=4, gt=0)
    gpus: int = Field(default=1, ge=1, le=64)  # of one machine; each takes its share of every batch
    shard_images: int = Field(default=2000, ge=1)  # where more lack predictions, other workers compute shards of so many

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


class OwnMetricTable(Strict):
    """A metric of the team's own; :mod:`lakegate.evaluation.own_metrics` says how ``package.module:function`` is called.

    ``higher_is_better``: without it a comparison calls no difference better or worse.
    """

    function: str
    higher_is_better: bool | None = None

    @field_validator("function")
    @classmethod
    def _names_a_function(cls, text: str) -> str:
        if not FUNCTION.fullmatch(text):
            raise ValueError(f"'{text}': expected \"package.module:function\"")
        return text


class WaiverTable(Strict):
    """A rule of ``[gate]`` that does not hold back a model, up to and including the day ``expires`` (UTC)."""

    reason: str
    owner: str
    expires: date

    @field_validator("reason", "owner")
    @classmethod
    def _is_said(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("a waiver needs a reason and an owner; write both")
        return text
