"""Which object is which in two states of one sample, where people kept ids: by id, content and track, then by overlap."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence

from lakegate.canonical import canonical_json
from lakegate.lake.object_matching import BoxMatches, Size, match_objects
from lakegate.samples import Annotation

NOT_CONTENT = ("id", "author", "origin")
Key = Callable[[Annotation], Hashable]


def content_of(item: Annotation) -> bytes:
    """Return what an object says, as canonical bytes: everything but its id, who drew it and where it came from."""
    return canonical_json({key: value for key, value in item.to_dict().items() if key not in NOT_CONTENT})


def identify_objects(old: Sequence[Annotation], new: Sequence[Annotation], size_px: Size) -> BoxMatches:
    """Match objects one to one: unchanged ones, then equal ids, equal content, equal tracks, then as a diff does.

    A diff knows no ids: an import makes them from the content, so they say nothing across two exports. Whoever edits a sample
    keeps them, so here they come first; an id or track that one side has twice says nothing.

    Args:
        old: the objects before.
        new: the objects after.
        size_px: width and height of the image.
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
    rest = match_objects([old[i] for i in free_old], [new[j] for j in free_new], size_px)
    pairs += [(free_old[i], free_new[j]) for i, j in rest.pairs]
    only_old, only_new = (free_old[i] for i in rest.only_old), (free_new[j] for j in rest.only_new)
    return BoxMatches(tuple(sorted(pairs)), tuple(only_old), tuple(only_new))


def _equal_keys(
    old: Sequence[Annotation], new: Sequence[Annotation], free_old: Sequence[int], free_new: Sequence[int], key: Key
) -> list[tuple[int, int]]:
    keys_old, keys_new = ([(key(side[i]), i) for i in free] for side, free in ((old, free_old), (new, free_new)))
    n_old, n_new = (Counter(found for found, _ in keys) for keys in (keys_old, keys_new))
    waiting: dict[Hashable, list[int]] = {}
    for found, j in keys_new:
        waiting.setdefault(found, []).append(j)
    pairs = []
    for found, i in keys_old:
        is_name = isinstance(found, str)  # ids and tracks; contents are bytes, and twins of one content are alike
        if found is None or (is_name and max(n_old[found], n_new[found]) > 1):
            continue
        if waiting.get(found):
            pairs.append((i, waiting[found].pop(0)))
    return pairs
