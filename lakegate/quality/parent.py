"""The version before this one, in numbers: what a shift is measured against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lakegate.quality.image_metrics import ImageMetrics

COMPARED = ("brightness", "contrast", "entropy", "blur", "aspect")


@dataclass(frozen=True)
class ParentVersion:
    """What the newest version before this one looked like."""

    version: str  # the tag
    metrics: tuple[ImageMetrics, ...]
    objects_per_image: tuple[int, ...]
    objects_per_label: dict[str, int]
    samples_per_group: dict[str, int]


def largest_distance(old: Sequence[float], new: Sequence[float]) -> float:
    """Return the Kolmogorov-Smirnov distance of two samples, 0 (alike) to 1 (nothing in common); 0 where one is empty.

    >>> largest_distance([1, 2, 3, 4], [3, 4, 5, 6])
    0.5
    """
    if not len(old) or not len(new):
        return 0.0
    old_N, new_M = np.sort(np.asarray(old, np.float64)), np.sort(np.asarray(new, np.float64))
    places = np.concatenate([old_N, new_M])
    below_old = np.searchsorted(old_N, places, side="right") / len(old_N)
    below_new = np.searchsorted(new_M, places, side="right") / len(new_M)
    return float(np.abs(below_old - below_new).max())


def label_distance(old: Mapping[str, int], new: Mapping[str, int]) -> float:
    """Return the total variation distance of two label distributions, 0 (equal shares) to 1; 0 where one is empty.

    >>> label_distance({"cat": 3, "dog": 1}, {"cat": 1, "dog": 1})
    0.25
    """
    n_old, n_new = sum(old.values()), sum(new.values())
    if not n_old or not n_new:
        return 0.0
    return sum(abs(old.get(label, 0) / n_old - new.get(label, 0) / n_new) for label in {*old, *new}) / 2
