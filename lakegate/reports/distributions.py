"""How two versions are distributed, side by side: labels, splits, cameras, sizes, brightness."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lakegate.lake.local_version import LocalVersion
from lakegate.samples import Sample

MAX_ROWS = 24
OBJECT_SIDES_PX = (8, 16, 32, 64, 96, 128, 256, 512)
BRIGHTNESS_STEP = 32
NO_OBJECTS = "(no objects)"


@dataclass(frozen=True)
class Row:
    """One bar of each version."""

    name: str
    before: int
    after: int


@dataclass(frozen=True)
class Distribution:
    """``unit`` is what is counted; ``note`` says what is left out, in words."""

    title: str
    unit: str
    rows: tuple[Row, ...]
    note: str = ""

    @property
    def top(self) -> int:
        """The largest number, at least 1: the length of the longest bar."""
        return max([1, *(max(row.before, row.after) for row in self.rows)])


def distributions_of(
    old: LocalVersion, new: LocalVersion, renamed: Mapping[str, str], brightness: Mapping[str, float]
) -> list[Distribution]:
    """Compare two whole versions.

    Args:
        renamed: labels of the old version by their new name: they are one row.
        brightness: mean grey value 0..255 by the image's SHA-256, of those that were measured on this machine.
    """
    sides = (old.samples, new.samples)
    rows = dict.fromkeys([*new.declaration.labels, *(renamed.get(label, label) for label in old.declaration.labels)])
    labels = [
        Counter(label for sample in side.samples for label in _labels(sample, names))
        for side, names in ((old, renamed), (new, {}))
    ]
    found = [
        _ordered("Objects per label", "objects", [*rows, NO_OBJECTS], labels, f"{NO_OBJECTS} counts samples"),
        _ordered("Samples per split", "samples", ["train", "val", "test"], _count(sides, lambda sample: sample.split)),
        _groups(sides),
        _ordered("Object size (square root of width × height)", "objects", _size_names(), _object_sizes(sides)),
        _most("Image size", "samples", _count(sides, lambda sample: f"{sample.width_px} × {sample.height_px} px")),
        _brightness((old, new), brightness),
    ]
    return [item for item in found if item.rows or item.note]


def _labels(sample: Sample, renamed: Mapping[str, str]) -> list[str]:
    return [renamed.get(item.label, item.label) for item in sample.annotations] or [NO_OBJECTS]


def _count(sides: Sequence[Sequence[Sample]], name_of: Callable[[Sample], str]) -> list[Counter[str]]:
    return [Counter(name_of(sample) for sample in side) for side in sides]


def _ordered(title: str, unit: str, names: Iterable[str], counts: Sequence[Counter[str]], note: str = "") -> Distribution:
    rows = [Row(name, counts[0][name], counts[1][name]) for name in names if counts[0][name] or counts[1][name]]
    kept = _largest(rows) if len(rows) > MAX_ROWS else rows
    left_out = f"{len(rows) - len(kept)} smaller rows are left out" if len(kept) < len(rows) else ""
    used = note if any(row.name == NO_OBJECTS for row in kept) else ""
    return Distribution(title, unit, tuple(kept), "; ".join(part for part in (used, left_out) if part))


def _most(title: str, unit: str, counts: Sequence[Counter[str]]) -> Distribution:
    """Order by size; the most frequent come first."""
    rows = [Row(name, counts[0][name], counts[1][name]) for name in counts[0].keys() | counts[1].keys()]
    kept = _largest(rows)
    left_out = f"{len(rows) - len(kept)} smaller rows are left out" if len(kept) < len(rows) else ""
    return Distribution(title, unit, tuple(kept), left_out)


def _largest(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (-row.before - row.after, row.name))[:MAX_ROWS]


def _groups(sides: Sequence[Sequence[Sample]]) -> Distribution:
    """Cameras, clips or scenes; where every sample is a group of its own there is nothing to compare."""
    counts = _count(sides, lambda sample: sample.group or "(no group)")
    if all(len(count) == len(side) for count, side in zip(counts, sides, strict=True)):
        return Distribution("", "samples", ())
    return _most("Samples per camera, clip or scene (group)", "samples", counts)


def _size_names() -> list[str]:
    between = [f"{low} to {high} px" for low, high in pairwise(OBJECT_SIDES_PX)]
    return [f"below {OBJECT_SIDES_PX[0]} px", *between, f"from {OBJECT_SIDES_PX[-1]} px"]


def _object_sizes(sides: Sequence[Sequence[Sample]]) -> list[Counter[str]]:
    import numpy as np

    names, counts = _size_names(), []
    for side in sides:
        boxes = [item.bbox_xywh_px for sample in side for item in sample.annotations if item.bbox_xywh_px is not None]
        sizes_px = np.array(boxes, np.float64).reshape(-1, 4)[:, 2:].clip(0)
        bins = np.digitize(np.sqrt(sizes_px.prod(axis=1)), OBJECT_SIDES_PX)
        counts.append(Counter({names[number]: int(n) for number, n in enumerate(np.bincount(bins, minlength=len(names)))}))
    return counts


def _brightness(sides: Sequence[LocalVersion], brightness: Mapping[str, float]) -> Distribution:
    names = [f"{low} to {low + BRIGHTNESS_STEP - 1}" for low in range(0, 256, BRIGHTNESS_STEP)]
    counts, n_unknown = [], 0
    for side in sides:
        values = [brightness[image.sha256] for image in side.images.values() if image.sha256 in brightness]
        n_unknown += len(side.images) - len(values)
        counts.append(Counter(names[min(int(value), 255) // BRIGHTNESS_STEP] for value in values))
    made = _ordered("Brightness of the images (mean grey value, 0 to 255)", "samples", names, counts)
    note = f"{n_unknown} images were not measured on this machine and are left out" if n_unknown else ""
    return Distribution(made.title, made.unit, made.rows, note)
