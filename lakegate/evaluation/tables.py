"""The matrix as rows of text: what the page, the Markdown, the terminal and the Prefect table show."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from lakegate.evaluation.matrix import Cell, Interval, Row
from lakegate.evaluation.metric_words import Directions, hint, is_higher_better, metric_words
from lakegate.gate_rules import LABEL_CELL
from lakegate.task_types.protocol import ALL_LABELS, SIZES

NO_VALUE = "–"
NOT_JUDGED = "not judged"
ORDER = (
    "map50", "map", "accuracy", "macro_f1", "miou", "dice", "recall", "precision",
    "missed_per_image", "false_per_image", "empty_alarm_rate", "calibration_error",
)  # fmt: skip
ERROR_PREFIX = "tide_"
FLIPS = "negative_flip_rate"  # has rows of its own
Change = Literal["better", "worse", "same", ""]


@dataclass(frozen=True)
class Entry:
    """One metric of one cell, as text; ``*_share`` are the lengths of bars, 0..1; intervals are "" where there is none.

    ``is_sure``: there is an interval of the difference, and it does not contain "no change".
    """

    candidate: str
    baseline: str
    difference: str
    change: Change
    candidate_share: float
    baseline_share: float
    candidate_interval: str = ""
    baseline_interval: str = ""
    difference_interval: str = ""
    is_sure: bool = False

    @property
    def change_words(self) -> str:
        """``worse``; ``worse?`` where the interval contains "no change"; ``not judged`` where there is no interval."""
        if self.change in ("same", "") or self.is_sure:
            return self.change
        return f"{self.change}?" if self.difference_interval else NOT_JUDGED


@dataclass(frozen=True)
class MetricRows:
    """One metric over all cells."""

    metric: str
    name: str
    hint: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class FlipRow:
    """One kind of flip over all cells."""

    name: str
    entries: tuple[str, ...]


def metrics_of(cells: Sequence[Cell]) -> list[str]:
    """Return the metrics that some cell holds, in the order in which they are shown."""
    found = dict.fromkeys(name for cell in cells for name in (*cell.candidate, *(cell.baseline or {})) if name != FLIPS)
    return sorted(found, key=lambda name: (ORDER.index(name), "") if name in ORDER else (len(ORDER), name))


def main_metrics(cells: Sequence[Cell]) -> list[str]:
    """Return the metrics of the first table: all but the kinds of errors."""
    return [name for name in metrics_of(cells) if not name.startswith(ERROR_PREFIX)]


def error_metrics(cells: Sequence[Cell]) -> list[str]:
    """Return the metrics that say what fixing one kind of error would gain."""
    return [name for name in metrics_of(cells) if name.startswith(ERROR_PREFIX)]


def sizes_of(cells: Sequence[Cell]) -> list[str]:
    """Return the sizes that some cell tells a metric for."""
    told = {label for cell in cells for by_label in cell.candidate.values() for label in by_label}
    return [size for size in SIZES if size in told]


def shown_cells(cells: Sequence[Cell]) -> list[Cell]:
    """Return the columns that say something: all but those of a label that no test image shows."""
    return [cell for cell in cells if cell.kind != "label" or cell.n_objects.get(ALL_LABELS)]


def label_names(cells: Sequence[Cell]) -> list[str]:
    """Return the labels that these columns are about."""
    return [cell.name.removeprefix(LABEL_CELL) for cell in cells if cell.kind == "label"]


def cell_words(cell: Cell) -> str:
    """Return a column's name as a table shows it."""
    if cell.kind == "superseded":
        return "superseded test samples"
    if cell.kind == "label":
        return f"{cell.words}, known to the {'candidate' if cell.candidate else 'baseline'} only"
    return cell.words


def count_words(cell: Cell, unit: str, label: str = ALL_LABELS) -> str:
    """Return how many images a column has; where the unit is the image and not all of them count there, how many do.

    An image does not count where a model does not know its label, or where the column is about one label.
    """
    n_counted = cell.n_objects.get(label, 0)
    return f"{n_counted:,} of {cell.n_samples:,}" if unit == "image" and n_counted != cell.n_samples else f"{cell.n_samples:,}"


def image_words(cell: Cell, unit: str, label: str = ALL_LABELS) -> str:
    """Return :func:`count_words` with the noun."""
    return f"{count_words(cell, unit, label)} image{'' if cell.n_samples == 1 else 's'}"


def metric_rows(
    cells: Sequence[Cell],
    label: str = ALL_LABELS,
    metrics: Sequence[str] | None = None,
    task: str = "",
    own: Directions | None = None,
) -> list[MetricRows]:
    """Return candidate, baseline and difference of metrics in every cell, for one label, one size or all.

    A metric that no cell can say is left out. Hints are those of the task.

    Args:
        own: for each metric of ``[metrics]`` which direction is good.
    """
    rows = []
    for metric in main_metrics(cells) if metrics is None else metrics:
        pairs = [(cell.value(metric, label), cell.value(metric, label, "baseline")) for cell in cells]
        if all(value is None for pair in pairs for value in pair):
            continue
        top = max([1.0 if _is_share(metric) else 1e-9, *(value or 0 for pair in pairs for value in pair)])
        entries = tuple(_entry(cell, metric, label, top, own or {}) for cell in cells)
        rows.append(MetricRows(metric, metric_words(metric), hint(metric, label, task, own), entries))
    return rows


def flip_rows(cells: Sequence[Cell], label: str = ALL_LABELS) -> list[FlipRow]:
    """Return the counts of flips in every cell; none without a baseline."""
    if all(cell.baseline is None for cell in cells):
        return []
    rows = [
        FlipRow("negative flips: right before, wrong now", tuple(_share_of_units(cell, label) for cell in cells)),
        FlipRow("positive flips: wrong before, right now", tuple(_count(cell, "positive", label) for cell in cells)),
    ]
    if any(cell.n_flips.get("new_false", {}).get(ALL_LABELS) for cell in cells):
        words = "new false ones: only the candidate shows them"
        rows.append(FlipRow(words, tuple(_count(cell, "new_false", label) for cell in cells)))
    return rows


def plain_rows(cells: Sequence[Cell], own: Directions | None = None) -> list[dict[str, str]]:
    """Return one dict per row of the matrix, for a table of a Prefect run or a terminal: metric, of, and one key per column.

    Columns are those of :func:`shown_cells`.
    """
    rows, cells = [], shown_cells(cells)
    for row in (*metric_rows(cells, own=own), *metric_rows(cells, metrics=error_metrics(cells))):
        now = [_with(item.candidate, item.candidate_interval) for item in row.entries]
        rows.append(_plain(cells, row.name, "candidate", now))
        if any(cell.baseline is not None for cell in cells):
            before = [_with(item.baseline, item.baseline_interval) for item in row.entries]
            change = [_with(f"{item.difference} {item.change_words}".strip(), item.difference_interval) for item in row.entries]
            rows += [_plain(cells, row.name, "baseline", before), _plain(cells, row.name, "difference", change)]
    rows += [_plain(cells, row.name, "", list(row.entries)) for row in flip_rows(cells)]
    return rows


def interval_words(interval: Interval | None, decimals: int = 3) -> str:
    """Return ``0.810 to 0.850``; "" where there is none.

    >>> interval_words((-0.0401, 0.02))
    '−0.040 to 0.020'
    """
    return "" if interval is None else " to ".join(f"{side:.{decimals}f}".replace("-", "−") for side in interval)


def _plain(cells: Sequence[Cell], name: str, of: str, texts: Sequence[str]) -> dict[str, str]:
    return {"metric": name, "of": of, **{cell.name: text for cell, text in zip(cells, texts, strict=True)}}


def _with(text: str, interval: str) -> str:
    return f"{text} ({interval})" if interval else text


def _count(cell: Cell, kind: Literal["positive", "new_false"], label: str) -> str:
    return NO_VALUE if cell.baseline is None or cell.kind == "label" else str(cell.n_flips[kind].get(label, 0))


def _share_of_units(cell: Cell, label: str) -> str:
    share = cell.value(FLIPS, label)
    if share is None:
        return NO_VALUE
    told = cell.intervals.get("candidate", {}).get(FLIPS, {}).get(label)
    between = "" if told is None else f", {interval_words((told[0] * 100, told[1] * 100), 1)}"
    return f"{cell.n_flips['negative'].get(label, 0)} ({share * 100:.1f} %{between})"


def _is_share(metric: str) -> bool:
    return not metric.endswith("_per_image")


def _entry(cell: Cell, metric: str, label: str, top: float, own: Directions) -> Entry:
    decimals = 3 if _is_share(metric) else 2
    candidate, baseline = cell.value(metric, label), cell.value(metric, label, "baseline")
    told = {row: cell.intervals.get(row, {}).get(metric, {}).get(label) for row in (*get_args(Row), "difference")}
    difference, change = NO_VALUE, ""
    if candidate is not None and baseline is not None:
        difference, change = _difference(candidate - baseline, is_higher_better(metric, own), decimals)
    of_change = told["difference"]
    return Entry(
        candidate=_text(candidate, decimals),
        baseline=_text(baseline, decimals),
        difference=difference,
        change=change,  # type: ignore[arg-type]
        candidate_share=max(0.0, min(1.0, (candidate or 0) / top)),
        baseline_share=max(0.0, min(1.0, (baseline or 0) / top)),
        candidate_interval=interval_words(told["candidate"], decimals),
        baseline_interval=interval_words(told["baseline"], decimals),
        difference_interval=interval_words(of_change, decimals),
        is_sure=of_change is not None and not of_change[0] <= 0 <= of_change[1],
    )


def _difference(value: float, higher_is_better: bool | None, decimals: int) -> tuple[str, Change]:
    text = f"{abs(value):.{decimals}f}"
    if float(text) == 0:
        return text, "same"
    signed = f"{'+' if value > 0 else '−'}{text}"
    if higher_is_better is None:
        return signed, ""
    return signed, "better" if (value > 0) == higher_is_better else "worse"


def _text(value: float | None, decimals: int) -> str:
    return NO_VALUE if value is None else f"{value:.{decimals}f}"
