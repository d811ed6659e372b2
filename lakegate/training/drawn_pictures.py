"""Pictures of a W&B table: boxes, and masks for what is drawn by outlines, in layers that a reader switches on and off."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lakegate.html import BOX_LINES, DrawnBox

MAX_CLASS = 127  # W&B keeps a mask as 8-bit numbers with a sign; 0 is what nobody says anything about
OTHERS = "another label"
KIND_NUMBERS = {kind: MAX_CLASS + 1 + index for index, kind in enumerate(BOX_LINES)}  # of boxes; apart from those of masks


@dataclass(frozen=True)
class DrawnPicture:
    """A JPEG with layers drawn over it; boxes and outlines are in pixels of the image that has this width and height.

    Where shapes have outlines, a layer is a mask of the labels that it says, and only its missed and false shapes are boxes.
    ``labels``: every label of the model, in class order. ``caption``: what words say of the picture, "" for nothing.
    """

    jpeg: bytes
    width_px: int
    height_px: int
    layers: Mapping[str, Sequence[DrawnBox]]
    labels: tuple[str, ...] = ()
    caption: str = ""


def wandb_picture(picture: DrawnPicture) -> Any:
    """Return the picture as a ``wandb.Image``."""
    import wandb
    from PIL import Image

    opened = Image.open(io.BytesIO(picture.jpeg))
    has_masks = any(box.outlines_px for boxes in picture.layers.values() for box in boxes)
    kinds = {number: kind for kind, number in KIND_NUMBERS.items()}
    said = _label_names(picture.labels) if has_masks else {}
    masks = {
        name: {"mask_data": label_mask(picture, boxes, opened.size), "class_labels": said}
        for name, boxes in picture.layers.items()
        if has_masks
    }
    drawn = {
        name: [box for box in boxes if not has_masks or box.kind in ("missed", "false")]
        for name, boxes in picture.layers.items()
    }
    layers = {
        name: {"box_data": [_box(picture, box) for box in boxes], "class_labels": kinds}
        for name, boxes in drawn.items()
        if boxes
    }
    classes = [{"id": number, "name": name} for number, name in {**said, **kinds}.items()]
    options = {"boxes": layers or None, "masks": masks or None, "caption": picture.caption or None}
    return wandb.Image(opened, classes=classes, file_type="jpg", **options)


def label_mask(picture: DrawnPicture, boxes: Sequence[DrawnBox], size_px: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Return what a layer says of each pixel of the small picture, as numbers of labels from 1; missed shapes are not said.

    Args:
        size_px: width and height of the small picture.

    Returns:
        Shape (height, width), uint8.
    """
    import cv2

    width_px, height_px = size_px
    mask_HW = np.zeros((height_px, width_px), np.uint8)
    scale = np.array([width_px / picture.width_px, height_px / picture.height_px])
    for box in boxes:
        if box.kind == "missed" or not box.outlines_px:
            continue
        corners = [np.floor(np.reshape(outline, (-1, 2)) * scale).astype(np.int32) for outline in box.outlines_px]
        cv2.fillPoly(mask_HW, corners, min(picture.labels.index(box.label) + 1, MAX_CLASS))
    return mask_HW


def _label_names(labels: Sequence[str]) -> dict[int, str]:
    names = dict(enumerate(labels[: MAX_CLASS - 1], start=1))
    return names if len(names) == len(labels) else {**names, MAX_CLASS: OTHERS}


def _box(picture: DrawnPicture, box: DrawnBox) -> dict[str, Any]:
    """Return the box with its corners as shares of the sides, which fit the small picture, too."""
    x1, y1, x2, y2 = box.xyxy_px
    sides = {"minX": x1 / picture.width_px, "maxX": x2 / picture.width_px}
    sides |= {"minY": y1 / picture.height_px, "maxY": y2 / picture.height_px}
    return {"position": sides, "class_id": KIND_NUMBERS[box.kind], "box_caption": box.label}
