"""The one post-processing: from raw boxes and scores of the network to objects in pixels of the original image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lakegate.canonical import exact_json, sha256_bytes
from lakegate.errors import BadInput
from lakegate.imaging import FloatArray, Scale

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

SCORE_FLOOR = 0.05
NMS_IOU = 0.5
MAX_OBJECTS = 100
MAX_BOXES_BEFORE_NMS = 1000
BOXES_AT_ONCE = 64  # of NMS: one box at a time took ten times as long, all at once compares what was long dropped


def postprocessing_digest(
    score_floor: float = SCORE_FLOOR, nms_iou: float = NMS_IOU, max_objects: int = MAX_OBJECTS
) -> str:
    """Return the SHA-256 of this version of the post-processing with these parameters; key caches with it."""
    content: dict[str, Any] = {
        "version": 1,
        "label": "the best of each location",
        "nms": "greedy within a label",
        "clipped": True,
        "max_boxes_before_nms": MAX_BOXES_BEFORE_NMS,
        "score_floor": float(score_floor),
        "nms_iou": float(nms_iou),
        "max_objects": int(max_objects),
    }
    return sha256_bytes(exact_json(content))


POSTPROCESSING_DIGEST = postprocessing_digest()


@dataclass(frozen=True)
class FoundObject:
    """One detection above the operating threshold; the box is x1, y1, x2, y2 in pixels of the image that came in."""

    label: str
    score: float
    box_xyxy_px: tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Detections:
    """Found objects of one image, by descending score.

    ``boxes_xyxy_px`` float32 (N, 4) in pixels of the original image, ``scores`` float32 (N,) 0..1,
    ``labels`` int64 (N,), the index into the dataset's labels.
    """

    boxes_xyxy_px: FloatArray
    scores: FloatArray
    labels: IntArray

    def __post_init__(self) -> None:
        n = len(self.scores)
        if self.boxes_xyxy_px.shape != (n, 4) or self.scores.shape != (n,) or self.labels.shape != (n,):
            raise BadInput(
                "detections do not fit together: expected boxes (N, 4), scores (N,), labels (N,), came "
                f"{self.boxes_xyxy_px.shape}, {self.scores.shape}, {self.labels.shape}"
            )

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def none(cls) -> "Detections":
        """No object found."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))

    def at_least(self, score: float) -> "Detections":
        """Keep the objects with a score of at least ``score``."""
        return self.where(self.scores >= score)

    def where(self, kept: BoolArray) -> "Detections":
        """Keep the objects that ``kept`` marks, bool (N,)."""
        return Detections(self.boxes_xyxy_px[kept], self.scores[kept], self.labels[kept])

    def named(self, labels: Sequence[str]) -> list[FoundObject]:
        """Return the objects with their labels' names; ``labels`` in class order."""
        rows = zip(self.labels.tolist(), self.scores.tolist(), self.boxes_xyxy_px.tolist(), strict=True)
        return [FoundObject(labels[label], score, (box[0], box[1], box[2], box[3])) for label, score, box in rows]


def decode(
    raw_boxes: FloatArray,
    raw_scores: FloatArray,
    scale: Scale,
    score_floor: float = SCORE_FLOOR,
    nms_iou: float = NMS_IOU,
    max_objects: int = MAX_OBJECTS,
) -> Detections:
    """Turn the network's output for one image into objects.

    Args:
        raw_boxes: (A, 4) x1, y1, x2, y2 in input pixels, one per location.
        raw_scores: (A, C) 0..1, one column per label; each location speaks for its best label only.
        scale: as ``imaging.to_input`` returned it for this image.
        score_floor: lower scores are dropped before NMS.
        nms_iou: of two boxes of one label with a higher IoU, the one with the lower score is dropped.
        max_objects: at most so many objects, the best ones.

    Raises:
        BadInput: the shapes do not fit together.
    """
    if raw_boxes.ndim != 2 or raw_boxes.shape[1] != 4 or raw_scores.ndim != 2 or len(raw_boxes) != len(raw_scores):
        raise BadInput(
            f"expected raw boxes (A, 4) and scores (A, C) of one image, came {raw_boxes.shape} and {raw_scores.shape}"
        )
    best = raw_scores.argmax(axis=1)
    scores = raw_scores[np.arange(len(best)), best].astype(np.float32)  # numpy's max over a short axis is slow
    (candidates,) = np.nonzero(scores >= score_floor)
    candidates = candidates[np.argsort(-scores[candidates], kind="stable")][:MAX_BOXES_BEFORE_NMS]
    boxes = scale.to_original(raw_boxes[candidates])
    has_area = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    candidates, boxes = candidates[has_area], boxes[has_area]
    labels = best[candidates].astype(np.int64)
    kept = suppress(boxes, labels, nms_iou, max_objects)
    return Detections(boxes[kept], scores[candidates][kept], labels[kept])


def suppress(boxes_xyxy_px: FloatArray, labels: IntArray, nms_iou: float, max_objects: int | None = None) -> IntArray:
    """Greedy non-maximum suppression within each label; stops when ``max_objects`` boxes stay.

    Args:
        boxes_xyxy_px: (N, 4), by descending score.
        labels: (N,)

    Returns:
        Ascending indices of the boxes that stay: no two of one label have an IoU above ``nms_iou``.
    """
    waiting = np.arange(len(labels), dtype=np.int64)
    stays = waiting[:0]
    while len(waiting) and (max_objects is None or len(stays) < max_objects):
        block, waiting = waiting[:BOXES_AT_ONCE], waiting[BOXES_AT_ONCE:]
        best = block[_best_alone(_covers(boxes_xyxy_px, labels, block, block, nms_iou))]
        stays = np.concatenate([stays, best])
        waiting = waiting[~_covers(boxes_xyxy_px, labels, best, waiting, nms_iou).any(axis=0)]
    return stays[:max_objects]


def _covers(boxes_xyxy_px: FloatArray, labels: IntArray, first: IntArray, second: IntArray, nms_iou: float) -> BoolArray:
    """Return for each pair of indices whether the two have one label and overlap more than allowed, bool (N, M)."""
    found: BoolArray = iou_matrix(boxes_xyxy_px[first], boxes_xyxy_px[second]) > nms_iou
    found &= labels[first][:, None] == labels[second]
    return found


def _best_alone(covers_NN: BoolArray) -> list[int]:
    """Return the indices of the boxes that stay: those that no better one that stays covers."""
    rows = [row.tobytes() for row in np.packbits(covers_NN, axis=1, bitorder="little")]  # a bit per box: no array per box
    stays: list[int] = []
    covered = 0
    for index, row in enumerate(rows):
        if not covered >> index & 1:
            stays.append(index)
            covered |= int.from_bytes(row, "little")
    return stays


def iou_matrix(first_xyxy_px: FloatArray, second_xyxy_px: FloatArray) -> FloatArray:
    """Return the intersection over union of each pair, shape (N, M), 0..1; two boxes without area have 0."""
    left, top, right, bottom = first_xyxy_px.astype(np.float32).reshape(-1, 4).T[:, :, None]
    left_M, top_M, right_M, bottom_M = np.ascontiguousarray(second_xyxy_px.astype(np.float32).reshape(-1, 4).T)
    common = np.maximum(np.minimum(right, right_M) - np.maximum(left, left_M), 0)
    common *= np.maximum(np.minimum(bottom, bottom_M) - np.maximum(top, top_M), 0)
    areas = np.maximum(right - left, 0) * np.maximum(bottom - top, 0)
    union = areas + np.maximum(right_M - left_M, 0) * np.maximum(bottom_M - top_M, 0) - common
    result: FloatArray = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return result
