"""The matrix as rows of text: what the page and the Markdown both show."""

from dataclasses import dataclass
from typing import Literal

from lakegate.evaluation.matrix import SHORT_WORDS, Cell, Matrix
from lakegate.gate_rules import METRICS
from lakegate.task_types.protocol import ALL_LABELS

NO_VALUE = "–"
SHOWN_METRICS = ("map50", "map", "recall", "precision", "missed_per_image", "false_per_image")
HINTS = {
    "map50": "0 to 1, higher is better",
    "map": "stricter on the fit of boxes; higher is better",
    "recall": "share of objects that are found",
    "precision": "share of predictions that are right",
    "missed_per_image": "lower is better",
    "false_per_image": "lower is better",
}
Change = Literal["better", "worse", "same", ""]


@dataclass(frozen=True)
class Entry:
    """One metric of one cell, as text; ``*_share`` are the lengths of bars, 0..1."""

    candidate: str
    baseline: str
    difference: str
    change: Change
    candidate_share: float
    baseline_share: float


@dataclass(frozen=True)
class MetricRows:
    """One metric over all cells."""

    name: str
    hint: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class FlipRow:
    """One kind of flip over all cells."""

    name: str
    entries: tuple[str, ...]


def metric_rows(matrix: Matrix, label: str = ALL_LABELS) -> list[MetricRows]:
    """Return candidate, baseline and difference of every metric in every cell, for one label or all."""
    rows = []
    for metric in SHOWN_METRICS:
        pairs = [(cell.value(metric, label), cell.value(metric, label, "baseline")) for cell in matrix.cells]
        top = 1.0 if not metric.endswith("_per_image") else max([value or 0 for pair in pairs for value in pair] + [1e-9])
        entries = tuple(_entry(metric, candidate, baseline, top) for candidate, baseline in pairs)
        rows.append(MetricRows(SHORT_WORDS[metric], HINTS[metric], entries))
    return rows


def flip_rows(matrix: Matrix, label: str = ALL_LABELS) -> list[FlipRow]:
    """Return the counts of flips in every cell; none without a baseline."""
    if matrix.baseline is None:
        return []
    cells = matrix.cells
    return [
        FlipRow("negative flips: found before, missed now", tuple(_share_of_objects(cell, label) for cell in cells)),
        FlipRow("positive flips: missed before, found now", tuple(str(cell.n_flips["positive"][label]) for cell in cells)),
        FlipRow("new false objects", tuple(str(cell.n_flips["new_false"][label]) for cell in cells)),
    ]


def _share_of_objects(cell: Cell, label: str) -> str:
    share = cell.value("negative_flip_rate", label)
    count = cell.n_flips["negative"][label]
    return NO_VALUE if share is None else f"{count} ({share * 100:.1f} %)"


def _entry(metric: str, candidate: float | None, baseline: float | None, top: float) -> Entry:
    decimals = 2 if metric.endswith("_per_image") else 3
    difference, change = NO_VALUE, ""
    if candidate is not None and baseline is not None:
        difference, change = _difference(candidate - baseline, METRICS[metric].higher_is_better, decimals)
    return Entry(
        candidate=_text(candidate, decimals),
        baseline=_text(baseline, decimals),
        difference=difference,
        change=change,  # type: ignore[arg-type]
        candidate_share=min(1.0, (candidate or 0) / top),
        baseline_share=min(1.0, (baseline or 0) / top),
    )


def _difference(value: float, higher_is_better: bool, decimals: int) -> tuple[str, Change]:
    text = f"{abs(value):.{decimals}f}"
    if float(text) == 0:
        return text, "same"
    return f"{'+' if value > 0 else '−'}{text}", "better" if (value > 0) == higher_is_better else "worse"


def _text(value: float | None, decimals: int) -> str:
    return NO_VALUE if value is None else f"{value:.{decimals}f}"
