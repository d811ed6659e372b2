"""What the page draws of a whole column: curves and confusion. Which ones there are is up to the task type."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from lakegate.evaluation.judged import JudgedSample
from lakegate.evaluation.matrix import Matrix, Row
from lakegate.task_types.protocol import BoolArray, IntArray
from lakegate.task_types.registry import task_type

MAX_POINTS = 120  # of one curve: more cannot be seen
MAX_GRID = 16  # labels; with more, only the most frequent confusions are listed
MAX_CONFUSIONS = 10
Point = tuple[float, float]
FloatArray64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """One model's line, x and y in 0..1; ``at`` is its point at the operating threshold."""

    row: Row
    points: tuple[Point, ...]
    at: Point | None
    words: str = ""  # what the line is summed up as, "AP 0.81"


@dataclass(frozen=True)
class Chart:
    """The lines of both models; axes from 0 to 1."""

    title: str
    x_words: str
    y_words: str
    curves: tuple[Curve, ...]
    is_diagonal: bool = False  # whether the diagonal (perfect calibration) is drawn, too


@dataclass(frozen=True)
class Confusion:
    """How often each name of the truth (rows) was taken for each name (columns), int64 (R, C), baseline None without one."""

    unit: str
    truths: tuple[str, ...]
    answers: tuple[str, ...]
    candidate: IntArray
    baseline: IntArray | None

    @property
    def is_grid(self) -> bool:
        """Whether it is small enough to be shown whole."""
        return len(self.truths) <= MAX_GRID

    def most_frequent(self) -> list[tuple[str, str, int, int | None]]:
        """Return (truth, answer, count of the candidate, of the baseline) off the diagonal, the largest first."""
        rows = []
        for row, truth in enumerate(self.truths):
            for column, answer in enumerate(self.answers):
                now = int(self.candidate[row, column])
                before = None if self.baseline is None else int(self.baseline[row, column])
                if truth != answer and (now or before):
                    rows.append((truth, answer, now, before))
        return sorted(rows, key=lambda item: (-max(item[2], item[3] or 0), item[0], item[1]))[:MAX_CONFUSIONS]


@dataclass(frozen=True)
class Plots:
    """The first chart is about all labels together; the others are shown on demand."""

    charts: tuple[Chart, ...] = ()
    confusion: Confusion | None = None


@runtime_checkable
class Plotting(Protocol):
    """A task type that has something to draw of a whole column."""

    def plots(self, judged: Sequence[JudgedSample], labels: tuple[str, ...], common: tuple[str, ...]) -> Plots:
        """Return curves and confusion.

        Args:
            judged: the samples of the column, in its order.
            labels: the labels that indices in truths and judgements mean.
            common: those that both models know.
        """
        ...


def plots_of(matrix: Matrix) -> Plots:
    """Return what is drawn of all test samples of the judged version; nothing where the task type has no such thing."""
    task = task_type(matrix.task)
    dataset = matrix.cells[0].dataset
    judged = [item for item in matrix.samples.values() if item.dataset == dataset]
    if not judged or not isinstance(task, Plotting):
        return Plots()
    return task.plots(judged, matrix.labels, common_labels(matrix))


def common_labels(matrix: Matrix) -> tuple[str, ...]:
    """Return the labels that both models know: all but those that stand in a column of their own."""
    alone = {cell.name.removeprefix("label:") for cell in matrix.cells if cell.kind == "label"}
    return tuple(label for label in matrix.labels if label not in alone)


def thinned(points: Sequence[Point], n: int = MAX_POINTS) -> tuple[Point, ...]:
    """Return at most ``n`` of the points, the first and the last among them."""
    if len(points) <= n:
        return tuple(points)
    return tuple(points[round(index)] for index in np.linspace(0, len(points) - 1, n).tolist())


def precision_recall(scores_N: FloatArray64, is_true_N: BoolArray, n_objects: int) -> tuple[FloatArray64, FloatArray64]:
    """Return recall (ascending) and interpolated precision, float64 (N,): the best that is reached at that recall or beyond.

    >>> recall, precision = precision_recall(np.array([.9, .8, .7]), np.array([True, False, True]), 2)
    >>> recall.tolist(), precision.round(2).tolist()
    ([0.5, 0.5, 1.0], [1.0, 0.67, 0.67])
    """
    order = np.argsort(-scores_N, kind="stable")
    n_true_N = np.cumsum(is_true_N[order])
    precision_N = n_true_N / np.arange(1, len(order) + 1)
    best_N: FloatArray64 = np.maximum.accumulate(precision_N[::-1])[::-1]
    return n_true_N / max(n_objects, 1), best_N
