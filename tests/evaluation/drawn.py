"""Matrices of planted counts, without images: as many samples, groups and errors as a test wants."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lakegate.evaluation.bootstrap import N_REPLICATES, ResampledCell
from lakegate.evaluation.cell_statistics import FlipStatistics
from lakegate.evaluation.matrix import Cell, CellKind, Coverage, InferenceCount, Matrix, Measured, ModelFacts
from lakegate.evaluation.sums import JoinedStatistics
from lakegate.task_types.protocol import ALL_LABELS, IntArray, Replicates, point_values

MIB = 2**20


@dataclass(frozen=True)
class Shares:
    """One metric: hits over units, each given per sample."""

    metric: str
    hits: Replicates | IntArray
    units: Replicates | IntArray

    @property
    def metrics(self) -> tuple[str, ...]:
        return (self.metric,)

    def values(self, weights_RS: Replicates, only: Collection[str] | None = None) -> dict[str, dict[str, Replicates]]:
        assert only is None or self.metric in only
        units_R = weights_RS @ self.units
        share_R = np.divide(weights_RS @ self.hits, units_R, out=np.full(len(units_R), np.nan), where=units_R > 0)
        return {self.metric: {ALL_LABELS: share_R, "cell": share_R}}


@dataclass(frozen=True)
class Column:
    """What both models hit of the same units, per sample; ``groups`` None: each sample stands alone."""

    candidate: Sequence[float]
    baseline: Sequence[float]
    units: Sequence[float]
    groups: Sequence[str] | None = None
    kind: CellKind = "all"


def a_matrix(
    columns: Mapping[str, Column],
    metric: str = "recall",
    n_replicates: int = N_REPLICATES,
    sizes_mib: tuple[float, float] = (4, 4),
) -> Matrix:
    """A matrix with these columns, by name; a unit that only the baseline hit is a negative flip."""
    made = {name: _column(name, item, metric, n_replicates) for name, item in columns.items()}
    runs = zip(("new", "old"), sizes_mib, strict=True)
    facts = [ModelFacts("counter", run, run * 16, "d", "p", 0.3, int(size * MIB)) for run, size in runs]
    return Matrix(
        task="detection",
        candidate=facts[0],
        baseline=facts[1],
        labels=("cell",),
        runtime="none",
        cells=tuple(cell for cell, _ in made.values()),
        coverage=(Coverage("planted@v2", "c", "d", 0, 0, 0, 0),),
        changes=None,
        flips=(),
        samples={},
        measured=Measured(InferenceCount(0, 0, 0), InferenceCount(0, 0, 0), None),
        resampled={name: drawn for name, (_, drawn) in made.items()},
    )


def _column(name: str, column: Column, metric: str, n_replicates: int) -> tuple[Cell, ResampledCell]:
    now_S, was_S, units_S = (np.asarray(item, np.float64) for item in (column.candidate, column.baseline, column.units))
    lost_S = np.maximum(was_S - now_S, 0)
    flips = FlipStatistics(("cell",), units_S[:, None], lost_S[:, None])
    now, was = JoinedStatistics(Shares(metric, now_S, units_S), flips), Shares(metric, was_S, units_S)
    keys = tuple(f"planted/s{index:04d}" for index in range(len(units_S)))
    drawn = ResampledCell(keys, tuple(column.groups or keys), now, was, n_replicates)
    n_units, n_flips = int(units_S.sum()), int(lost_S.sum())
    cell = Cell(
        name=name,
        kind=column.kind,
        dataset="planted",
        n_samples=len(units_S),
        n_objects={ALL_LABELS: n_units, "cell": n_units},
        candidate=point_values(now, len(units_S)),
        baseline=point_values(was, len(units_S)),
        n_flips={kind: {ALL_LABELS: n_flips, "cell": n_flips} for kind in ("negative", "positive", "new_false")},
        intervals=drawn.intervals(),
    )
    return cell, drawn
