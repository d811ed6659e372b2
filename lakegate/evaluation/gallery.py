"""The flip gallery: for each image with flips truth, baseline and candidate side by side, as data that a page draws."""

import base64
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from lakegate.errors import BadImage
from lakegate.evaluation.judged import Flip, Panel
from lakegate.evaluation.matrix import Matrix
from lakegate.html import BOX_LINES
from lakegate.lake.local_version import LocalImage
from lakegate.samples import Box
from lakegate.task_types.protocol import TaskType
from lakegate.task_types.registry import task_type
from lakegate.thumbnails import Thumbnails

MAX_IMAGES = 5_000
IMAGES_PER_CHUNK = 40  # the page parses a chunk when its first picture is wanted
SIDES_PX = ((60, 640), (300, 480), (1_000, 320), (MAX_IMAGES, 160))  # up to so many pictures have that longer side
KIND_TITLES = {"negative": "negative flip", "positive": "positive flip", "new_false": "new false object"}
SIZE_WORDS = ("small", "medium", "large")
SIZE_LIMITS_PX2 = (32**2, 96**2)  # as COCO has them
SAME_OBJECT_IOU = 0.3  # a missed object and a false one whose box overlaps it so far are told as one
_ORDER = ("negative", "new_false", "positive")
_KINDS = tuple(BOX_LINES)
_Row = list[Any]


@dataclass(frozen=True)
class FlipNote:
    """One flip in words, for a reader without JavaScript."""

    key: str
    kind: str
    label: str
    words: str


@dataclass(frozen=True)
class Gallery:
    """What the template embeds: those images with the most negative flips first, then those that only a rule names.

    ``table``: names, and for each image ``[key, width, height, columns, flips, rules]``; a flip is ``[kind, label, size,
    version, author, x1, y1, x2, y2, words, same]``, where ``same`` is the place of the image's flip that is the same object,
    or -1. ``chunks``: for each image ``[JPEG as base64 or "", panels]``; a panel is ``[title, caption, boxes]``, a box
    ``[kind, text, x, y, width, height, path or ""]``, all in px of the image. ``number_of``: the number of an image in the
    gallery, from 1.
    """

    table: dict[str, Any]
    chunks: list[list[_Row]]
    notes: tuple[FlipNote, ...]
    number_of: dict[str, int]
    n_flips: int
    n_not_shown: int
    n_flips_not_shown: int
    side_px: int


def make_gallery(
    matrix: Matrix,
    max_images: int = MAX_IMAGES,
    named: Mapping[str, Sequence[str]] | None = None,
    thumbnails: Thumbnails | None = None,
    n_notes: int = 20,
) -> Gallery:
    """Choose and prepare the images with flips; negative flips come first, then new false objects, then positive flips.

    Those on superseded images and labels follow all others.

    Args:
        named: the keys of rules by ``dataset/sample``: their counter-examples are shown, too, with or without flips.
        thumbnails: keeps the small pictures for the next page; they are made again where it is None.
        n_notes: so many flips are told in words as well.
    """
    named = named or {}
    ranked = [*worst_first(matrix.flips), *worst_first(matrix.superseded_flips)]
    with_flips = {key for key, _ in ranked}
    others: list[tuple[str, list[Flip]]] = [(key, []) for key in named if key not in with_flips and key in matrix.samples]
    shown, hidden = ranked[:max_images], ranked[max_images:]
    shown += others[: max_images - len(shown)]
    images = _Images(matrix)
    rows = [images.row(key, flips, named.get(key, ())) for key, flips in shown]
    side_px = next((side for limit, side in SIDES_PX if len(shown) <= limit), SIDES_PX[-1][1])
    pictures = _pictures([matrix.samples[key].image for key, _ in shown], side_px, thumbnails or Thumbnails())
    drawn = [[picture, images.panels(key)] for picture, (key, _) in zip(pictures, shown, strict=True)]
    return Gallery(
        table={**images.names(), "images": rows},
        chunks=[drawn[first : first + IMAGES_PER_CHUNK] for first in range(0, len(drawn), IMAGES_PER_CHUNK)],
        notes=tuple(images.note(flip) for flip in [flip for _, flips in shown for flip in flips][:n_notes]),
        number_of={key: number for number, (key, _) in enumerate(shown, start=1)},
        n_flips=sum(len(flips) for _, flips in shown),
        n_not_shown=len(hidden),
        n_flips_not_shown=sum(len(flips) for _, flips in hidden),
        side_px=side_px,
    )


def worst_first(flips: Sequence[Flip]) -> list[tuple[str, list[Flip]]]:
    """Return (``dataset/sample``, its flips) in the gallery's order: those with most negative flips, then new false ones first.

    Where images have as many, and within one kind in an image, the largest change of score or overlap comes first.
    """
    flips_of: dict[str, list[Flip]] = defaultdict(list)
    for flip in sorted(flips, key=lambda flip: (_ORDER.index(flip.kind), -_change(flip))):
        flips_of[flip.sample_key].append(flip)

    def place(key: str) -> tuple[float | str, ...]:
        own = flips_of[key]
        return *(-_count(own, kind) for kind in _ORDER), -max(_change(flip) for flip in own), key

    return [(key, flips_of[key]) for key in sorted(flips_of, key=place)]


def _change(flip: Flip) -> float:
    """How far apart the two models are: by score or, where an object is there, by overlap; 0 to 1."""
    nears = [near if near and near.label == flip.label else None for near in (flip.candidate, flip.baseline)]
    scores, overlaps = [near.score if near else 0.0 for near in nears], [near.iou if near else 0.0 for near in nears]
    by_score, by_overlap = abs(scores[0] - scores[1]), abs(overlaps[0] - overlaps[1])
    return by_score if flip.kind == "new_false" else max(by_score, by_overlap)


def _same_object(flips: Sequence[Flip]) -> dict[int, int]:
    """Return the places of a missed object and of the new false one whose box came nearest to it, each to the other."""
    nearest = {
        (flip.label, flip.candidate.box_xyxy_px): place
        for place, flip in enumerate(flips)
        if flip.kind == "negative" and flip.candidate and flip.candidate.label == flip.label
        if SAME_OBJECT_IOU <= flip.candidate.iou < 1
    }
    found: dict[int, int] = {}
    for place, flip in enumerate(flips):
        missed = nearest.get((flip.label, flip.box_xyxy_px)) if flip.kind == "new_false" else None
        if missed is not None:
            found |= {place: missed, missed: place}
    return found


def size_of(box_xyxy_px: Box) -> str:
    """Return small, medium or large, by the area of the box as in COCO.

    >>> size_of((0, 0, 32, 32))
    'medium'
    """
    x1, y1, x2, y2 = box_xyxy_px
    area_px2 = max(0.0, x2 - x1) * max(0.0, y2 - y1)
    return SIZE_WORDS[sum(area_px2 >= limit for limit in SIZE_LIMITS_PX2)]


def _count(flips: Sequence[Flip], kind: str) -> int:
    return sum(flip.kind == kind for flip in flips)


class _Images:
    """Turns samples and flips into rows; names that come often are numbers into lists."""

    def __init__(self, matrix: Matrix) -> None:
        self._matrix, self._task = matrix, task_type(matrix.task)
        self._lists: dict[str, dict[str, int]] = {name: {} for name in ("cells", "labels", "versions", "authors", "rules")}
        for cell in matrix.cells:
            if cell.kind != "label":  # no flip stands there
                self._number("cells", cell.name)
        for label in matrix.labels:
            self._number("labels", label)

    def names(self) -> dict[str, Any]:
        """Return the lists that the numbers in :meth:`row` point into."""
        words = {cell.name: cell.words for cell in self._matrix.cells}
        return {
            **{name: list(numbers) for name, numbers in self._lists.items()},
            "cells": [words.get(name, name) for name in self._lists["cells"]],
            "kinds": _ORDER,
            "boxKinds": _KINDS,
            "superseded": [self._lists["cells"][cell.name] for cell in self._matrix.cells if cell.kind == "superseded"],
            "sizes": SIZE_WORDS,
            "lines": [BOX_LINES[kind] for kind in _KINDS],
        }

    def row(self, key: str, flips: Sequence[Flip], rules: Sequence[str]) -> _Row:
        """Return what the page filters by and says about one image."""
        sample = self._matrix.samples[key].sample
        cells = flips[0].cells if flips else self._cells_of(key)
        same = _same_object(flips)
        return [
            key,
            sample.width_px,
            sample.height_px,
            [self._number("cells", name) for name in cells],
            [[*self._flip(flip), same.get(place, -1)] for place, flip in enumerate(flips)],
            [self._number("rules", rule) for rule in rules],
        ]

    def panels(self, key: str) -> list[_Row]:
        """Return truth, baseline and candidate of one image."""
        panels = self._task.panels(self._matrix.samples[key], self._matrix.labels)
        return [[panel.title, panel.caption, _boxes(panel)] for panel in panels]

    def note(self, flip: Flip) -> FlipNote:
        """Return one flip in words."""
        return FlipNote(flip.sample_key, flip.kind, flip.label, _words(self._task, flip, self._matrix))

    def _flip(self, flip: Flip) -> _Row:
        named = [self._number(name, value) for name, value in (("versions", flip.version), ("authors", flip.author))]
        size = SIZE_WORDS.index(size_of(flip.box_xyxy_px)) if self._task.unit != "image" else -1
        box = [round(side, 1) for side in flip.box_xyxy_px]
        words = _words(self._task, flip, self._matrix)
        return [_ORDER.index(flip.kind), self._number("labels", flip.label), size, *named, *box, words]

    def _cells_of(self, key: str) -> Iterable[str]:
        """An image without a flip says only which dataset's column it is in."""
        dataset = self._matrix.samples[key].dataset
        return [cell.name for cell in self._matrix.cells if cell.dataset == dataset and cell.kind in ("all", "dataset")][:1]

    def _number(self, name: str, value: str) -> int:
        """Return the number of a name; -1 for none."""
        return self._lists[name].setdefault(value, len(self._lists[name])) if value else -1


def _words(task: TaskType, flip: Flip, matrix: Matrix) -> str:
    return task.flip_words(flip, matrix.samples[flip.sample_key], matrix.labels)


def _boxes(panel: Panel) -> list[_Row]:
    boxes = []
    for box in panel.boxes:
        x1, y1, x2, y2 = box.xyxy_px
        sides = [round(side, 1) for side in (x1, y1, x2 - x1, y2 - y1)]
        boxes.append([_KINDS.index(box.kind), box.label, *sides, "".join(_path(outline) for outline in box.outlines_px)])
    return boxes


def _path(outline_px: Sequence[float]) -> str:
    """Return a closed SVG path of x1, y1, x2, y2, …"""
    points = [f"{x:.1f} {y:.1f}".replace(".0", "") for x, y in zip(outline_px[::2], outline_px[1::2], strict=True)]
    return f"M{'L'.join(points)}Z" if points else ""


def _pictures(images: Sequence[LocalImage], side_px: int, thumbnails: Thumbnails) -> list[str]:
    """Return JPEGs as base64; "" for a file that cannot be shown."""

    def picture(image: LocalImage) -> str:
        try:
            return base64.b64encode(thumbnails.get(image.path, side_px, image.sha256).jpeg).decode()
        except (BadImage, OSError):
            return ""

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return list(pool.map(picture, images))
