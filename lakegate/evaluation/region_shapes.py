"""Segmentation: the connected shapes that a model predicts, and which of them are false."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lakegate.evaluation.regions import JudgedRegions, RegionTruth
from lakegate.samples import Box
from lakegate.task_types.protocol import BoolArray

MIN_FALSE_PX = 25
TRUE_SHARE = 0.1  # of a shape's pixels


@dataclass(frozen=True, eq=False)
class Part:
    """Some pixels of an image: x1, y1, x2, y2 around them (x2 and y2 lie outside), and which pixels in there, bool (h, w)."""

    box_px: tuple[int, int, int, int]
    mask: BoolArray

    @property
    def area_px(self) -> int:
        """The number of pixels."""
        return int(np.count_nonzero(self.mask))

    @property
    def box_xyxy_px(self) -> Box:
        """The box around the pixels."""
        x1, y1, x2, y2 = self.box_px
        return float(x1), float(y1), float(x2), float(y2)

    @property
    def box_area_px(self) -> int:
        """The number of pixels of the box."""
        return int(self.mask.size)

    def of(self, pixels_HW: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return what an array holds on these pixels, (area,)."""
        x1, y1, x2, y2 = self.box_px
        return pixels_HW[y1:y2, x1:x2][self.mask]


@dataclass(frozen=True, eq=False)
class Shape:
    """A connected shape of predicted pixels of one label; pixels that touch at a corner are connected.

    ``true_share``: which share of its pixels carries its label in the truth, or a label that the model does not know.
    """

    label: int
    part: Part
    true_share: float

    @property
    def is_true(self) -> bool:
        """Whether at least a tenth of it lies on its label."""
        return self.true_share >= TRUE_SHARE

    @property
    def is_false(self) -> bool:
        """Whether it lies elsewhere and is more than a speck."""
        return not self.is_true and self.part.area_px >= MIN_FALSE_PX


def shown_shapes(judged: JudgedRegions) -> list[Shape]:
    """Return all shapes that the model predicts, label by label."""
    shown_HW, true_HW = judged.shown.pixels, judged.truth.label_map.pixels
    unknown_numbers = 1 + np.flatnonzero(~judged.known)
    shapes = []
    for number in np.unique(judged.shown.values[judged.shown.values > 0]).tolist():
        is_right_HW = (true_HW == number) | np.isin(true_HW, unknown_numbers)
        for part in connected_parts(shown_HW == number):
            shapes.append(Shape(number - 1, part, float(part.of(is_right_HW).mean())))
    return shapes


def connected_parts(mask_HW: BoolArray) -> Iterator[Part]:
    """Yield the connected parts of a mask (H, W), from the top."""
    n_parts, numbers_HW, facts, _ = cv2.connectedComponentsWithStats(mask_HW.astype(np.uint8), connectivity=8)
    for number in range(1, n_parts):
        x, y, width, height = (int(side) for side in facts[number, :4])
        yield Part((x, y, x + width, y + height), numbers_HW[y : y + height, x : x + width] == number)


def region_parts(truth: RegionTruth, indices: Sequence[int]) -> list[Part]:
    """Return the pixels of some regions that are seen, in the order of ``indices``."""
    parts = []
    for index in indices:
        x1, y1, x2, y2 = truth.boxes_px[index].tolist()
        parts.append(Part((x1, y1, x2, y2), truth.regions.cut((x1, y1, x2, y2)) == index + 1))
    return parts
