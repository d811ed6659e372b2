"""Mirrored copies of training images: which are drawn, and how pixels and boxes follow."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lakegate.declarations import Flip
from lakegate.imaging import FloatArray

Pixel = TypeVar("Pixel", bound=np.generic)


def draw_flips(random: np.random.Generator, allowed: Sequence[Flip], input_px: tuple[int, int]) -> tuple[Flip, ...]:
    """Draw each allowed flip in half of the cases; along the diagonal only where both sides are equal.

    The same numbers are drawn whatever is allowed.
    """
    drawn = random.random(3) < 0.5
    possible: tuple[Flip, ...] = ("horizontal", "vertical", "diagonal")
    return tuple(
        flip
        for flip, happens in zip(possible, drawn, strict=True)
        if happens and flip in allowed and (flip != "diagonal" or input_px[0] == input_px[1])
    )


def flip_pixels(pixels: NDArray[Pixel], flips: Sequence[Flip]) -> NDArray[Pixel]:
    """Mirror an image (H, W, 3) or a mask (H, W): left to right, then top to bottom, then along the diagonal."""
    if "horizontal" in flips:
        pixels = pixels[:, ::-1]
    if "vertical" in flips:
        pixels = pixels[::-1]
    if "diagonal" in flips:
        pixels = pixels.swapaxes(0, 1)
    return np.ascontiguousarray(pixels)


def flip_boxes(boxes_xyxy_px: FloatArray, flips: Sequence[Flip], input_px: tuple[int, int]) -> FloatArray:
    """Mirror boxes (N, 4) as :func:`flip_pixels` mirrors their image of ``input_px``."""
    height, width = input_px
    if "horizontal" in flips:
        boxes_xyxy_px = boxes_xyxy_px[:, [2, 1, 0, 3]]
        boxes_xyxy_px[:, [0, 2]] = width - boxes_xyxy_px[:, [0, 2]]
    if "vertical" in flips:
        boxes_xyxy_px = boxes_xyxy_px[:, [0, 3, 2, 1]]
        boxes_xyxy_px[:, [1, 3]] = height - boxes_xyxy_px[:, [1, 3]]
    if "diagonal" in flips:
        boxes_xyxy_px = boxes_xyxy_px[:, [1, 0, 3, 2]]
    return boxes_xyxy_px
