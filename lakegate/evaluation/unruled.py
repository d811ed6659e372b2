"""What got worse beyond chance although no rule of the gate looks at it."""

from collections.abc import Collection, Iterable, Iterator

from lakegate.evaluation.matrix import Cell, CellKind, Matrix
from lakegate.evaluation.metric_words import is_higher_better, metric_words
from lakegate.evaluation.tables import main_metrics
from lakegate.gate_rules import Rule
from lakegate.task_types.protocol import ALL_LABELS

KINDS: Collection[CellKind] = ("all", "old_data", "diff", "slice", "dataset")


def worse_without_a_rule(matrix: Matrix, rules: Iterable[Rule]) -> tuple[str, ...]:
    """Name the metrics of all labels that fell beyond chance in a column where no rule looks at them, the largest loss first.

    Each has an interval of the difference that lies on the worse side as a whole. Nothing corrects for how many there are to
    look at: it is a hint where to look, no verdict.
    """
    ruled = {(rule.metric, cell.name) for rule in rules if (cell := matrix.cell(rule.cell)) is not None}
    looked_at = [cell for cell in matrix.cells if cell.kind in KINDS]
    found = sorted((-loss, words) for cell in looked_at for loss, words in _losses(matrix, cell, ruled))
    return tuple(words for _, words in found)


def _losses(matrix: Matrix, cell: Cell, ruled: Collection[tuple[str, str]]) -> Iterator[tuple[float, str]]:
    """Yield how far the nearer end of the interval is from no change, and the metric in words."""
    for metric in main_metrics([cell]):
        interval = cell.intervals.get("difference", {}).get(metric, {}).get(ALL_LABELS)
        candidate, baseline = cell.value(metric), cell.value(metric, row="baseline")
        if interval is None or candidate is None or baseline is None or (metric, cell.name) in ruled:
            continue
        direction = is_higher_better(metric, matrix.own_metrics)
        loss = 0.0 if direction is None else -interval[1] if direction else interval[0]
        if loss > 0:
            yield loss, f"{metric_words(metric)} on {cell.words} ({baseline:.3f} → {candidate:.3f})"
