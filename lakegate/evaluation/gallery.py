"""The flip gallery: for each image with flips the truth, the baseline and the candidate side by side, as shapes to draw."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from lakegate.errors import BadImage
from lakegate.evaluation.judged import Flip, JudgedSample, Panel
from lakegate.evaluation.matrix import Matrix
from lakegate.html import placeholder, thumbnail
from lakegate.samples import Box
from lakegate.task_types.protocol import TaskType
from lakegate.task_types.registry import task_type

MAX_IMAGES = 60
THUMBNAIL_PX = 480
KIND_TITLES = {"negative": "negative flip", "positive": "positive flip", "new_false": "new false object"}
_ORDER = ("negative", "new_false", "positive")


@dataclass(frozen=True)
class Mark:
    """A numbered flip on a picture."""

    number: int
    kind: str
    box_xyxy_px: Box


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
    ranked, task = worst_first(matrix.flips), task_type(matrix.task)
    shown, hidden = ranked[:max_images], ranked[max_images:]
    images = tuple(_image(task, matrix.samples[key], flips, matrix.labels) for key, flips in shown)
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


def _image(task: TaskType, judged: JudgedSample, flips: Sequence[Flip], labels: tuple[str, ...]) -> FlipImage:
    return FlipImage(
        key=judged.key,
        picture=_picture(judged),
        size_px=(judged.sample.width_px, judged.sample.height_px),
        cells=flips[0].cells,
        pairs=tuple(sorted({(flip.kind, flip.label) for flip in flips})),
        panels=tuple(task.panels(judged, labels)),
        marks=tuple(Mark(number, flip.kind, flip.box_xyxy_px) for number, flip in enumerate(flips, start=1)),
        notes=tuple(_note(task, number, flip, judged, labels) for number, flip in enumerate(flips, start=1)),
    )


def _picture(judged: JudgedSample) -> str:
    try:
        return thumbnail(judged.image.path, max_side_px=THUMBNAIL_PX)
    except (BadImage, OSError):
        return placeholder("the image cannot be shown")


def _note(task: TaskType, number: int, flip: Flip, judged: JudgedSample, labels: tuple[str, ...]) -> FlipNote:
    words = task.flip_words(flip, judged, labels)
    return FlipNote(number, flip.kind, KIND_TITLES[flip.kind], flip.label, words)
