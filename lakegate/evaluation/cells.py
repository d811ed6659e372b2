"""The columns of the matrix: which judged samples stand in which, and what is measured there."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from lakegate.evaluation.bootstrap import ResampledCell
from lakegate.evaluation.cell_statistics import flip_statistics, own_statistics
from lakegate.evaluation.judged import FLIP_KINDS, Flip, FlipKind, JudgedSample
from lakegate.evaluation.judged_sets import Judge, JudgedSet
from lakegate.evaluation.label_space import LabelSpace
from lakegate.evaluation.matrix import Cell, CellKind, Intervals, Row
from lakegate.evaluation.own_metrics import OwnFunction
from lakegate.evaluation.partition import Partition
from lakegate.evaluation.sums import JoinedStatistics
from lakegate.gate_rules import CELL_ALL, CELL_DIFF, CELL_OLD, CELL_SUPERSEDED, LABEL_CELL
from lakegate.task_types.protocol import ALL_LABELS, BoolArray, Replicates, SampleStatistics, TaskType, point_values
from lakegate.task_types.registry import task_type

T = TypeVar("T")
WHO: tuple[Row, Row] = ("candidate", "baseline")


@dataclass(frozen=True)
class Column:
    """Judged samples under one name."""

    name: str
    kind: CellKind
    dataset: str
    samples: list[JudgedSample]


def columns_of(
    judged: JudgedSet, changes: Partition | None, superseded: JudgedSet | None, side: Mapping[str, JudgedSet]
) -> list[Column]:
    """Return the columns with both models: all, old data, the diff, slices, further datasets, what was superseded."""
    dataset = judged.version.version.dataset
    columns = [Column(CELL_ALL, "all", dataset, judged.samples)]
    if changes is not None:
        old = [item for item in judged.samples if changes.change_of[item.sample.id] == "unchanged"]
        new = [item for item in judged.samples if changes.change_of[item.sample.id] != "unchanged"]
        columns += [Column(CELL_OLD, "old_data", dataset, old), Column(CELL_DIFF, "diff", dataset, new)]
    for name in judged.version.declaration.slices:
        inside = {sample.id for sample in judged.version.samples_in(name, split="test")}
        columns.append(Column(name, "slice", dataset, [item for item in judged.samples if item.sample.id in inside]))
    columns += [Column(name, "dataset", item.version.version.dataset, item.samples) for name, item in side.items()]
    if superseded is not None:
        columns.append(Column(CELL_SUPERSEDED, "superseded", dataset, superseded.samples))
    return columns


def flips_of(
    task: TaskType, samples: Mapping[str, JudgedSample], columns: Sequence[Column], space: LabelSpace
) -> tuple[Flip, ...]:
    """Return the flips of these samples, with the columns that they stand in; only labels that all models know can flip."""
    cells_of: dict[str, list[str]] = {key: [] for key in samples}
    for column in columns:
        for item in column.samples:
            if item.key in cells_of:
                cells_of[item.key].append(column.name)
    common = set(space.common)
    found = (task.find_flips(item, space.labels, tuple(cells_of[key])) for key, item in samples.items())
    return tuple(flip for flips in found for flip in flips if flip.label in common)


def make_cell(
    column: Column, flips: Sequence[Flip], judges: Sequence[Judge], space: LabelSpace, own: Mapping[str, OwnFunction]
) -> tuple[Cell, ResampledCell]:
    """Measure both models on the samples of a column, by the labels that both know, and draw the samples again for intervals.

    Args:
        own: the team's own metrics by name.
    """
    keys = {item.key for item in column.samples}
    inside = [flip for flip in flips if flip.sample_key in keys]
    statistics = _statistics(column, inside, judges, space, own)
    drawn = ResampledCell.of(column.samples, statistics[0], statistics[1] if len(statistics) > 1 else None)
    values = [point_values(item, len(column.samples)) for item in statistics]
    cell = Cell(
        name=column.name,
        kind=column.kind,
        dataset=column.dataset,
        n_samples=len(column.samples),
        n_objects=_count_objects(column, judges[0], space, space.is_common),
        candidate=values[0],
        baseline=values[1] if len(values) > 1 else None,
        n_flips=_count_flips(inside, space.labels),
        intervals=drawn.intervals(),
    )
    return cell, drawn


def _statistics(
    column: Column, flips: Sequence[Flip], judges: Sequence[Judge], space: LabelSpace, own: Mapping[str, OwnFunction]
) -> list[SampleStatistics]:
    """Gather the metrics of the task type and the team's own of each model; flips belong to the candidate."""
    found: list[SampleStatistics] = []
    for judge in judges:
        is_baseline = judge is not judges[0]
        task, operating = task_type(judge.model.task), judge.model.declaration.operating
        row = [item.baseline if is_baseline else item.candidate for item in column.samples]
        parts = [
            task.statistics(row, space.labels, judge.view, operating),
            own_statistics(own, column.samples, space.labels, is_baseline),
        ]
        if len(judges) > 1 and not is_baseline:
            units = [task.count_units(item.truth, len(space.labels)) * space.is_common for item in column.samples]
            units_SK = np.array(units, np.int64).reshape(len(units), len(space.labels))
            parts.append(flip_statistics(column.samples, flips, units_SK, space.labels))
        found.append(JoinedStatistics(*parts))
    return found


def label_cells(judged: JudgedSet, judges: Sequence[Judge], space: LabelSpace) -> list[tuple[Cell, ResampledCell]]:
    """Return a column for each label that only one model knows: that model's values on all
    judged samples, and no other's; what is drawn for intervals is of that model, too.
    """
    cells = []
    for number, judge in enumerate(judges):
        labels = space.known_only_by(number)
        if not labels:
            continue
        own = judged.predictions[number]
        row = [judge.judge(own[item.sample.id], item.truth, judge.own_view) for item in judged.samples]
        operating = judge.model.declaration.operating
        statistics = task_type(judge.model.task).statistics(row, space.labels, judge.own_view, operating)
        values = point_values(statistics, len(row))
        intervals = ResampledCell.of(judged.samples, statistics, None).intervals().get("candidate", {})
        for label in labels:
            column = Column(f"{LABEL_CELL}{label}", "label", judged.version.version.dataset, judged.samples)
            shown = _of_label(values, label)
            told: Intervals = {WHO[number]: _of_label(intervals, label)}
            cell = Cell(
                name=column.name,
                kind=column.kind,
                dataset=column.dataset,
                n_samples=len(column.samples),
                n_objects=_count_objects(column, judge, space, np.array([name == label for name in space.labels])),
                candidate=shown if number == 0 else {},
                baseline=shown if number == 1 else {},
                n_flips=_count_flips([], space.labels),
                intervals=told if any(told.values()) else {},
            )
            cells.append((cell, ResampledCell.of(judged.samples, _OneLabel(statistics, label), None)))
    return cells


@dataclass(frozen=True)
class _OneLabel:
    """What one label has of the statistics of all; the members are those of ``SampleStatistics``."""

    statistics: SampleStatistics
    label: str

    @property
    def metrics(self) -> tuple[str, ...]:
        return self.statistics.metrics

    def values(self, weights_RS: Replicates, only: Collection[str] | None = None) -> dict[str, dict[str, Replicates]]:
        return _of_label(self.statistics.values(weights_RS, only), self.label)


def _of_label(values: Mapping[str, Mapping[str, T]], label: str) -> dict[str, dict[str, T]]:
    """Return one label's values as those of the whole column."""
    of_label = {metric: by_label[label] for metric, by_label in values.items() if label in by_label}
    return {metric: {ALL_LABELS: value, label: value} for metric, value in of_label.items()}


def _count_objects(column: Column, judge: Judge, space: LabelSpace, counted: BoolArray) -> dict[str, int]:
    task, n_labels = task_type(judge.model.task), len(space.labels)
    units = sum((task.count_units(item.truth, n_labels) for item in column.samples), np.zeros(n_labels, np.int64))
    return _with_total(dict(zip(space.labels, np.where(counted, units, 0).tolist(), strict=True)))


def _count_flips(flips: Sequence[Flip], labels: Sequence[str]) -> dict[FlipKind, dict[str, int]]:
    return {
        kind: _with_total({label: sum(flip.kind == kind and flip.label == label for flip in flips) for label in labels})
        for kind in FLIP_KINDS
    }


def _with_total(counts: dict[str, int]) -> dict[str, int]:
    return {ALL_LABELS: sum(counts.values()), **counts}
