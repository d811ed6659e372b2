"""COCO's average precision, from matches that are made once and then re-weighted: so the bootstrap of it is cheap.

A prediction's match depends on its own image only. Drawing images again therefore changes how often a prediction counts,
and nothing else: one replicate is one pass over the predictions by falling score, and all replicates make it together.
Source: pycocotools ``COCOeval`` (bounding boxes); the tests compare the two.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from lakegate.detections import BoolArray, IntArray
from lakegate.errors import BadInput
from lakegate.evaluation.coco_matching import (
    ALL_BITS,
    ALL_SIZES,
    N_THRESHOLDS,
    SIZES_PX2,
    BitArray,
    SampleMatches,
)
from lakegate.evaluation.sums import FloatArray64
from lakegate.imaging import FloatArray

N_LEVELS = 101
REPLICATES_AT_ONCE = 1000  # ten thresholds of so many float64 stay in the cache
FEW_ROWS = 8  # for so few a pass per row is faster than one for all
TINY = float(np.spacing(1.0))


@dataclass(frozen=True, eq=False)
class LabelMatches:
    """All predictions of one label by falling score: ``samples`` (P,), the index of the sample of each, and its bits."""

    samples: IntArray
    scores: FloatArray
    is_true: BitArray
    is_ignored: BitArray


@dataclass(frozen=True, eq=False)
class ApMatches:
    """One model on S samples: the matches of each of K labels, and ``truth_counts`` (K, S): each sample's objects."""

    by_label: tuple[LabelMatches, ...]
    truth_counts: FloatArray64

    @classmethod
    def collect(cls, samples: Sequence[SampleMatches], n_labels: int, size: str = ALL_SIZES) -> "ApMatches":
        """Put the samples together; equal scores keep the order of the samples, as in COCO."""
        sample_P = np.repeat(np.arange(len(samples)), [len(item.labels) for item in samples])
        label_P = np.concatenate([np.zeros(0, np.int64), *(item.labels for item in samples)])
        score_P = np.concatenate([np.zeros(0, np.float32), *(item.scores for item in samples)])
        true_P = np.concatenate([np.zeros(0, np.uint16), *(item.is_true[size] for item in samples)])
        ignored_P = np.concatenate([np.zeros(0, np.uint16), *(item.is_ignored[size] for item in samples)])
        by_label = []
        for label in range(n_labels):
            (of_label,) = np.nonzero((label_P == label) & (ignored_P != ALL_BITS))
            order = of_label[np.argsort(-score_P[of_label], kind="stable")]
            by_label.append(LabelMatches(sample_P[order], score_P[order], true_P[order], ignored_P[order]))
        n_truth_KS = np.zeros((n_labels, len(samples)))
        for index, item in enumerate(samples):
            n_truth_KS[:, index] = np.bincount(item.truth_labels[size], minlength=n_labels)[:n_labels]
        return cls(tuple(by_label), n_truth_KS)

    def ap(self, weights_RS: FloatArray64, thresholds: Sequence[int] = range(N_THRESHOLDS)) -> FloatArray64:
        """Return the average precision under R rows of weights, shape (R, T, K), nan for a label without objects.

        Args:
            weights_RS: shape (R, S), how often each sample counts. Whole numbers give exactly what COCO gives for samples
                that are there so often; a row of ones is the point estimate.
            thresholds: the IoU thresholds that are asked, as indices: 0 is 0.5, 9 is 0.95.

        Raises:
            BadInput: the weights are not those of this many samples.
        """
        n_samples = self.truth_counts.shape[1]
        if weights_RS.ndim != 2 or weights_RS.shape[1] != n_samples:
            raise BadInput(f"expected one weight for each of {n_samples} samples per row, came shape {weights_RS.shape}")
        bits = sum(1 << threshold for threshold in thresholds)
        result_RTK = np.full((len(weights_RS), len(thresholds), len(self.by_label)), np.nan)
        for first in range(0, len(weights_RS), REPLICATES_AT_ONCE):
            weights_SR = np.ascontiguousarray(weights_RS[first : first + REPLICATES_AT_ONCE].T, np.float64)
            n_truth_KR = self.truth_counts @ weights_SR
            for label, found in enumerate(self.by_label):
                if self.truth_counts[label].any():
                    measure = _ap_of_label if weights_SR.shape[1] > FEW_ROWS else _ap_row_by_row
                    ap_TR = measure(found, n_truth_KR[label], weights_SR, bits)[list(thresholds)]
                    result_RTK[first : first + REPLICATES_AT_ONCE, :, label] = ap_TR.T
        return result_RTK

    def curves(self, threshold: int = 0) -> FloatArray64:
        """Return the interpolated precision at recall 0, 0.01, … 1, shape (K, 101), nan for a label without objects."""
        recall_levels = np.linspace(0.0, 1.0, N_LEVELS)
        result = np.full((len(self.by_label), N_LEVELS), np.nan)
        for label, found in enumerate(self.by_label):
            n_truth = self.truth_counts[label].sum()
            if not n_truth:
                continue
            counts = ~_bit(found.is_ignored, threshold)
            is_true = _bit(found.is_true, threshold)[counts]
            hits = np.cumsum(is_true, dtype=np.float64)
            precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
            place = np.searchsorted(hits / n_truth, recall_levels, side="left")
            result[label] = np.append(precision, 0.0)[place]
        return result


class ApStatistics:
    """``map50`` and ``map`` of one model on S samples under weights: per label, over all labels, and per size.

    A label without objects under these weights has no value (nan) and the mean over labels leaves it out.
    """

    metrics: tuple[str, ...] = ("map50", "map")

    def __init__(self, samples: Sequence[SampleMatches], labels: Sequence[str], sizes: Iterable[str] = SIZES_PX2) -> None:
        self.labels = tuple(labels)
        self.matches = {size: ApMatches.collect(samples, len(self.labels), size) for size in sizes}

    def values(self, weights_RS: FloatArray64, only: Collection[str] | None = None) -> dict[str, dict[str, FloatArray64]]:
        """Return metric -> label (``""`` all, ``@small``, ``@medium``, ``@large``) -> (R,)."""
        asked = [name for name in self.metrics if only is None or name in only]
        result: dict[str, dict[str, FloatArray64]] = {name: {} for name in asked}
        thresholds = range(N_THRESHOLDS) if "map" in asked else range(1)
        for size, matches in self.matches.items() if asked else ():
            ap_RTK = matches.ap(weights_RS, thresholds)
            for name in asked:
                ap_RK = ap_RTK[:, 0] if name == "map50" else ap_RTK.mean(axis=1)
                result[name][size] = mean_of_said(ap_RK)
                if size == ALL_SIZES:
                    result[name].update({label: ap_RK[:, index] for index, label in enumerate(self.labels)})
        return result


def mean_of_said(values_RK: FloatArray64) -> FloatArray64:
    """Return the mean of each row's numbers, shape (R,); nan for a row that has none.

    >>> mean_of_said(np.array([[1.0, np.nan], [np.nan, np.nan]])).tolist()
    [1.0, nan]
    """
    is_said = ~np.isnan(values_RK)
    total, n_said = np.where(is_said, values_RK, 0.0).sum(axis=1), is_said.sum(axis=1)
    mean_R: FloatArray64 = np.divide(total, n_said, out=np.full(len(values_RK), np.nan), where=n_said > 0)
    return mean_R


def _bit(bits: BitArray, threshold: int) -> BoolArray:
    return (bits >> threshold & 1).astype(bool)


@cache
def _runs(bits: int) -> tuple[slice, ...]:
    """Return the runs of ones in the bits, so that rows are changed in place.

    >>> _runs(0b1011)
    (slice(0, 2, None), slice(3, 4, None))
    """
    edges = [place for place in range(N_THRESHOLDS + 1) if (bits >> place & 1) != (bits << 1 >> place & 1)]
    return tuple(slice(first, end) for first, end in zip(edges[::2], edges[1::2], strict=True))


def _ap_of_label(found: LabelMatches, n_truth_R: FloatArray64, weights_SR: FloatArray64, asked: int) -> FloatArray64:
    """Return the average precision of one label, shape (10, R); rows of thresholds that are not asked are without meaning.

    From the lowest score to the highest: what lies below a prediction is known when it is reached, so the best precision at
    this recall or a higher one is a running maximum, and each recall level is counted where it is first reached.
    """
    n_truth = np.maximum(n_truth_R, TINY)
    hits_TR, seen_TR = _totals(found, weights_SR)
    level_TR = _levels(hits_TR / n_truth)
    best_TR, total_TR = np.zeros_like(hits_TR), np.zeros_like(hits_TR)
    rows = zip(found.samples[::-1].tolist(), found.is_true[::-1].tolist(), found.is_ignored[::-1].tolist(), strict=True)
    for sample, true_bits, ignored_bits in rows:
        weight_R = weights_SR[sample]
        for run in _runs(true_bits & asked):
            best, hits, level = best_TR[run], hits_TR[run], level_TR[run]
            np.maximum(best, hits / np.maximum(seen_TR[run], TINY), out=best)
            hits -= weight_R
            reached = _levels(hits / n_truth)
            level -= reached
            level *= best
            total_TR[run] += level
            level_TR[run] = reached
        for run in _runs(ALL_BITS & ~ignored_bits & asked):
            seen_TR[run] -= weight_R
    total_TR += best_TR * level_TR
    return np.where(n_truth_R > 0, total_TR / N_LEVELS, np.nan)


def _ap_row_by_row(found: LabelMatches, n_truth_R: FloatArray64, weights_SR: FloatArray64, asked: int) -> FloatArray64:
    """Return what :func:`_ap_of_label` does, for few rows."""
    total_TR = np.zeros((N_THRESHOLDS, len(n_truth_R)))
    for threshold in (index for index in range(N_THRESHOLDS) if asked >> index & 1):
        (places,) = np.nonzero(_bit(found.is_true, threshold))
        counts_P = ~_bit(found.is_ignored, threshold)
        for row, n_truth in enumerate(n_truth_R.tolist()):
            weight_P = weights_SR[found.samples, row]
            hits, seen = np.cumsum(weight_P[places]), np.cumsum(weight_P * counts_P)[places]
            best = np.maximum.accumulate((hits / np.maximum(seen, TINY))[::-1])[::-1]
            total_TR[threshold, row] = best @ np.diff(_levels(hits / max(n_truth, TINY)), prepend=0.0)
    return np.where(n_truth_R > 0, total_TR / N_LEVELS, np.nan)


def _totals(found: LabelMatches, weights_SR: FloatArray64) -> tuple[FloatArray64, FloatArray64]:
    """Return the weighted number of true predictions, and of those that count, both (10, R)."""
    totals = []
    for bits in (found.is_true, ~found.is_ignored):
        count_TS = [
            np.bincount(found.samples, _bit(bits, threshold), minlength=len(weights_SR)) for threshold in range(N_THRESHOLDS)
        ]
        totals.append(np.array(count_TS) @ weights_SR)
    return totals[0], totals[1]


def _levels(recall: FloatArray64) -> FloatArray64:
    """Return how many of the recall levels 0, 0.01, … 1 (as ``linspace`` makes them) are at most the recall."""
    nearest = np.rint(recall * (N_LEVELS - 1))
    return nearest + (nearest * (1.0 / (N_LEVELS - 1)) <= recall)

