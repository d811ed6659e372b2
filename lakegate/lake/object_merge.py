"""Two people changed one sample: what both did to its objects is brought together, or listed where it does not go together."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from lakegate.canonical import canonical_json
from lakegate.lake.object_identity import content_of, identify_objects
from lakegate.lake.object_matching import Size, match_objects
from lakegate.samples import Annotation, Sample, with_ids

Side = Literal["ours", "theirs"]
REMOVED = "removed"
ABSENT = "not there"
FIELDS = ("width_px", "height_px", "split", "group", "captured_at", "frame")


@dataclass(frozen=True)
class MergeConflict:
    """One thing that both sides changed in different ways; all three states in words."""

    sample_id: str
    what: str
    base: str
    ours: str
    theirs: str

    @property
    def sentence(self) -> str:
        """One line for people."""
        return f"{self.sample_id}: {self.what}: was {self.base}; ours: {self.ours}; theirs: {self.theirs}"


@dataclass(frozen=True)
class MergedSample:
    """The merged sample; where there are conflicts, it stands as the base has those things, and is not to be used."""

    sample: Sample
    conflicts: tuple[MergeConflict, ...]


def merge_samples(base: Sample | None, ours: Sample, theirs: Sample, prefer: Side | None = None) -> MergedSample:
    """Merge three states of one sample, object by object.

    An edit of one side stands; equal edits of both count once; different edits of one object, or two different objects added
    at one place (matched as a diff matches them), are conflicts. Tags are a set and never conflict.

    Args:
        base: the state that both sides began with; ``None`` where both added the sample.
        ours: one side; with ``theirs`` exchanged for it, the result is the same.
        theirs: the other side.
        prefer: the side that decides where both conflict; everything else still merges.
    """
    merging = _Merging(ours.id, prefer)
    fields = {
        name: merging.pick(name.removesuffix("_px"), base and getattr(base, name), getattr(ours, name), getattr(theirs, name))
        for name in FIELDS
    }
    keys = {*(base.source if base else {}), *ours.source, *theirs.source}
    source = {
        key: merging.pick(f"source {key}", base and base.source.get(key), ours.source.get(key), theirs.source.get(key))
        for key in sorted(keys)
    }
    tags = _merge_sets(set(base.tags) if base else set(), set(ours.tags), set(theirs.tags))
    size_px = (ours.width_px, ours.height_px)
    annotations = merging.objects(base.annotations if base else (), ours.annotations, theirs.annotations, size_px)
    sample = Sample(
        id=ours.id,
        annotations=_with_own_ids(annotations),
        tags=tuple(sorted(tags)),
        source={key: value for key, value in source.items() if value is not None},
        **fields,
    )
    return MergedSample(sample, tuple(merging.conflicts))


def describe_object(item: Annotation | None) -> str:
    """Return an object in words: label, box in pixels, what shape it has, attributes."""
    if item is None:
        return REMOVED
    words = [f"'{item.label}'"]
    if item.bbox_xywh_px is not None:
        x, y, width, height = item.bbox_xywh_px
        words.append(f"at x {x:g}, y {y:g}, {width:g} × {height:g} px")
    shapes = {"polygon": item.polygons_px, "mask": item.rle, "keypoints": item.keypoints}
    named = [f"{name} {_mark(value)}" for name, value in shapes.items() if value]
    named += [f"{key} = {value}" for key, value in sorted(item.attributes.items())]
    return " ".join(words) + (f" ({', '.join(named)})" if named else "")


class _Merging:
    """The merge of one sample under way: what is decided, and what could not be."""

    def __init__(self, sample_id: str, prefer: Side | None) -> None:
        self.conflicts: list[MergeConflict] = []
        self._sample_id, self._prefer = sample_id, prefer

    def pick(self, what: str, base: Any, ours: Any, theirs: Any) -> Any:
        """Return the side that changed a value."""
        if ours == theirs or theirs == base:
            return ours
        if ours == base:
            return theirs
        return self._conflict(what, (base, ours, theirs), tuple(_value_words(value) for value in (base, ours, theirs)))

    def objects(
        self, base: Sequence[Annotation], ours: Sequence[Annotation], theirs: Sequence[Annotation], size_px: Size
    ) -> list[Annotation]:
        """Merge the objects of all three states."""
        matched = [identify_objects(base, side, size_px) for side in (ours, theirs)]
        partner = [dict(found.pairs) for found in matched]
        kept: list[Annotation | None] = []
        for number, item in enumerate(base):
            mine = ours[partner[0][number]] if number in partner[0] else None
            other = theirs[partner[1][number]] if number in partner[1] else None
            kept.append(self._object(item, mine, other))
        added = [[side[i] for i in found.only_new] for side, found in zip((ours, theirs), matched, strict=True)]
        return [item for item in kept if item is not None] + self._added(added[0], added[1], size_px)

    def _object(self, base: Annotation, ours: Annotation | None, theirs: Annotation | None) -> Annotation | None:
        states = [None if item is None else content_of(item) for item in (base, ours, theirs)]
        if states[1] == states[2]:
            return ours and theirs and _same_content(base, ours, theirs)
        if states[2] == states[0]:
            return ours
        if states[1] == states[0]:
            return theirs
        words = tuple(describe_object(item) for item in (base, ours, theirs))
        made: Annotation | None = self._conflict(f"object {base.id or base.label}", (base, ours, theirs), words)
        return made

    def _added(self, ours: list[Annotation], theirs: list[Annotation], size_px: Size) -> list[Annotation]:
        both, ours, theirs = _take_equal(ours, theirs)
        there, back = match_objects(ours, theirs, size_px), match_objects(theirs, ours, size_px)
        doubted: list[set[int]] = [set(), set()]
        for i, j in sorted({*there.pairs, *((i, j) for j, i in back.pairs)}):  # whichever side comes first
            words = (ABSENT, describe_object(ours[i]), describe_object(theirs[j]))
            self._conflict("an object that both added at one place", (None, None, None), words)
            doubted[0].add(i)
            doubted[1].add(j)
        sides = [
            [item for number, item in enumerate(side) if number not in doubted[k] or self._prefer == name]
            for k, (side, name) in enumerate(((ours, "ours"), (theirs, "theirs")))
        ]
        return [*both, *sides[0], *sides[1]]

    def _conflict(self, what: str, states: tuple[Any, Any, Any], words: Sequence[str]) -> Any:
        if self._prefer:
            return states[1] if self._prefer == "ours" else states[2]
        self.conflicts.append(MergeConflict(self._sample_id, what, *words))
        return states[0] if states[0] is not None else states[1]


def _same_content(base: Annotation, ours: Annotation, theirs: Annotation) -> Annotation:
    """Choose id, author and origin where both sides say the same: who differs from the base, else the lower bytes."""
    changed = [item for item in (ours, theirs) if item != base] or [ours]
    return min(changed, key=lambda item: canonical_json(item.to_dict()))


def _take_equal(ours: list[Annotation], theirs: list[Annotation]) -> tuple[list[Annotation], ...]:
    """Return what both added alike, once, and what is left of each side."""
    waiting: dict[bytes, list[Annotation]] = {}
    for item in theirs:
        waiting.setdefault(content_of(item), []).append(item)
    both, left = [], []
    for item in ours:
        twins = waiting.get(content_of(item))
        if twins:
            both.append(min(item, twins.pop(0), key=lambda one: canonical_json(one.to_dict())))
        else:
            left.append(item)
    return both, left, [item for items in waiting.values() for item in items]


def _merge_sets(base: set[str], ours: set[str], theirs: set[str]) -> set[str]:
    return (ours & theirs) | (ours - base) | (theirs - base)


def _with_own_ids(annotations: Sequence[Annotation]) -> tuple[Annotation, ...]:
    """Give an object a further number where another one, of the other side, has its id already."""
    seen: Counter[str] = Counter()
    taken = {item.id for item in annotations}
    result = []
    for item in with_ids(tuple(annotations)) if any(not item.id for item in annotations) else sorted(annotations, key=_order):
        seen[item.id] += 1
        name, number = item.id, seen[item.id]
        while number > 1 and name in taken:
            name, number = f"{item.id}-{number}", number + 1
        taken.add(name)
        result.append(item if name == item.id else replace(item, id=name))
    return tuple(result)


def _order(item: Annotation) -> bytes:
    return canonical_json(item.to_dict())


def _mark(value: object) -> str:
    """Return a short mark by which two shapes can be told apart."""
    return hashlib.sha256(repr(value).encode()).hexdigest()[:6]


def _value_words(value: object) -> str:
    return ABSENT if value in (None, "") else str(value)
