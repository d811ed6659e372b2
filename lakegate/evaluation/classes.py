"""Classification of images: one sample's truth, what one model made of it, and the metrics of one model."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from lakegate.errors import BadInput
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

    Raises:
        BadInput: the prediction is about another number of labels than the model has.
    """
    if probabilities.shape != view.to_space.shape:
        raise BadInput(
            f"expected the probabilities of {len(view.to_space)} labels, came {probabilities.shape}; export the model again"
        )
    in_space = np.zeros(len(view.known), np.float32)
    in_space[view.to_space] = probabilities
    return JudgedClass(truth, in_space, int(view.to_space[probabilities.argmax()]), bool(view.known[truth.label]))


def confusion(judged: Sequence[JudgedClass], n_labels: int) -> IntArray:
    """Return how many judged images of each true label (rows) were given each label (columns), int64 (K, K)."""
    counts = np.zeros((n_labels, n_labels), np.int64)
    for item in judged:
        if item.is_judged:
            counts[item.truth.label, item.predicted] += 1
    return counts


class ClassStatistics:
    """One model on S images; those whose label it does not know count nowhere.

    ``accuracy`` is the share of images that are right; a label's is that of the images with this label, its recall.
    ``precision``, ``recall`` and ``macro_f1`` of all labels are means over the labels that have images here; precision leaves
    out a label that the model never names, ``macro_f1`` has that label's F1 as 0. ``calibration_error`` (ECE) is the mean
    distance of probability and share of right images over 15 bins of equal width, weighted by their images.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """

    metrics = ("accuracy", "macro_f1", "precision", "recall", "calibration_error")

    def __init__(self, judged: Sequence[JudgedClass], labels: Sequence[str]) -> None:
        self._labels = tuple(labels)
        self._is_judged_S = np.array([item.is_judged for item in judged], np.bool_)
        self._truth_S = np.array([item.truth.label for item in judged], np.int64)
        self._predicted_S = np.array([item.predicted for item in judged], np.int64)
        self._probability_S = np.array([item.probability for item in judged], np.float64)

    def values(self, weights_RS: Replicates, only: Collection[str] | None = None) -> dict[str, dict[str, Replicates]]:
        """Return metric -> label -> (R,); ``calibration_error`` is told for all labels only."""
        wanted = set(self.metrics if only is None else only)
        weights_RS = np.where(self._is_judged_S, weights_RS, 0.0)
        found: dict[str, dict[str, Replicates]] = {}
        if "calibration_error" in wanted:
            found["calibration_error"] = {ALL_LABELS: self._calibration_error(weights_RS)}
        if wanted - {"calibration_error"}:
            found |= self._per_label(weights_RS)
        return {metric: values for metric, values in found.items() if metric in wanted}

    def _per_label(self, weights_RS: Replicates) -> dict[str, dict[str, Replicates]]:
        is_right_S = self._truth_S == self._predicted_S
        n_true_RK = self._count(weights_RS, self._truth_S)
        n_named_RK = self._count(weights_RS, self._predicted_S)
        n_right_RK = self._count(weights_RS * is_right_S, self._truth_S)
        has_images_RK = n_true_RK > 0
        by_label = {
            "precision": np.where(has_images_RK, ratio(n_right_RK, n_named_RK), np.nan),
            "recall": ratio(n_right_RK, n_true_RK),
            "macro_f1": np.where(has_images_RK, ratio(2 * n_right_RK, n_true_RK + n_named_RK), np.nan),
        }
        found = {metric: with_mean(values_RK, self._labels) for metric, values_RK in by_label.items()}
        found["accuracy"] = {**found["recall"], ALL_LABELS: ratio(n_right_RK.sum(axis=1), n_true_RK.sum(axis=1))}
        return found

    def _count(self, weights_RS: Replicates, label_S: IntArray) -> Replicates:
        """Sum the weights by label, (R, K)."""
        is_label_SK = (label_S[:, None] == np.arange(len(self._labels))).astype(np.float64)
        counted: Replicates = weights_RS @ is_label_SK
        return counted

    def _calibration_error(self, weights_RS: Replicates) -> Replicates:
        bin_S = np.clip(np.ceil(self._probability_S * CALIBRATION_BINS) - 1, 0, CALIBRATION_BINS - 1)
        in_bin_SB = (bin_S[:, None] == np.arange(CALIBRATION_BINS)).astype(np.float64)
        gap_S = self._probability_S - (self._truth_S == self._predicted_S)
        distance_R = np.abs((weights_RS * gap_S) @ in_bin_SB).sum(axis=1)
        return ratio(distance_R, weights_RS.sum(axis=1))


def ratio(part: Replicates, whole: Replicates) -> Replicates:
    """Return part / whole, nan where the whole is 0."""
    result: Replicates = np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)
    return result


def with_mean(values_RK: Replicates, labels: Sequence[str]) -> dict[str, Replicates]:
    """Return label -> (R,), and for all labels the mean over those that can be said."""
    can_be_said_RK = ~np.isnan(values_RK)
    mean_R = ratio(np.where(can_be_said_RK, values_RK, 0).sum(axis=1), can_be_said_RK.sum(axis=1))
    return {ALL_LABELS: mean_R, **{label: values_RK[:, index] for index, label in enumerate(labels)}}


def count_images(truth: ClassTruth, n_labels: int) -> IntArray:
    """Return 1 for the image's label and 0 for the others, int64 (K,)."""
    return np.bincount([truth.label], minlength=n_labels).astype(np.int64)
