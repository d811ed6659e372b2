"""Detection: one sample's truth, and what one model made of it at its operating threshold."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lakegate.detections import Detections, IntArray
from lakegate.errors import UnknownLabel, nearest
from lakegate.evaluation.matching import Match, match_detections
from lakegate.imaging import FloatArray
from lakegate.samples import Sample


@dataclass(frozen=True)
class Truth:
    """The labelled objects of one sample: boxes in pixels, shape (T, 4), label indices, shape (T,), and who drew them (T)."""

    boxes_xyxy_px: FloatArray
    labels: IntArray
    authors: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScoredDetections:
    """One model on one sample: the truth, all predictions from the score floor, those above the threshold, their match."""

    truth: Truth
    everything: Detections
    kept: Detections
    match: Match
    threshold: float


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


def score(detections: Detections, truth: Truth, threshold: float) -> ScoredDetections:
    """Cut the predictions at ``threshold`` (kept where equal) and match what is left with the truth."""
    kept = detections.at_least(threshold)
    return ScoredDetections(truth, detections, kept, match_detections(truth.boxes_xyxy_px, truth.labels, kept), threshold)
