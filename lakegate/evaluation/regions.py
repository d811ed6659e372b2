"""Segmentation: one sample's labelled regions, what one model made of them and of each pixel, and the metrics of one model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lakegate.errors import BadInput
from lakegate.evaluation.classes import pooled_share, with_mean, with_total
from lakegate.evaluation.sums import SumMetric, SumStatistics, ratio
from lakegate.evaluation.truth_labels import label_index
from lakegate.formats.run_lengths import runs_of_text
from lakegate.geometry import Rle
from lakegate.label_map import LabelMap, MapArray
from lakegate.masks import area_px, box_of_rle, rle_of
from lakegate.samples import Sample
from lakegate.task_types.protocol import ALL_LABELS, BoolArray, IntArray, LabelView, Replicates

FOUND_SHARE = 0.5  # of a region's pixels


@dataclass(frozen=True, eq=False)
class RegionTruth:
    """The labelled objects of one sample, each a region of pixels.

    ``regions`` holds 1 + i where region i lies, 0 on background; where objects overlap, the smaller one lies on top.
    ``labels`` int64 (T,) of the label space, ``boxes_px`` int64 (T, 4) x1, y1, x2, y2 around the whole object, ``areas_px``
    int64 (T,) what is seen of it (0 where others cover it), ``authors`` (T) who drew it, as far as the export said so.
    """

    regions: LabelMap
    labels: IntArray
    boxes_px: IntArray
    areas_px: IntArray
    authors: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def label_map(self) -> LabelMap:
        """The label of each pixel: 0 background, 1 + index of the label space."""
        return self.regions.translated(np.concatenate([[0], self.labels + 1]))


@dataclass(frozen=True, eq=False)
class JudgedRegions:
    """One model on one sample, in the label space.

    ``shown``: the predicted label of each pixel, 0 or 1 + label. ``shares`` float64 (T,): which share of a region's pixels
    carries its label. ``pairs`` int64 (3, N): true number, predicted number and how many pixels have both; pixels of labels
    that the model does not know (``known`` bool (K,)) are left out.
    """

    truth: RegionTruth
    shown: LabelMap
    known: BoolArray
    shares: npt.NDArray[np.float64]
    pairs: IntArray

    @property
    def is_judged(self) -> BoolArray:
        """True for each region that is seen and whose label the model knows, bool (T,)."""
        return self.known[self.truth.labels] & (self.truth.areas_px > 0)

    @property
    def is_found(self) -> BoolArray:
        """True for each region of which at least half of the pixels carry its label, bool (T,)."""
        return self.is_judged & (self.shares >= FOUND_SHARE)


def region_truth_of(sample: Sample, labels: Sequence[str]) -> RegionTruth:
    """Return the sample's regions.

    Raises:
        BadInput: an object has neither mask nor polygon, or a mask of another size than the image.
        UnknownLabel: no model knows an object's label.
    """
    height, width = sample.height_px, sample.width_px
    masks: list[Rle] = []
    for annotation in sample.annotations:
        mask = rle_of(annotation, height, width)
        if mask is None or (mask.height_px, mask.width_px) != (height, width):
            came = "neither" if mask is None else f"a mask of {mask.width_px} x {mask.height_px} px"
            raise BadInput(
                f"sample '{sample.id}': expected a polygon or a mask of {width} x {height} px for each object, came {came} for "
                f"'{annotation.label}'; judge a segmentation model on a dataset for segmentation"
            )
        masks.append(mask)
    indices = [label_index(annotation, sample, labels) for annotation in sample.annotations]
    regions_HW = paint_regions(masks, height, width)
    areas = np.bincount(regions_HW.ravel(), minlength=len(masks) + 1)[1:]
    boxes = np.array([box_of_rle(mask) for mask in masks], np.int64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    authors = tuple(item.author for item in sample.annotations)
    return RegionTruth(LabelMap.of(regions_HW), np.array(indices, np.int64), boxes, areas.astype(np.int64), authors)


def paint_regions(masks: Sequence[Rle], height_px: int, width_px: int) -> MapArray:
    """Return 1 + i where mask i lies and 0 elsewhere, int32 (H, W); larger masks first, so that smaller ones lie on top."""
    regions_C = np.zeros(height_px * width_px, np.int32)  # column by column, as masks are
    areas = [area_px(mask) for mask in masks]
    for index in sorted(range(len(masks)), key=lambda index: -areas[index]):
        ends = np.cumsum(runs_of_text(masks[index].counts), dtype=np.int64)
        begins, lengths = ends[:-1:2], np.diff(ends)[::2]
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        regions_C[np.repeat(begins, lengths) + within] = index + 1
    return np.ascontiguousarray(regions_C.reshape(width_px, height_px).T)


def judge_regions(prediction: LabelMap, truth: RegionTruth, view: LabelView) -> JudgedRegions:
    """Hold the label of each pixel against the truth.

    Raises:
        BadInput: the prediction is about an image of another size, or has a label that the model does not have.
    """
    if prediction.size_px != truth.regions.size_px or int(prediction.values.max(initial=0)) > len(view.to_space):
        raise BadInput(
            f"expected a prediction of size {truth.regions.size_px} (height, width) with {len(view.to_space)} labels, came "
            f"size {prediction.size_px} with numbers up to {int(prediction.values.max(initial=0))}; predict again"
        )
    shown = prediction.translated(np.concatenate([[0], view.to_space + 1]))
    shown_P, region_P = shown.pixels.ravel(), truth.regions.pixels.ravel()
    true_P = np.concatenate([[0], truth.labels + 1])[region_P]
    n_right = np.bincount(region_P[shown_P == true_P], minlength=len(truth) + 1)[1:]
    shares = np.divide(n_right, truth.areas_px, out=np.zeros(len(truth)), where=truth.areas_px > 0)
    is_known_P = np.concatenate([[True], view.known])[true_P]
    n_numbers = len(view.known) + 1
    counts = np.bincount(true_P[is_known_P] * n_numbers + shown_P[is_known_P])
    (here,) = np.nonzero(counts)
    pairs = np.stack([here // n_numbers, here % n_numbers, counts[here]]).astype(np.int64)
    return JudgedRegions(truth, shown, view.known, shares, pairs)


def pixel_confusion(judged: Sequence[JudgedRegions], n_labels: int) -> IntArray:
    """Return the pixels by true (rows) and predicted number (columns), 0 the background, int64 (1 + K, 1 + K)."""
    counts = np.zeros((n_labels + 1, n_labels + 1), np.int64)
    for item in judged:
        true_N, shown_N, pixels_N = item.pairs
        counts[true_N, shown_N] += pixels_N
    return counts


def count_regions(truth: RegionTruth, n_labels: int) -> IntArray:
    """Return how many regions of each label are seen, int64 (K,)."""
    return np.bincount(truth.labels[truth.areas_px > 0], minlength=n_labels).astype(np.int64)


def pixel_statistics(judged: Sequence[JudgedRegions], labels: Sequence[str]) -> SumStatistics:
    """Return the metrics of one model on S samples, by pixels; background is no label.

    A label's numbers are told where it has pixels in these samples. ``miou`` and ``dice`` of all labels are means over those
    labels; ``precision`` and ``recall`` count the pixels of all labels together.
    """
    sums = {name: np.zeros((len(judged), len(labels) + 1)) for name in ("true", "shown", "right")}
    for row, item in enumerate(judged):
        true_N, shown_N, pixels_N = item.pairs
        is_right_N = true_N == shown_N
        np.add.at(sums["true"][row], true_N, pixels_N)
        np.add.at(sums["shown"][row], shown_N, pixels_N)
        sums["right"][row, true_N[is_right_N]] = pixels_N[is_right_N]
    slots, needs = (ALL_LABELS, *labels), ("right", "true", "shown")
    formulas = {
        "miou": SumMetric(slots, needs, _iou),
        "dice": SumMetric(slots, needs, _dice),
        "precision": SumMetric(slots, needs, _precision),
        "recall": SumMetric(slots, ("right", "true"), pooled_share),
    }
    return SumStatistics({name: sums_SN[:, 1:] for name, sums_SN in sums.items()}, formulas)


def _iou(right_RK: Replicates, true_RK: Replicates, shown_RK: Replicates) -> Replicates:
    return with_mean(np.where(true_RK > 0, ratio(right_RK, true_RK + shown_RK - right_RK), np.nan))


def _dice(right_RK: Replicates, true_RK: Replicates, shown_RK: Replicates) -> Replicates:
    return with_mean(np.where(true_RK > 0, ratio(2 * right_RK, true_RK + shown_RK), np.nan))


def _precision(right_RK: Replicates, true_RK: Replicates, shown_RK: Replicates) -> Replicates:
    return np.where(with_total(true_RK) > 0, pooled_share(right_RK, shown_RK), np.nan)
