"""How a detector learns: boxes become targets per location, and focal loss and generalised IoU say how wrong it is."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lakegate.declarations import Flip
from lakegate.detections import IntArray
from lakegate.errors import UnknownLabel, nearest
from lakegate.imaging import FloatArray
from lakegate.samples import Sample
from lakegate.training.flipping import flip_boxes
from lakegate.training.losses import focal_loss, giou_loss
from lakegate.training.parts import Arrays, Tensors

if TYPE_CHECKING:
    from torch import Tensor

CENTRE_SHARE = 0.25  # locations within this share of the side around the centre answer for an object,
CENTRE_STRIDES = 0.75  # but at least within so many strides


class DetectionPart:
    """Boxes and labels in, one-hot classes, distances and foreground per location out."""

    losses: tuple[str, ...] = ("loss", "loss_class", "loss_box")

    def __init__(self, labels: tuple[str, ...], input_px: tuple[int, int], stride_px: int) -> None:
        self.labels, self.input_px, self.stride_px = labels, input_px, stride_px

    def read(self, name: str, sample: Sample) -> Arrays:
        """Return boxes (N, 4) x1, y1, x2, y2 in input px, and label indices (N,)."""
        for item in sample.annotations:
            if item.label not in self.labels:
                raise UnknownLabel(f"{name}: label '{item.label}' is not declared{nearest(item.label, self.labels)}")
        height, width = self.input_px
        factor = np.array([width / sample.width_px, height / sample.height_px] * 2, np.float32)
        boxes = np.array([item.box_xyxy_px for item in sample.annotations], np.float32).reshape(-1, 4) * factor
        return boxes, np.array([self.labels.index(item.label) for item in sample.annotations], np.int64)

    def targets(self, known: Arrays, flips: Sequence[Flip]) -> Arrays:
        """Return the targets of :func:`make_targets` for the mirrored boxes."""
        boxes_xyxy_px, labels = known
        mirrored = flip_boxes(boxes_xyxy_px, flips, self.input_px)
        return make_targets(mirrored, labels, len(self.labels), self.input_px, self.stride_px)

    def divisors(self, targets: Tensors) -> "Tensor":
        """Count the foreground locations."""
        return targets[2].sum().reshape(1)

    def loss(self, network: Any, images_NCHW: "Tensor", targets: Tensors, divisors: "Tensor") -> "dict[str, Tensor]":
        """Return focal loss of the labels, 1 - GIoU of the boxes, and their sum, per foreground location."""
        classes, distances, foreground = targets
        logits, found = network.raw(images_NCHW)
        n_foreground = divisors[0].clamp(1)
        loss_class = focal_loss(logits.float(), classes, n_foreground)
        loss_box = giou_loss(found.float(), distances, foreground, n_foreground)
        return {"loss": loss_class + loss_box, "loss_class": loss_class, "loss_box": loss_box}


def make_targets(
    boxes_xyxy_px: FloatArray, labels: IntArray, n_classes: int, input_px: tuple[int, int], stride_px: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Let the locations around each object's centre answer for it; where objects overlap, the smaller one wins.

    Returns:
        One-hot classes (C, h, w), distances to left, top, right, bottom in px (4, h, w), foreground (h, w); float32.
    """
    height, width = input_px[0] // stride_px, input_px[1] // stride_px
    classes = np.zeros((n_classes, height, width), np.float32)
    distances = np.zeros((4, height, width), np.float32)
    foreground = np.zeros((height, width), np.float32)
    x_px = (np.arange(width, dtype=np.float32) + 0.5) * stride_px
    y_px = (np.arange(height, dtype=np.float32) + 0.5) * stride_px
    sides = boxes_xyxy_px[:, 2:] - boxes_xyxy_px[:, :2]
    for index in np.argsort(-sides.prod(axis=1), kind="stable"):
        x1, y1, x2, y2 = boxes_xyxy_px[index]
        reach_x, reach_y = np.maximum(sides[index] * CENTRE_SHARE, stride_px * CENTRE_STRIDES)
        (columns,) = np.nonzero(np.abs(x_px - (x1 + x2) / 2) < reach_x)
        (rows,) = np.nonzero(np.abs(y_px - (y1 + y2) / 2) < reach_y)
        if not len(columns) or not len(rows):
            continue
        window = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        x, y = x_px[window[1]][None, :], y_px[window[0]][:, None]
        classes[(slice(None), *window)] = 0
        classes[(labels[index], *window)] = 1
        foreground[window] = 1
        for side, distance in enumerate((x - x1, y - y1, x2 - x, y2 - y)):
            distances[(side, *window)] = np.maximum(distance, 0.1)
    return classes, distances, foreground
