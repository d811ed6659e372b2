"""What changed between two versions: samples, and on the samples that both have, objects."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from lakegate.lake.local_version import LocalVersion
from lakegate.lake.object_matching import BoxMatches as BoxMatches
from lakegate.lake.object_matching import iou_matrix as iou_matrix
from lakegate.lake.object_matching import match_boxes as match_boxes
from lakegate.lake.object_matching import match_objects
from lakegate.samples import Annotation, Sample

SUGGESTED_SHARE = 0.8  # a removed label whose matched objects mostly carry one added label now was probably renamed …
SUGGESTED_COVER = 0.5  # … where these are also at least half of all its objects
SampleKind = Literal["added", "removed", "relabelled", "reimaged"]
ObjectKind = Literal["added", "removed", "moved", "reclassified", "edited", "same"]
COUNTED: tuple[ObjectKind, ...] = ("added", "removed", "moved", "reclassified")


@dataclass(frozen=True)
class ObjectChange:
    """One object; ``old`` and ``new`` are its places in the annotations of the two samples, ``None`` where it is not.

    A matched object is of one kind only, the first that holds: reclassified (another label), moved (another shape), edited
    (other attributes or track), same.
    """

    kind: ObjectKind
    old: int | None
    new: int | None


@dataclass(frozen=True)
class ObjectCounts:
    """Numbers of objects on the common samples; a matched object counts once, a changed label before a moved box."""

    added: int = 0
    removed: int = 0
    moved: int = 0
    reclassified: int = 0
    edited: int = 0


@dataclass(frozen=True)
class RenameEvidence:
    """Of ``n_objects`` objects with the label on the common samples, ``n_matched`` carry the new one now."""

    n_matched: int
    n_objects: int


@dataclass(frozen=True)
class LabelChanges:
    """``renamed`` was declared in ``[rename]``; ``suggested`` is what the objects look like, old to new."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    suggested: Mapping[str, str] = field(default_factory=dict)
    evidence: Mapping[str, RenameEvidence] = field(default_factory=dict)  # of each suggestion, by the old label

    def suggestions(self) -> list[str]:
        """Return each suggestion as words: ``helmet → Safety Helmet: 329 of 470 objects``."""
        return [
            f"{old} → {new}: {self.evidence[old].n_matched} of {self.evidence[old].n_objects} objects"
            for old, new in self.suggested.items()
        ]


@dataclass(frozen=True)
class DatasetDiff:
    """Ids of samples, ascending. ``relabelled``: annotations or tags differ; ``reimaged``: the image's bytes differ.

    ``resplit`` are common samples in another split or group; like ``objects.edited`` they stand in words and on the page only.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    relabelled: tuple[str, ...]
    reimaged: tuple[str, ...]
    objects: ObjectCounts
    labels: LabelChanges
    resplit: tuple[str, ...] = ()

    @property
    def changed(self) -> tuple[str, ...]:
        """Ids of all samples that differ in any way, ascending."""
        return tuple(sorted({*self.added, *self.removed, *self.relabelled, *self.reimaged, *self.resplit}))

    def to_json(self) -> dict[str, Any]:
        """Return the numbers, as `lakegate data diff --json` prints them."""
        return {
            "samples": {name: len(getattr(self, name)) for name in get_args(SampleKind)},
            "objects": {name: getattr(self.objects, name) for name in COUNTED},
            "labels": {
                "added": list(self.labels.added),
                "removed": list(self.labels.removed),
                "renamed": dict(self.labels.renamed),
                "suggested": dict(self.labels.suggested),
            },
        }


def diff_versions(old: LocalVersion, new: LocalVersion) -> DatasetDiff:
    """Compare two versions; labels that ``[rename]`` of the new declaration maps are the same label."""
    renamed = declared_renames(old, new)
    before = {sample.id: sample for sample in old.samples}
    after = {sample.id: sample for sample in new.samples}
    common = sorted(before.keys() & after.keys())
    relabelled = [name for name in common if is_relabelled(before[name], after[name], renamed)]
    tally = _Tally()
    for name in relabelled:
        tally.add(before[name], after[name], renamed)
    return DatasetDiff(
        added=tuple(sorted(after.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - after.keys())),
        relabelled=tuple(relabelled),
        reimaged=tuple(name for name in common if old.images[name].sha256 != new.images[name].sha256),
        objects=ObjectCounts(**{kind: n for kind, n in tally.kinds.items() if kind != "same"}),
        labels=_label_changes(old, new, renamed, tally),
        resplit=tuple(name for name in common if _place(before[name]) != _place(after[name])),
    )


def declared_renames(old: LocalVersion, new: LocalVersion) -> dict[str, str]:
    """Return the declared renames, old to new, that happened between these two versions."""
    before, after = set(old.declaration.labels), set(new.declaration.labels)
    return {
        source: target for source, target in new.declaration.rename.items() if source in before - after and target in after
    }


def is_relabelled(old: Sample, new: Sample, renamed: Mapping[str, str]) -> bool:
    """Tell whether labels, shapes, attributes, tracks or tags differ; ids, authors and the order of a list do not count."""
    if old.annotations == new.annotations and old.tags == new.tags and not renamed:
        return False
    return _labels_of(old, renamed) != _labels_of(new, {})


def object_changes(old: Sample, new: Sample, renamed: Mapping[str, str]) -> list[ObjectChange]:
    """Return what happened to each object of a sample that both versions have: matched ones, then lost, then new ones."""
    before = _renamed(old.annotations, renamed)
    same_size = (old.width_px, old.height_px) == (new.width_px, new.height_px)
    matches = match_objects(before, new.annotations, (new.width_px, new.height_px) if same_size else None)
    changes = [ObjectChange(_kind_of(before[i], new.annotations[j]), i, j) for i, j in matches.pairs]
    changes += [ObjectChange("removed", i, None) for i in matches.only_old]
    return changes + [ObjectChange("added", None, j) for j in matches.only_new]


class _Tally:
    """Counts over all relabelled samples."""

    def __init__(self) -> None:
        self.kinds: Counter[ObjectKind] = Counter()
        self.moves: Counter[tuple[str, str]] = Counter()
        self.objects: Counter[str] = Counter()

    def add(self, old: Sample, new: Sample, renamed: Mapping[str, str]) -> None:
        self.objects.update(item.label for item in old.annotations)
        for change in object_changes(old, new, renamed):
            self.kinds[change.kind] += 1
            if change.old is not None and change.new is not None:
                self.moves[old.annotations[change.old].label, new.annotations[change.new].label] += 1


def _kind_of(old: Annotation, new: Annotation) -> ObjectKind:
    if old.label != new.label:
        return "reclassified"
    if old.geometry != new.geometry:
        return "moved"
    return "same" if (old.attributes, old.track_id) == (new.attributes, new.track_id) else "edited"


def _renamed(annotations: Sequence[Annotation], renamed: Mapping[str, str]) -> Sequence[Annotation]:
    if not renamed:
        return annotations
    return [replace(item, label=renamed.get(item.label, item.label)) for item in annotations]


def _place(sample: Sample) -> tuple[str, str]:
    return sample.split, sample.group


def _labels_of(sample: Sample, renamed: Mapping[str, str]) -> tuple[object, ...]:
    rows = (
        (renamed.get(item.label, item.label), item.geometry, item.track_id, tuple(sorted(item.attributes.items())))
        for item in sample.annotations
    )
    return Counter(rows), sorted(sample.tags)


def _used(version: LocalVersion) -> set[str]:
    return {item.label for sample in version.samples for item in sample.annotations}


def _label_changes(old: LocalVersion, new: LocalVersion, renamed: Mapping[str, str], tally: _Tally) -> LabelChanges:
    before, after = old.declaration.labels, new.declaration.labels
    added = [label for label in after if label not in before and label not in renamed.values()]
    removed = [label for label in before if label not in after and label not in renamed]
    used_before, used_after = _used(old), _used(new)
    new_names = {*added, *(label for label in after if label not in used_before)}
    suggested, evidence = {}, {}
    for label in (label for label in before if label not in renamed and (label in removed or label not in used_after)):
        targets = Counter({target: n for (source, target), n in tally.moves.items() if source == label})
        for target, n in targets.most_common(1):
            n_objects = tally.objects[label]
            if target in new_names and n >= SUGGESTED_SHARE * targets.total() and n >= SUGGESTED_COVER * n_objects:
                suggested[label], evidence[label] = target, RenameEvidence(n, n_objects)
    return LabelChanges(tuple(added), tuple(removed), renamed, suggested, evidence)
