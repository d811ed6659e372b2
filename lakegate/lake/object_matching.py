"""Which object of one state of a sample is which object of another state: by id, by track, then by geometry."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence

import numpy as np

from lakegate.canonical import canonical_json
from lakegate.lake.diff import MIN_IOU, BoxMatches, match_boxes
from lakegate.masks import FloatArray, mask_iou_matrix, rle_of
from lakegate.samples import Annotation

SizePx = tuple[int, int]  # height, width
NOT_CONTENT = ("id", "author", "origin")
Key = Callable[[Annotation], Hashable]


def content_of(item: Annotation) -> bytes:
    """Return what an object says, as canonical bytes: everything but its id, who drew it and where it came from."""
    return canonical_json({key: value for key, value in item.to_dict().items() if key not in NOT_CONTENT})


def match_objects(old: Sequence[Annotation], new: Sequence[Annotation], size_px: SizePx) -> BoxMatches:
    """Match objects one to one: unchanged ones, then equal ids, equal content, equal tracks, then IoU of at least 0.5.

    Masks and polygons are compared by the IoU of their masks, everything else by its box; of two labels of the whole image,
    equal ones match, and the last one on both sides, which then was reclassified.

    Args:
        old: the objects before.
        new: the objects after.
        size_px: height and width of the image.
    """
    free_old, free_new, pairs = list(range(len(old))), list(range(len(new))), []
    steps: tuple[Key, ...] = (
        lambda item: canonical_json(item.to_dict()),
        lambda item: item.id or None,
        content_of,
        lambda item: item.track_id or None,
    )
    for key in steps:
        for i, j in _equal_keys(old, new, free_old, free_new, key):
            pairs.append((i, j))
            free_old.remove(i)
            free_new.remove(j)
    for step in (_by_mask, _by_box, _last_image_label):
        for i, j in step(old, new, free_old, free_new, size_px):
            pairs.append((i, j))
            free_old.remove(i)
            free_new.remove(j)
    return BoxMatches(tuple(sorted(pairs)), tuple(free_old), tuple(free_new))


def overlap_matrix(old: Sequence[Annotation], new: Sequence[Annotation], size_px: SizePx) -> FloatArray:
    """Return the IoU of the masks of N and M objects as (N, M), 0..1; 0 where one of the two has no mask."""
    masks = [[rle_of(item, *size_px) for item in side] for side in (old, new)]
    with_mask = [[number for number, mask in enumerate(side) if mask is not None] for side in masks]
    iou_NM: FloatArray = np.zeros((len(old), len(new)))
    if with_mask[0] and with_mask[1]:
        chosen = [[mask for mask in side if mask is not None] for side in masks]
        iou_NM[np.ix_(*with_mask)] = mask_iou_matrix(*chosen)
    return iou_NM


def _equal_keys(
    old: Sequence[Annotation], new: Sequence[Annotation], free_old: Sequence[int], free_new: Sequence[int], key: Key
) -> list[tuple[int, int]]:
    """Pair the free objects whose key is equal; an id or track that one side has twice tells nothing."""
    keys_old, keys_new = [[(key(side[i]), i) for i in free] for side, free in ((old, free_old), (new, free_new))]
    count = [Counter(item for item, _ in keys) for keys in (keys_old, keys_new)]
    waiting: dict[Hashable, list[int]] = {}
    for found, j in keys_new:
        waiting.setdefault(found, []).append(j)
    pairs = []
    for found, i in keys_old:
        is_name = isinstance(found, str)  # ids and tracks; contents are bytes and may stand twice
        if found is None or (is_name and (count[0][found] > 1 or count[1][found] > 1)):
            continue
        if waiting.get(found):
            pairs.append((i, waiting[found].pop(0)))
    return pairs


def _by_mask(
    old: Sequence[Annotation], new: Sequence[Annotation], free_old: Sequence[int], free_new: Sequence[int], size_px: SizePx
) -> list[tuple[int, int]]:
    iou_NM = overlap_matrix([old[i] for i in free_old], [new[j] for j in free_new], size_px)
    ranked = sorted(
        (-float(iou_NM[row, column]), old[free_old[row]].label != new[free_new[column]].label, int(row), int(column))
        for row, column in zip(*np.nonzero(iou_NM >= MIN_IOU), strict=True)
    )
    rows, columns, pairs = set[int](), set[int](), []
    for _, _, row, column in ranked:
        if row not in rows and column not in columns:
            rows.add(row)
            columns.add(column)
            pairs.append((free_old[row], free_new[column]))
    return pairs


def _by_box(
    old: Sequence[Annotation], new: Sequence[Annotation], free_old: Sequence[int], free_new: Sequence[int], _: SizePx
) -> list[tuple[int, int]]:
    found = match_boxes([old[i] for i in free_old], [new[j] for j in free_new])
    return [(free_old[i], free_new[j]) for i, j in found.pairs if _may_be_one(old[free_old[i]], new[free_new[j]])]


def _may_be_one(old: Annotation, new: Annotation) -> bool:
    """Tell whether boxes may speak for two objects: not where both have a mask, for those were compared already."""
    return not ((old.rle or old.polygons_px) and (new.rle or new.polygons_px))


def _last_image_label(
    old: Sequence[Annotation], new: Sequence[Annotation], free_old: Sequence[int], free_new: Sequence[int], _: SizePx
) -> list[tuple[int, int]]:
    left = [[i for i in free if side[i].is_image_level] for side, free in ((old, free_old), (new, free_new))]
    return [(left[0][0], left[1][0])] if len(left[0]) == len(left[1]) == 1 else []
