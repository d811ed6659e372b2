"""Detection metrics of one model on one cell of the matrix, overall, per label and per size.

What holds at the operating threshold comes from :mod:`.operating_sums`, average precision from :mod:`.average_precision`, its
six kinds of error from :mod:`.tide`. A value that cannot be said is None: never 0, which would read as a bad model.
"""

from collections.abc import Collection, Sequence

import numpy as np

from lakegate.evaluation.average_precision import ApStatistics
from lakegate.evaluation.operating_sums import operating_statistics
from lakegate.evaluation.scoring import ScoredDetections
from lakegate.evaluation.sums import JoinedStatistics
from lakegate.evaluation.tide import TideStatistics
from lakegate.task_types.protocol import BoolArray, Replicates, Values, point_values


class DetectionStatistics:
    """All metrics of one model on S samples; labels that ``known_K`` does not mark have no values."""

    def __init__(self, judged: Sequence[ScoredDetections], labels: Sequence[str], known_K: BoolArray) -> None:
        self._unknown = {label for label, known in zip(labels, known_K.tolist(), strict=True) if not known}
        self._all = JoinedStatistics(
            operating_statistics([item.counts for item in judged], labels),
            ApStatistics([item.matches for item in judged], labels),
            TideStatistics([item.errors for item in judged], labels),
        )

    @property
    def metrics(self) -> tuple[str, ...]:
        """Their names."""
        return self._all.metrics

    def values(self, weights_RS: Replicates, only: Collection[str] | None = None) -> dict[str, dict[str, Replicates]]:
        """Return metric -> label -> (R,)."""
        found = self._all.values(weights_RS, only)
        return {
            metric: {label: value for label, value in by_label.items() if label not in self._unknown}
            for metric, by_label in found.items()
        }


def measure(judged: Sequence[ScoredDetections], labels: Sequence[str]) -> Values:
    """Return all metrics of one model on these samples.

    ``map50`` and ``map`` (IoU 0.5 to 0.95) are the mean over the labels that have objects here, as in COCO.
    """
    return point_values(DetectionStatistics(judged, labels, np.ones(len(labels), np.bool_)), len(judged))
