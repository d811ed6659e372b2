"""What the page draws of classification and segmentation: how sure against how right, and which label is taken for which."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lakegate.evaluation.classes import calibration_bin, confusion
from lakegate.evaluation.judged import JudgedSample
from lakegate.evaluation.matrix import Row
from lakegate.evaluation.plots import Chart, Confusion, Curve, Plots
from lakegate.evaluation.regions import pixel_confusion
from lakegate.task_types.protocol import IntArray

BACKGROUND = "background"
OTHER = "another label"  # one that only this model knows


def class_plots(judged: Sequence[JudgedSample], labels: tuple[str, ...], common: tuple[str, ...]) -> Plots:
    """Return the calibration of both models, and the confusion of the labels that both know.

    The judgements are :class:`lakegate.evaluation.classes.JudgedClass`.
    """
    rows = _rows(judged)
    curves = tuple(curve for row, items in rows if (curve := _calibration(row, items)) is not None)
    chart = Chart("How sure, and how right", "probability of the named label", "share that is right", curves, is_diagonal=True)
    grids = [confusion(items, len(labels)) for _, items in rows]
    return Plots((chart,) if curves else (), confusion_of("image", grids, labels, [labels.index(label) for label in common]))


def region_plots(judged: Sequence[JudgedSample], labels: tuple[str, ...], common: tuple[str, ...]) -> Plots:
    """Return the confusion of pixels, background first, of the labels that both models know.

    The judgements are :class:`lakegate.evaluation.regions.JudgedRegions`.
    """
    names = (BACKGROUND, *labels)
    grids = [pixel_confusion(items, len(labels)) for _, items in _rows(judged)]
    return Plots((), confusion_of("pixel", grids, names, [0, *(labels.index(label) + 1 for label in common)]))


def _rows(judged: Sequence[JudgedSample]) -> list[tuple[Row, list[Any]]]:
    rows: list[tuple[Row, list[Any]]] = [("candidate", [item.candidate for item in judged])]
    if judged[0].baseline is not None:
        rows.append(("baseline", [item.baseline for item in judged]))
    return rows


def _calibration(row: Row, items: Sequence[Any]) -> Curve | None:
    """Return the share that is right over the mean probability, in bins of equal width; None where nothing was judged."""
    told = [(item.probability, item.is_right) for item in items if item.is_judged]
    if not told:
        return None
    probability_N, is_right_N = np.array(told, np.float64).T
    bin_N = calibration_bin(probability_N)
    places = [bin_N == number for number in np.unique(bin_N)]
    points = [(float(probability_N[here].mean()), float(is_right_N[here].mean())) for here in places]
    return Curve(row, tuple(points), None)


def confusion_of(unit: str, grids: Sequence[IntArray], names: Sequence[str], wanted: Sequence[int]) -> Confusion:
    """Keep the names that are wanted; what was taken for any other one stands in a last column, where there is such a thing."""
    chosen = tuple(names[index] for index in wanted)
    cut = [grid[np.ix_(wanted, wanted)] for grid in grids]
    others = [grid[wanted].sum(axis=1) - kept.sum(axis=1) for grid, kept in zip(grids, cut, strict=True)]
    answers = chosen
    if any(other.any() for other in others):
        answers = (*chosen, OTHER)
        cut = [np.column_stack([kept, other]) for kept, other in zip(cut, others, strict=True)]
    return Confusion(unit, chosen, answers, cut[0], cut[1] if len(cut) > 1 else None)
