"""The regression matrix as data: candidate and baseline (rows) on old data, the diff, slices and further datasets (columns)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from lakegate.declarations import ModelTask
from lakegate.errors import LakegateError
from lakegate.evaluation.judged import Flip, FlipKind, JudgedSample
from lakegate.evaluation.seed_noise import SeedNoise
from lakegate.gate_rules import METRICS
from lakegate.task_types.protocol import ALL_LABELS, Values

if TYPE_CHECKING:
    from lakegate.evaluation.bootstrap import ResampledCell

CellKind = Literal["all", "old_data", "diff", "superseded", "slice", "dataset", "label"]
Row = Literal["candidate", "baseline"]
Interval = tuple[float, float]
Intervals = dict[Literal["candidate", "baseline", "difference"], dict[str, dict[str, Interval]]]  # row -> metric -> label
SHORT_WORDS = {name: metric.short for name, metric in METRICS.items()}


@dataclass(frozen=True)
class Cell:
    """One column: both models on the same samples."""

    name: str
    kind: CellKind
    dataset: str
    n_samples: int
    n_objects: dict[str, int]  # by label; ALL_LABELS for all
    candidate: Values
    baseline: Values | None
    n_flips: dict[FlipKind, dict[str, int]]
    intervals: Intervals = field(default_factory=dict)

    @property
    def words(self) -> str:
        """The column's name in sentences."""
        if self.kind in ("slice", "dataset"):
            return f"{self.kind} {self.name}"
        if self.kind == "label":
            return f"label {self.name.removeprefix('label:')}"
        words = {"all": "all test samples", "old_data": "old data", "diff": "the diff", "superseded": "superseded test samples"}
        return words[self.kind]

    def value(self, metric: str, label: str = ALL_LABELS, row: Row = "candidate") -> float | None:
        """Return one number; None where the cell cannot say it (no objects, no such label, no baseline)."""
        if metric == "negative_flip_rate":
            if self.kind == "label":
                return None  # only one of the models knows it
            n_objects = self.n_objects.get(label, 0)
            flips = self.n_flips["negative"].get(label, 0)
            return flips / n_objects if n_objects and self.baseline is not None and row == "candidate" else None
        values = self.candidate if row == "candidate" else self.baseline
        return None if values is None else values.get(metric, {}).get(label)


@dataclass(frozen=True)
class ModelFacts:
    """Which model it is, and how its predictions are cut."""

    name: str
    run_id: str
    model_sha256: str
    declaration_digest: str
    processing_digest: str
    score_threshold: float
    size_bytes: int


@dataclass(frozen=True)
class Coverage:
    """Which test samples of a dataset were judged, and why some were not: a model trained on the same bytes, or on a picture
    that looks the same (``n_like``), or the image could not be read.
    """

    reference: str
    commit: str
    content_digest: str
    n_test: int
    n_judged: int
    n_trained_on_by_candidate: int
    n_trained_on_by_baseline: int
    n_like_trained_on_by_candidate: int = 0
    n_like_trained_on_by_baseline: int = 0
    n_not_scored: int = 0


@dataclass(frozen=True)
class Changes:
    """Test samples of the judged version by what happened to them since the baseline's version (before exclusions)."""

    since: str  # dataset@tag; "" where the baseline has no version of this dataset
    n_unchanged: int
    n_added: int
    n_relabelled: int
    n_reimaged: int
    n_removed: int


@dataclass(frozen=True)
class Latency:
    """Time of the network and the post-processing for one image, both models measured in turn in one process.

    ``n_images``: how many times, each time both models on one image. The intervals are those of the ratios over these pairs;
    None without a baseline, or where there are too few pairs to draw again.
    """

    n_images: int
    candidate_p50_ms: float
    candidate_p99_ms: float
    baseline_p50_ms: float | None
    baseline_p99_ms: float | None
    p50_ratio_interval: Interval | None = None
    p99_ratio_interval: Interval | None = None

    @property
    def p50_ratio(self) -> float | None:
        """p50 of the candidate over that of the baseline."""
        return self.candidate_p50_ms / self.baseline_p50_ms if self.baseline_p50_ms else None

    @property
    def p99_ratio(self) -> float | None:
        """p99 of the candidate over that of the baseline."""
        return self.candidate_p99_ms / self.baseline_p99_ms if self.baseline_p99_ms else None


@dataclass(frozen=True)
class PeakMemory:
    """By how much resident memory rises for a session and one image, both models measured in turn in one process."""

    candidate_bytes: int
    baseline_bytes: int | None

    @property
    def ratio(self) -> float | None:
        """The candidate's over the baseline's."""
        return self.candidate_bytes / self.baseline_bytes if self.baseline_bytes else None


@dataclass(frozen=True)
class InferenceCount:
    """What judging one model cost: images computed, images from the cache, ONNX Runtime sessions opened for it."""

    n_inferred: int
    n_cached: int
    n_sessions: int


@dataclass(frozen=True)
class Measured:
    """What differs from run to run: no part of the evidence digest."""

    candidate: InferenceCount
    baseline: InferenceCount | None
    latency: Latency | None
    memory: PeakMemory | None = None


@dataclass(frozen=True)
class Matrix:
    """The whole comparison. ``samples`` and ``flips`` feed the page; they stay in the order of datasets and sample ids.

    ``labels``: all that a model knows, under their new names. ``incomparable``: why less than what was asked could be
    compared, in words; the verdict is then NOT_ENOUGH_DATA. ``superseded_flips``: on images and labels that are no longer in
    the judged version; their samples go by ``dataset@tag/sample``. ``own_metrics``: for each name in ``[metrics]`` whether
    higher is better, None where that is not said.
    """

    task: ModelTask
    candidate: ModelFacts
    baseline: ModelFacts | None
    labels: tuple[str, ...]
    runtime: str
    cells: tuple[Cell, ...]
    coverage: tuple[Coverage, ...]  # the judged version first
    changes: Changes | None  # None without a baseline
    flips: tuple[Flip, ...]
    samples: dict[str, JudgedSample]  # by dataset/sample
    measured: Measured
    incomparable: str = ""
    superseded_flips: tuple[Flip, ...] = ()
    own_metrics: dict[str, bool | None] = field(default_factory=dict)
    seed_noise: SeedNoise | None = None  # of the baseline's recipe, where it was measured
    resampled: Mapping[str, "ResampledCell"] = field(default_factory=dict, compare=False, repr=False)  # by the cell's name

    def cell(self, name: str) -> Cell | None:
        """Return the column of that name; the name of a dataset answers for its only column."""
        exact = [cell for cell in self.cells if cell.name == name]
        narrowed = [cell for cell in self.cells if cell.kind == "dataset" and cell.dataset == name]
        judged = [cell for cell in self.cells if cell.kind == "all" and cell.dataset == name]
        return next(iter([*exact, *(narrowed if len(narrowed) == 1 else []), *judged]), None)

    def require_cell(self, name: str) -> Cell:
        """Return the column of that name; raises ``LakegateError`` where there is none."""
        cell = self.cell(name)
        if cell is None:
            raise LakegateError(f"the matrix has no column '{name}'; it has {', '.join(item.name for item in self.cells)}")
        return cell
