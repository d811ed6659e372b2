"""The flip gallery: for each image with flips the truth, the baseline and the candidate side by side, as shapes to draw."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lakegate.detections import iou_matrix
from lakegate.errors import BadImage
from lakegate.evaluation.flips import Flip, NearPrediction
from lakegate.evaluation.matching import MATCH_IOU
from lakegate.evaluation.matrix import Matrix
from lakegate.evaluation.scoring import JudgedSample, ScoredDetections
from lakegate.html import BoxKind, DrawnBox, placeholder, thumbnail
from lakegate.imaging import FloatArray
from lakegate.samples import Box

MAX_IMAGES = 60
THUMBNAIL_PX = 480
FAINT_IOU = 0.1
KIND_TITLES = {"negative": "negative flip", "positive": "positive flip", "new_false": "new false object"}
_ORDER = ("negative", "new_false", "positive")


@dataclass(frozen=True)
class Mark:
    """A numbered flip on a picture."""

    number: int
    kind: str
    box_xyxy_px: Box


@dataclass(frozen=True)
class Panel:
    """One picture with its boxes, in pixels of the original image."""

    title: str
    boxes: tuple[DrawnBox, ...]


@dataclass(frozen=True)
class FlipNote:
    """One flip in words."""

    number: int
    kind: str
    title: str
    label: str
    words: str


@dataclass(frozen=True)
class FlipImage:
    """One image of the gallery."""

    key: str
    picture: str  # data URI
    size_px: tuple[int, int]  # width, height
    cells: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]  # kind and label of its flips, for the filters
    panels: tuple[Panel, ...]
    marks: tuple[Mark, ...]
    notes: tuple[FlipNote, ...]


@dataclass(frozen=True)
class Gallery:
    """The images that are shown, those with the most negative flips first, and how many are not."""

    images: tuple[FlipImage, ...]
    n_not_shown: int
    n_flips_not_shown: int


def make_gallery(matrix: Matrix, max_images: int = MAX_IMAGES) -> Gallery:
    """Choose and prepare the images with flips; negative flips come first, then new false objects, then positive flips."""
    ranked = worst_first(matrix.flips)
    shown, hidden = ranked[:max_images], ranked[max_images:]
    images = tuple(_image(matrix.samples[key], flips, matrix.labels) for key, flips in shown)
    return Gallery(images, len(hidden), sum(len(flips) for _, flips in hidden))


def worst_first(flips: Sequence[Flip]) -> list[tuple[str, list[Flip]]]:
    """Return (``dataset/sample``, its flips) in the gallery's order, the flips of an image with the negative ones first."""
    flips_of: dict[str, list[Flip]] = defaultdict(list)
    for flip in sorted(flips, key=lambda flip: _ORDER.index(flip.kind)):
        flips_of[flip.sample_key].append(flip)
    ranked = sorted(flips_of, key=lambda key: (*(-_count(flips_of[key], kind) for kind in _ORDER), key))
    return [(key, flips_of[key]) for key in ranked]


def _count(flips: Sequence[Flip], kind: str) -> int:
    return sum(flip.kind == kind for flip in flips)


def _image(judged: JudgedSample, flips: Sequence[Flip], labels: tuple[str, ...]) -> FlipImage:
    truth = tuple(
        DrawnBox(_box(box), labels[label], "truth")
        for box, label in zip(judged.truth.boxes_xyxy_px, judged.truth.labels.tolist(), strict=True)
    )
    panels = [Panel("truth", truth)]
    if judged.baseline is not None:
        panels.append(Panel("baseline", _drawn(judged, judged.baseline, labels)))
    panels.append(Panel("candidate", _drawn(judged, judged.candidate, labels)))
    return FlipImage(
        key=judged.key,
        picture=_picture(judged),
        size_px=(judged.sample.width_px, judged.sample.height_px),
        cells=flips[0].cells,
        pairs=tuple(sorted({(flip.kind, flip.label) for flip in flips})),
        panels=tuple(panels),
        marks=tuple(Mark(number, flip.kind, flip.box_xyxy_px) for number, flip in enumerate(flips, start=1)),
        notes=tuple(_note(number, flip, judged, labels) for number, flip in enumerate(flips, start=1)),
    )


def _picture(judged: JudgedSample) -> str:
    try:
        return thumbnail(judged.image.path, max_side_px=THUMBNAIL_PX)
    except (BadImage, OSError):
        return placeholder("the image cannot be shown")


def _drawn(judged: JudgedSample, scored: ScoredDetections, labels: tuple[str, ...]) -> tuple[DrawnBox, ...]:
    boxes = []
    for index, is_false in enumerate(scored.match.is_false.tolist()):
        kind: BoxKind = "false" if is_false else "hit"
        text = f"{labels[scored.kept.labels[index]]} {scored.kept.scores[index]:.2f}"
        boxes.append(DrawnBox(_box(scored.kept.boxes_xyxy_px[index]), text, kind))
    for index, is_found in enumerate(scored.match.is_found.tolist()):
        if not is_found:
            text = labels[judged.truth.labels[index]]
            boxes.append(DrawnBox(_box(judged.truth.boxes_xyxy_px[index]), text, "missed"))
    return tuple(boxes)


def _note(number: int, flip: Flip, judged: JudgedSample, labels: tuple[str, ...]) -> FlipNote:
    if flip.kind == "new_false" and flip.candidate is not None:
        where = _what_is_there(flip, judged, labels)
        words = f"the candidate shows it with score {flip.candidate.score:.2f}, but {where}; the baseline does not show it"
    elif flip.kind == "negative":
        words = f"the baseline found it{hit_words(flip.baseline)}; the candidate missed it{miss_words(flip.candidate)}"
    else:
        words = f"the baseline missed it{miss_words(flip.baseline)}; the candidate found it{hit_words(flip.candidate)}"
    return FlipNote(number, flip.kind, KIND_TITLES[flip.kind], flip.label, words)


def hit_words(near: NearPrediction | None) -> str:
    """Say how a model found an object, as the end of a sentence."""
    return "" if near is None else f" (score {near.score:.2f}, IoU {near.iou:.2f})"


def miss_words(near: NearPrediction | None) -> str:
    """Say why a model did not find an object, as the end of a sentence."""
    if near is None:
        return ": it predicts nothing there"
    return f": its nearest box is {near.label}, score {near.score:.2f}, IoU {near.iou:.2f}, and {near.why_not}"


def _what_is_there(flip: Flip, judged: JudgedSample, labels: tuple[str, ...]) -> str:
    """Say what the labels hold where the candidate shows a false object."""
    iou_T = iou_matrix(np.array([flip.box_xyxy_px], np.float32), judged.truth.boxes_xyxy_px)[0]
    best = int(iou_T.argmax()) if len(iou_T) else 0
    if not len(iou_T) or iou_T[best] < FAINT_IOU:
        return "nothing is labelled there"
    name = labels[int(judged.truth.labels[best])]
    if iou_T[best] < MATCH_IOU:
        return f"it overlaps the nearest object ({name}) by only {iou_T[best]:.2f}"
    return f"it is a second box on one {name}" if name == flip.label else f"the object there is labelled {name}"


def _box(box_xyxy_px: FloatArray) -> Box:
    x1, y1, x2, y2 = (round(float(side), 1) for side in box_xyxy_px)
    return x1, y1, x2, y2
