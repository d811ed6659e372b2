"""What is in a set of samples, counted for a page: labels by split, groups, tags, and the spread of what was measured."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from lakegate.declarations import DatasetDeclaration
from lakegate.quality.rules import limits_of
from lakegate.samples import Sample

if TYPE_CHECKING:
    import pandas as pd

MAX_BARS = 40
_BINS = 24
_CHARTS = {
    "brightness": "Brightness (mean grey value)",
    "contrast": "Contrast (spread of the grey values)",
    "blur": "Sharpness (variance of the Laplacian)",
}


class LabelRow(NamedTuple):
    """One label: objects, samples that have it, objects per split in the order of the table's head."""

    label: str
    n_objects: int
    n_samples: int
    by_split: list[int]


class Bars(NamedTuple):
    """What the template's ``bars`` draws."""

    title: str
    rows: list[tuple[str, int]]


class Histogram(NamedTuple):
    """What the template's ``histogram`` draws: bins as (from, to, count, is outside the limits)."""

    title: str
    bins: list[tuple[float, float, int, bool]]
    limits: list[float]
    ends: tuple[float, float]


class Contents(NamedTuple):
    """All of it; ``n_empty`` are samples on which nothing is labelled."""

    splits: dict[str, int]
    labels: list[LabelRow]
    bars: list[Bars]
    n_objects: int
    n_empty: int


def describe_contents(samples: Sequence[Sample], declaration: DatasetDeclaration) -> Contents:
    """Count what a page shows of a set of samples."""
    splits = count_splits(samples)
    bars = [Bars("Samples per split", list(splits.items()))]
    groups = [sample.group for sample in samples if sample.group != sample.id]
    bars += _counted("Samples per group (camera, clip or scene)", groups)
    bars += _counted("Samples per tag", [tag for sample in samples for tag in sample.tags])
    n_objects = sum(len(sample.annotations) for sample in samples)
    n_empty = sum(not sample.annotations for sample in samples)
    return Contents(splits, _label_rows(samples, declaration, list(splits)), bars, n_objects, n_empty)


def count_labels(samples: Sequence[Sample], declaration: DatasetDeclaration) -> dict[str, int]:
    """Count objects per label: declared ones in their order, then others."""
    found = Counter(item.label for sample in samples for item in sample.annotations)
    return {label: found[label] for label in (*declaration.labels, *sorted(set(found) - set(declaration.labels)))}


def count_splits(samples: Sequence[Sample]) -> dict[str, int]:
    """Count samples per split; an empty ``val`` is left out."""
    found = Counter(str(sample.split) for sample in samples)
    names = dict.fromkeys(["train", *(["val"] if found["val"] else []), "test", *sorted(found)])
    return {name: found[name] for name in names}


def draw_histograms(metrics: "pd.DataFrame", samples: Sequence[Sample], declaration: DatasetDeclaration) -> list[Histogram]:
    """Return the spread of objects per image and of what was measured, with the declared limits."""
    limits = {limit.column: (limit.lowest, limit.highest) for limit in limits_of(declaration.quality)}
    charts = []
    if samples:
        charts.append(_histogram("Objects per image", [float(len(sample.annotations)) for sample in samples], (None, None)))
    for column, title in _CHARTS.items():
        if len(metrics) and column in metrics:
            charts.append(_histogram(title, [float(value) for value in metrics[column]], limits.get(column, (None, None))))
    return charts


def _label_rows(samples: Sequence[Sample], declaration: DatasetDeclaration, splits: Sequence[str]) -> list[LabelRow]:
    objects = Counter((item.label, str(sample.split)) for sample in samples for item in sample.annotations)
    holders = Counter(label for sample in samples for label in {item.label for item in sample.annotations})
    return [
        LabelRow(label, count, holders[label], [objects[label, split] for split in splits])
        for label, count in count_labels(samples, declaration).items()
    ]


def _counted(title: str, names: Sequence[str]) -> list[Bars]:
    count = Counter(name for name in names if name)
    if not count:
        return []
    rows = sorted(count.items(), key=lambda item: (-item[1], item[0]))
    more = f"; the {MAX_BARS} largest of {len(rows):,}" if len(rows) > MAX_BARS else ""
    return [Bars(title + more, rows[:MAX_BARS])]


def _histogram(title: str, values: Sequence[float], limits: tuple[float | None, float | None]) -> Histogram:
    import numpy as np

    drawn = [limit for limit in limits if limit is not None]
    low, high = min([*values, *drawn]), max([*values, *drawn])
    high = high if high > low else low + 1
    counts, edges = np.histogram(values, bins=_BINS, range=(low, high))
    lowest, highest = (-np.inf if limits[0] is None else limits[0]), (np.inf if limits[1] is None else limits[1])
    bins = [
        (float(start), float(end), int(count), bool(end <= lowest or start >= highest))
        for start, end, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    between = f"{title}; the dashed lines are the limits" if drawn else title
    return Histogram(between, bins, drawn, (float(low), float(high)))
