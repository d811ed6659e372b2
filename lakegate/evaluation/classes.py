"""Classification of images: one sample's truth, what one model made of it, and the metrics of one model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lakegate.errors import BadInput
from lakegate.evaluation.sums import SumMetric, SumStatistics, ratio
from lakegate.evaluation.truth_labels import label_index
from lakegate.imaging import FloatArray
from lakegate.samples import Sample
from lakegate.task_types.protocol import ALL_LABELS, IntArray, LabelView, Replicates

CALIBRATION_BINS = 15


@dataclass(frozen=True)
class ClassTruth:
    """The label of the whole image, as an index of the label space, and who gave it, as far as the export said so."""

    label: int
    author: str = ""


@dataclass(frozen=True)
class JudgedClass:
    """One model on one image.

    ``probabilities``: of each label of the space, float32 (K,), 0 where the model does not know it. ``is_judged``: whether
    the model knows the image's true label; where it does not, the image is neither right nor wrong.
    """

    truth: ClassTruth
    probabilities: FloatArray
    predicted: int
    is_judged: bool

    @property
    def probability(self) -> float:
        """The probability of the label that the model names, 0..1."""
        return float(self.probabilities[self.predicted])

    @property
    def is_right(self) -> bool:
        """Whether the most probable label is the true one."""
        return self.is_judged and self.predicted == self.truth.label


def class_truth_of(sample: Sample, labels: Sequence[str]) -> ClassTruth:
    """Return the sample's label.

    Raises:
        BadInput: the sample has no label of the whole image, or several.
        UnknownLabel: no model knows it.
    """
    if len(sample.annotations) != 1 or not sample.annotations[0].is_image_level:
        came = ", ".join(item.label for item in sample.annotations[:5]) or "none"
        raise BadInput(
            f"sample '{sample.id}': expected exactly one label of the whole image, came {len(sample.annotations)} "
            f"annotations ({came}); judge a classifier on a dataset for classification"
        )
    annotation = sample.annotations[0]
    return ClassTruth(label_index(annotation, sample, labels), annotation.author)


def judge_class(probabilities: FloatArray, truth: ClassTruth, view: LabelView) -> JudgedClass:
    """Hold a prediction (own labels,) against the truth; of equally probable labels the model names its first.

    Where several of its labels are one label of the space, their probabilities are added.

    Raises:
        BadInput: the prediction is about another number of labels than the model has.
    """
    if probabilities.shape != view.to_space.shape:
        raise BadInput(
            f"expected the probabilities of {len(view.to_space)} labels, came {probabilities.shape}; export the model again"
        )
    in_space = np.zeros(len(view.known), np.float32)
    np.add.at(in_space, view.to_space, probabilities)
    predicted = int(view.to_space[in_space[view.to_space].argmax()])
    return JudgedClass(truth, in_space, predicted, bool(view.known[truth.label]))


def confusion(judged: Sequence[JudgedClass], n_labels: int) -> IntArray:
    """Return how many judged images of each true label (rows) were given each label (columns), int64 (K, K)."""
    counts = np.zeros((n_labels, n_labels), np.int64)
    for item in judged:
        if item.is_judged:
            counts[item.truth.label, item.predicted] += 1
    return counts


def class_statistics(judged: Sequence[JudgedClass], labels: Sequence[str]) -> SumStatistics:
    """Return the metrics of one model on S images; those whose label it does not know count nowhere.

    ``accuracy`` is the share of images that are right; a label's is that of the images with this label, its recall.
    ``precision``, ``recall`` and ``macro_f1`` of all labels are means over the labels that have images here; precision leaves
    out a label that the model never names, ``macro_f1`` has that label's F1 as 0. ``calibration_error`` (ECE) is the mean
    distance of probability and share of right images over 15 bins of equal width, weighted by their images.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    counted_S = np.array([item.is_judged for item in judged], np.float64)
    true_S = np.array([item.truth.label for item in judged], np.int64)
    named_S = np.array([item.predicted for item in judged], np.int64)
    probability_S = np.array([item.probability for item in judged], np.float64)
    right_S = counted_S * (true_S == named_S)
    bin_S = calibration_bin(probability_S)
    sums = {
        "images": counted_S[:, None],
        "true": _placed(counted_S, true_S, len(labels)),
        "named": _placed(counted_S, named_S, len(labels)),
        "right": _placed(right_S, true_S, len(labels)),
        "gap": _placed(counted_S * probability_S - right_S, bin_S, CALIBRATION_BINS),
    }
    slots = (ALL_LABELS, *labels)
    formulas = {
        "accuracy": SumMetric(slots, ("right", "true"), pooled_share),
        "macro_f1": SumMetric(slots, ("right", "true", "named"), _f1),
        "precision": SumMetric(slots, ("right", "true", "named"), _precision),
        "recall": SumMetric(slots, ("right", "true"), _recall),
        "calibration_error": SumMetric((ALL_LABELS,), ("gap", "images"), _calibration_error),
    }
    return SumStatistics(sums, formulas)


def calibration_bin(probability_S: Replicates) -> IntArray:
    """Return the bin of each probability, int64 (S,) 0..14; bins are of equal width and hold their upper edge.

    >>> calibration_bin(np.array([0.0, 0.05, 0.2, 1.0])).tolist()
    [0, 0, 2, 14]
    """
    bin_S: IntArray = np.clip(np.ceil(probability_S * CALIBRATION_BINS) - 1, 0, CALIBRATION_BINS - 1).astype(np.int64)
    return bin_S


def _placed(value_S: Replicates, column_S: IntArray, n_columns: int) -> Replicates:
    """Return (S, n) with each value in its column, 0 elsewhere."""
    placed = np.zeros((len(value_S), n_columns))
    placed[np.arange(len(value_S)), column_S] = value_S
    return placed


def _f1(right_RK: Replicates, true_RK: Replicates, named_RK: Replicates) -> Replicates:
    return with_mean(np.where(true_RK > 0, ratio(2 * right_RK, true_RK + named_RK), np.nan))


def _precision(right_RK: Replicates, true_RK: Replicates, named_RK: Replicates) -> Replicates:
    return with_mean(np.where(true_RK > 0, ratio(right_RK, named_RK), np.nan))


def _recall(right_RK: Replicates, true_RK: Replicates) -> Replicates:
    return with_mean(ratio(right_RK, true_RK))


def _calibration_error(gap_RB: Replicates, images_R1: Replicates) -> Replicates:
    return ratio(np.abs(gap_RB).sum(axis=1, keepdims=True), images_R1)


def pooled_share(part_RK: Replicates, whole_RK: Replicates) -> Replicates:
    """Return part / whole of all labels together, then of each label, (R, 1 + K)."""
    return ratio(with_total(part_RK), with_total(whole_RK))


def with_total(sums_RK: Replicates) -> Replicates:
    """Return the sum over the labels before those of the labels, (R, 1 + K)."""
    return np.hstack([sums_RK.sum(axis=1, keepdims=True), sums_RK])


def with_mean(values_RK: Replicates) -> Replicates:
    """Return the mean over the labels whose value can be said before those of the labels, (R, 1 + K)."""
    can_be_said_RK = ~np.isnan(values_RK)
    sum_R1 = np.where(can_be_said_RK, values_RK, 0.0).sum(axis=1, keepdims=True)
    return np.hstack([ratio(sum_R1, can_be_said_RK.sum(axis=1, keepdims=True)), values_RK])


def count_images(truth: ClassTruth, n_labels: int) -> IntArray:
    """Return 1 for the image's label and 0 for the others, int64 (K,)."""
    return np.bincount([truth.label], minlength=n_labels).astype(np.int64)
