"""Detection: one sample's truth, and what one model made of it at its operating threshold."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lakegate.detections import MAX_OBJECTS, BoolArray, Detections, IntArray
from lakegate.errors import UnknownLabel, nearest
from lakegate.evaluation.coco_matching import ANY_LABEL, SampleMatches, match_sample
from lakegate.evaluation.matching import Match, match_detections
from lakegate.evaluation.operating_sums import OperatingCounts, count_sample
from lakegate.evaluation.tide import SampleErrors, find_errors
from lakegate.imaging import FloatArray
from lakegate.samples import Sample


@dataclass(frozen=True)
class Truth:
    """The labelled objects of one sample: boxes in pixels, shape (T, 4), label indices, shape (T,), and who drew them (T)."""

    boxes_xyxy_px: FloatArray
    labels: IntArray
    authors: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ScoredDetections:
    """One model on one sample: the truth, all predictions from the score floor, those above the threshold, their match.

    ``ignored_truth``: the objects whose labels do not count for this model, bool (T,). ``max_objects``: so many predictions
    of each label count in average precision.
    """

    truth: Truth
    everything: Detections
    kept: Detections
    match: Match
    threshold: float
    ignored_truth: BoolArray
    n_labels: int
    max_objects: int

    @cached_property
    def counts(self) -> OperatingCounts:
        """What is summed of the sample at the operating threshold."""
        truth = self.truth
        return count_sample(
            truth.boxes_xyxy_px,
            truth.labels,
            self.ignored_truth,
            self.match.is_found,
            self.kept.boxes_xyxy_px,
            self.kept.labels,
            self.match.is_false,
            self.n_labels,
        )

    @cached_property
    def matches(self) -> SampleMatches:
        """The sample as average precision counts it."""
        return match_sample(*self._coco())

    @cached_property
    def errors(self) -> SampleErrors:
        """What is wrong with each prediction."""
        return find_errors(*self._coco())

    def _coco(self) -> tuple[FloatArray, IntArray, BoolArray, FloatArray, FloatArray, IntArray, int]:
        truth, found = self.truth, self.everything
        labels_T = np.where(self.ignored_truth, ANY_LABEL, truth.labels)
        objects = truth.boxes_xyxy_px, labels_T, self.ignored_truth
        return *objects, found.boxes_xyxy_px, found.scores, found.labels, self.max_objects


def truth_of(sample: Sample, labels: Sequence[str]) -> Truth:
    """Return the sample's objects as arrays; raises ``UnknownLabel`` where the models do not know a label."""
    indices = []
    for annotation in sample.annotations:
        if annotation.label not in labels:
            raise UnknownLabel(
                f"sample '{sample.id}' has an object labelled '{annotation.label}', which the models were not trained on"
                f"{nearest(annotation.label, labels)}; judge them on a dataset with their labels, or train with this one"
            )
        indices.append(labels.index(annotation.label))
    boxes = np.array([item.box_xyxy_px for item in sample.annotations], dtype=np.float32).reshape(-1, 4)
    return Truth(boxes, np.array(indices, dtype=np.int64), tuple(item.author for item in sample.annotations))


def score(
    detections: Detections, truth: Truth, threshold: float, known_K: BoolArray, max_objects: int = MAX_OBJECTS
) -> ScoredDetections:
    """Cut the predictions at ``threshold`` (kept where equal) and match what is left with the truth.

    ``known_K`` marks the labels that count for this model: objects of the others are ignored, predictions of them dropped.
    """
    everything = detections.where(known_K[detections.labels])
    kept = everything.at_least(threshold)
    ignored_T = ~known_K[truth.labels]
    match = match_detections(truth.boxes_xyxy_px, truth.labels, kept, ignored_T=ignored_T)
    return ScoredDetections(truth, everything, kept, match, threshold, ignored_T, len(known_K), max_objects)
