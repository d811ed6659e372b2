"""What the metrics of one column are computed from besides those of the task type: flips, and the team's own."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from lakegate.evaluation.judged import Flip, JudgedSample
from lakegate.evaluation.own_metrics import EvaluatedSample, OwnFunction, OwnStatistics
from lakegate.task_types.protocol import ALL_LABELS, IntArray, Replicates

NEGATIVE_FLIPS = "negative_flip_rate"


class FlipStatistics:
    """The share of units (objects, images, regions) that flipped to the worse.

    Args:
        units_SK: how many units of each of K labels each of S samples has.
        flipped_SK: how many of them flipped.
    """

    metrics: tuple[str, ...] = (NEGATIVE_FLIPS,)

    def __init__(self, labels: Sequence[str], units_SK: IntArray, flipped_SK: IntArray) -> None:
        self._labels, self._units_SK, self._flipped_SK = labels, units_SK, flipped_SK

    def values(self, weights_RS: Replicates, only: Collection[str] | None = None) -> dict[str, dict[str, Replicates]]:
        """Return the rate by label, (R,); nan where no unit was drawn."""
        if only is not None and NEGATIVE_FLIPS not in only:
            return {}
        flipped_RK, units_RK = weights_RS @ self._flipped_SK, weights_RS @ self._units_SK
        by_label = {label: _share(flipped_RK[:, index], units_RK[:, index]) for index, label in enumerate(self._labels)}
        return {NEGATIVE_FLIPS: {ALL_LABELS: _share(flipped_RK.sum(axis=1), units_RK.sum(axis=1)), **by_label}}


def _share(part_R: Replicates, whole_R: Replicates) -> Replicates:
    result: Replicates = np.divide(part_R, whole_R, out=np.full(len(part_R), np.nan), where=whole_R > 0)
    return result


def flip_statistics(
    samples: Sequence[JudgedSample], flips: Sequence[Flip], units_SK: IntArray, labels: Sequence[str]
) -> FlipStatistics:
    """Count the negative flips of each sample and label; ``units_SK`` as in :class:`FlipStatistics`."""
    count = Counter((flip.sample_key, flip.label) for flip in flips if flip.kind == "negative")
    rows = [[count[item.key, label] for label in labels] for item in samples]
    return FlipStatistics(labels, units_SK, np.array(rows, np.int64).reshape(len(samples), len(labels)))


def own_statistics(
    functions: Mapping[str, OwnFunction], samples: Sequence[JudgedSample], labels: tuple[str, ...], of_baseline: bool = False
) -> OwnStatistics:
    """Hand one model's judgements to the team's own functions."""
    judgements = [item.baseline if of_baseline else item.candidate for item in samples]
    rows = zip(samples, judgements, strict=True)
    shown = [EvaluatedSample(item.dataset, item.sample, item.image.path, labels, judgement) for item, judgement in rows]
    return OwnStatistics(functions, shown)
