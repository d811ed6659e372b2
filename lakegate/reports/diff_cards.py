"""The changed samples as a page embeds them: what happened, the shapes of both sides, and small pictures in chunks."""

import base64
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, get_args

from lakegate.errors import BadImage
from lakegate.lake.diff import DatasetDiff, ObjectChange, ObjectKind, declared_renames, object_changes
from lakegate.lake.local_version import LocalVersion
from lakegate.quality.drawn_shapes import drawn_shapes
from lakegate.samples import Annotation, Sample
from lakegate.thumbnails import Thumbnails

MAX_CARDS = 5_000
PICTURES_PER_CHUNK = 50  # the page parses a chunk when its first picture is wanted
SIDES_PX = ((60, 560), (300, 400), (1_000, 240), (2 * MAX_CARDS, 128))  # up to so many pictures have that longer side
KINDS = ("relabelled", "reimaged", "resplit", "added", "removed")  # in the order in which the page shows them
OBJECT_KINDS: tuple[ObjectKind, ...] = get_args(ObjectKind)
Shape = list[Any]


@dataclass(frozen=True)
class DiffCards:
    """What the template embeds.

    A card is a dict of short keys: ``id``; ``k`` numbers of :data:`KINDS`; ``sp`` and ``g`` split and group before and after;
    ``wh`` width and height before and after; ``p`` numbers of the pictures before and after, -1 for none; ``n`` numbers of
    objects per object kind; ``b``, ``a``, ``s`` shapes of what only the old side shows, only the new side, and both; ``w``
    sentences. ``null`` stands for a side that is not there. A shape is ``[kind, label, other label, box, path, points]``.
    """

    labels: tuple[str, ...]
    cards: list[dict[str, Any]]
    chunks: list[list[str]]  # JPEGs as base64
    n_changed: int
    side_px: int


def make_cards(
    old: LocalVersion, new: LocalVersion, difference: DatasetDiff, thumbnails: Thumbnails, threads: int = 2
) -> DiffCards:
    """Prepare the changed samples, at most :data:`MAX_CARDS`, those with changed labels first.

    Args:
        old, new: with all changed samples; the images of those that are shown lie where ``images`` says.
    """
    makers = _Cards(old, new, difference)
    names = chosen_samples(difference)
    cards = [makers.card(name) for name in names]
    pictures: dict[str, int] = {}
    for name, card in zip(names, cards, strict=True):
        card["p"] = [-1 if digest is None else pictures.setdefault(digest, len(pictures)) for digest in makers.digests(name)]
    side_px = next((side for limit, side in SIDES_PX if len(pictures) <= limit), SIDES_PX[-1][1])

    def picture(digest: str) -> str:
        try:
            jpeg = thumbnails.get(makers.paths[digest], side_px, digest).jpeg
        except BadImage:
            return ""
        return base64.b64encode(jpeg).decode()

    with ThreadPoolExecutor(max_workers=threads) as pool:
        made = list(pool.map(picture, pictures))
    chunks = [made[first : first + PICTURES_PER_CHUNK] for first in range(0, len(made), PICTURES_PER_CHUNK)]
    return DiffCards(makers.labels, cards, chunks, len(difference.changed), side_px)


def chosen_samples(difference: DatasetDiff) -> list[str]:
    """Return the ids of the samples that a page shows, in its order."""
    ordered = dict.fromkeys(name for kind in KINDS for name in getattr(difference, kind))
    return list(ordered)[:MAX_CARDS]


class _Cards:
    def __init__(self, old: LocalVersion, new: LocalVersion, difference: DatasetDiff) -> None:
        self._old, self._new = ({sample.id: sample for sample in side.samples} for side in (old, new))
        self._sides = (old, new)
        self._renamed = declared_renames(old, new)
        self._kinds = [set(getattr(difference, kind)) for kind in KINDS]
        used = dict.fromkeys([*new.declaration.labels, *old.declaration.labels])
        for name in difference.changed:
            for sample in (self._old.get(name), self._new.get(name)):
                used.update(dict.fromkeys(item.label for item in sample.annotations) if sample else {})
        self.labels = tuple(used)
        self._number = {label: number for number, label in enumerate(self.labels)}
        self.paths = {image.sha256: image.path for side in self._sides for image in side.images.values()}

    def digests(self, name: str) -> list[str | None]:
        return [side.images[name].sha256 if name in side.images else None for side in self._sides]

    def card(self, name: str) -> dict[str, Any]:
        old, new = self._old.get(name), self._new.get(name)
        changes = self._changes(old, new)
        counts = Counter(change.kind for change in changes)
        shapes, notes = self._shapes(old, new, changes)
        return {
            "id": name,
            "k": [number for number, names in enumerate(self._kinds) if name in names],
            "sp": _both(old, new, lambda sample: sample.split),
            "g": _both(old, new, lambda sample: sample.group),
            "wh": _both(old, new, lambda sample: [sample.width_px, sample.height_px]),
            "n": [counts[kind] for kind in OBJECT_KINDS],
            **shapes,
            "w": [*_sentences(old, new), *self._image_level(old, new, changes), *notes],
        }

    def _changes(self, old: Sample | None, new: Sample | None) -> list[ObjectChange]:
        if old is not None and new is not None:
            return object_changes(old, new, self._renamed)
        if new is not None:
            return [ObjectChange("added", None, j) for j in range(len(new.annotations))]
        assert old is not None
        return [ObjectChange("removed", i, None) for i in range(len(old.annotations))]

    def _shapes(
        self, old: Sample | None, new: Sample | None, changes: Sequence[ObjectChange]
    ) -> tuple[dict[str, list[Shape]], list[str]]:
        """Return the shapes of both sides; what is the same on both is listed once."""
        shapes: dict[str, list[Shape]] = {"b": [], "a": [], "s": []}
        notes: list[str] = []
        for key, sample, other in (("b", old, new), ("a", new, old)):
            if sample is None:
                continue
            mine = {place: change for change in changes if (place := change.old if key == "b" else change.new) is not None}
            loud = {place + 1 for place, change in mine.items() if change.kind != "same"}
            drawn, more = drawn_shapes(sample, self._number, loud)
            notes += more
            for label, number, _, box, path, points in drawn:
                change = mine[number - 1]
                if change.kind == "same" and key == "b":
                    continue
                counterpart = _counterpart(change, key, other)
                there = label if counterpart is None else self._number[counterpart.label]
                shape = [OBJECT_KINDS.index(change.kind), label, there, box, path, points]
                shapes["s" if change.kind == "same" else key].append(shape)
        return shapes, list(dict.fromkeys(notes))

    def _image_level(self, old: Sample | None, new: Sample | None, changes: Sequence[ObjectChange]) -> list[str]:
        """Say what happened to labels of the whole image, which have nothing to draw."""
        said = []
        for change in changes:
            before = None if old is None or change.old is None else old.annotations[change.old]
            after = None if new is None or change.new is None else new.annotations[change.new]
            if any(item is not None and not item.is_image_level for item in (before, after)):
                continue
            if before is not None and after is not None:
                said.append(f"class: {before.label}" + (f" → {after.label}" if change.kind == "reclassified" else ""))
            else:
                said.append(f"class {change.kind}: {(before or after or Annotation('')).label}")
        return said


def _counterpart(change: ObjectChange, key: str, other: Sample | None) -> Annotation | None:
    place = change.new if key == "b" else change.old
    return None if place is None or other is None else other.annotations[place]


def _both(old: Sample | None, new: Sample | None, value_of: Callable[[Sample], object]) -> list[object]:
    return [None if sample is None else value_of(sample) for sample in (old, new)]


def _sentences(old: Sample | None, new: Sample | None) -> list[str]:
    if old is None or new is None:
        return []
    said = []
    if old.split != new.split:
        said.append(f"split: {old.split} → {new.split}")
    if old.group != new.group:
        said.append(f"group: {old.group or 'none'} → {new.group or 'none'}")
    lost, gained = sorted(set(old.tags) - set(new.tags)), sorted(set(new.tags) - set(old.tags))
    said += [f"tags {what}: {', '.join(tags)}" for what, tags in (("removed", lost), ("added", gained)) if tags]
    return said


def samples_to_fetch(old: LocalVersion, new: LocalVersion, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the samples of each side whose image a page shows; an image that stays is taken from the new side."""
    stays = {name for name in names if name in new.images and name in old.images}
    stays = {name for name in stays if new.images[name].sha256 == old.images[name].sha256}
    return [name for name in names if name in old.images and name not in stays], [name for name in names if name in new.images]
