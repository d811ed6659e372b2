"""What changed between two versions: samples, and on the samples that both have, objects."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lakegate.lake.local_version import LocalVersion
from lakegate.samples import Annotation, Sample

FloatArray = npt.NDArray[np.float64]
MIN_IOU = 0.5
SUGGESTED_SHARE = 0.8  # a removed label whose boxes mostly carry one added label now was probably renamed


@dataclass(frozen=True)
class BoxMatches:
    """Indices into the old and the new annotations; every annotation stands in exactly one place."""

    pairs: tuple[tuple[int, int], ...]
    only_old: tuple[int, ...]
    only_new: tuple[int, ...]


@dataclass(frozen=True)
class ObjectCounts:
    """Numbers of objects on the common samples; a matched object counts once, a changed label before a moved box."""

    added: int = 0
    removed: int = 0
    moved: int = 0
    reclassified: int = 0


@dataclass(frozen=True)
class LabelChanges:
    """``renamed`` was declared in ``[rename]``; ``suggested`` is what the boxes look like, old to new."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    suggested: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetDiff:
    """Ids of samples, ascending. ``relabelled``: annotations or tags differ; ``reimaged``: the image's bytes differ."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    relabelled: tuple[str, ...]
    reimaged: tuple[str, ...]
    objects: ObjectCounts
    labels: LabelChanges

    def to_json(self) -> dict[str, Any]:
        """Return the numbers, as `lakegate data diff --json` prints them."""
        samples = ("added", "removed", "relabelled", "reimaged")
        return {
            "samples": {name: len(getattr(self, name)) for name in samples},
            "objects": {name: getattr(self.objects, name) for name in ("added", "removed", "moved", "reclassified")},
            "labels": {
                "added": list(self.labels.added),
                "removed": list(self.labels.removed),
                "renamed": dict(self.labels.renamed),
                "suggested": dict(self.labels.suggested),
            },
        }


def diff_versions(old: LocalVersion, new: LocalVersion) -> DatasetDiff:
    """Compare two versions; labels that ``[rename]`` of the new declaration maps are the same label."""
    renamed = _declared_renames(old, new)
    before = {sample.id: sample for sample in old.samples}
    after = {sample.id: sample for sample in new.samples}
    common = sorted(before.keys() & after.keys())
    relabelled = [name for name in common if _labels_of(before[name], renamed) != _labels_of(after[name], {})]
    counts: Counter[str] = Counter()
    moves: Counter[tuple[str, str]] = Counter()
    for name in relabelled:
        _count_objects(before[name].annotations, after[name].annotations, renamed, counts, moves)
    return DatasetDiff(
        added=tuple(sorted(after.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - after.keys())),
        relabelled=tuple(relabelled),
        reimaged=tuple(name for name in common if old.images[name].sha256 != new.images[name].sha256),
        objects=ObjectCounts(**counts),
        labels=_label_changes(old, new, renamed, moves),
    )


def match_boxes(old: Sequence[Annotation], new: Sequence[Annotation], min_iou: float = MIN_IOU) -> BoxMatches:
    """Match annotations one to one: identical boxes first, then by falling IoU, whatever their labels.

    Of equally good pairs the one with equal labels is taken. Annotations without a box match by their label alone.

    >>> a, b = Annotation("RBC", (0, 0, 10, 10)), Annotation("WBC", (0, 0, 10, 9))
    >>> match_boxes([a], [b]).pairs
    ((0, 0),)
    """
    free_old, free_new = set(range(len(old))), set(range(len(new)))
    pairs = []
    for _, _, i, j in sorted(_candidates(old, new, min_iou)):
        if i in free_old and j in free_new:
            pairs.append((i, j))
            free_old.remove(i)
            free_new.remove(j)
    return BoxMatches(tuple(sorted(pairs)), tuple(sorted(free_old)), tuple(sorted(free_new)))


def iou_matrix(old_xyxy_px: FloatArray, new_xyxy_px: FloatArray) -> FloatArray:
    """Return intersection over union of (N, 4) and (M, 4) corner boxes as (N, M), 0..1; boxes without area give 0."""
    top_left = np.maximum(old_xyxy_px[:, None, :2], new_xyxy_px[None, :, :2])
    bottom_right = np.minimum(old_xyxy_px[:, None, 2:], new_xyxy_px[None, :, 2:])
    overlap = np.prod(np.clip(bottom_right - top_left, 0, None), axis=2)
    areas = [np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1) for boxes in (old_xyxy_px, new_xyxy_px)]
    union = areas[0][:, None] + areas[1][None, :] - overlap
    iou: FloatArray = np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)
    return iou


def _candidates(old: Sequence[Annotation], new: Sequence[Annotation], min_iou: float) -> list[tuple[float, bool, int, int]]:
    """Return (rank, labels differ, index in old, index in new): identical geometry has rank -2, others -IoU."""
    with_box = [[i for i, item in enumerate(side) if item.bbox_xywh_px is not None] for side in (old, new)]
    found = [
        (-2.0, old[i].label != new[j].label, i, j)
        for i in range(len(old))
        for j in range(len(new))
        if old[i].bbox_xywh_px == new[j].bbox_xywh_px and (old[i].bbox_xywh_px is not None or old[i].label == new[j].label)
    ]
    if not with_box[0] or not with_box[1]:
        return found
    corners = [
        np.array([side[i].box_xyxy_px for i in indices], dtype=np.float64)
        for side, indices in zip((old, new), with_box, strict=True)
    ]
    iou = iou_matrix(corners[0], corners[1])
    for row, column in zip(*np.nonzero(iou >= min_iou), strict=True):
        i, j = with_box[0][row], with_box[1][column]
        found.append((-float(iou[row, column]), old[i].label != new[j].label, i, j))
    return found


def _count_objects(
    old: Sequence[Annotation],
    new: Sequence[Annotation],
    renamed: Mapping[str, str],
    counts: Counter[str],
    moves: Counter[tuple[str, str]],
) -> None:
    matches = match_boxes(old, new)
    counts["removed"] += len(matches.only_old)
    counts["added"] += len(matches.only_new)
    for i, j in matches.pairs:
        moves[old[i].label, new[j].label] += 1
        if renamed.get(old[i].label, old[i].label) != new[j].label:
            counts["reclassified"] += 1
        elif old[i].bbox_xywh_px != new[j].bbox_xywh_px:
            counts["moved"] += 1


def _labels_of(sample: Sample, renamed: Mapping[str, str]) -> tuple[object, ...]:
    rows = (
        (renamed.get(item.label, item.label), item.bbox_xywh_px or (), tuple(sorted(item.attributes.items())))
        for item in sample.annotations
    )
    return tuple(sorted(rows)), tuple(sorted(sample.tags))


def _declared_renames(old: LocalVersion, new: LocalVersion) -> dict[str, str]:
    """Return the declared renames that happened between these two versions."""
    before, after = set(old.declaration.labels), set(new.declaration.labels)
    return {
        source: target for source, target in new.declaration.rename.items() if source in before - after and target in after
    }


def _label_changes(
    old: LocalVersion, new: LocalVersion, renamed: Mapping[str, str], moves: Counter[tuple[str, str]]
) -> LabelChanges:
    before, after = old.declaration.labels, new.declaration.labels
    added = [label for label in after if label not in before and label not in renamed.values()]
    removed = [label for label in before if label not in after and label not in renamed]
    suggested = {}
    for label in removed:
        targets = Counter({target: n for (source, target), n in moves.items() if source == label})
        for target, n in targets.most_common(1):
            if target in added and n >= SUGGESTED_SHARE * targets.total():
                suggested[label] = target
    return LabelChanges(tuple(added), tuple(removed), renamed, suggested)
