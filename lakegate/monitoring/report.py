"""The drift page: one self-contained HTML file that answers "does production still see what the model learned from?"."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lakegate.errors import BadImage
from lakegate.html import DrawnBox, placeholder, render, thumbnail
from lakegate.monitoring.drift import (
    DOMAIN_AUC_MAX,
    FALSE_ALARMS,
    METHOD_WORDS,
    MIN_IMAGES,
    Column,
    DriftOutcome,
    DriftVerdict,
)
from lakegate.monitoring.frames import SeenObject
from lakegate.registry.documents import Document

N_PICTURES = 8
N_UNUSABLE = 20
N_BINS = 16
_ORDER = (DriftOutcome.DRIFT, DriftOutcome.NOT_ENOUGH_DATA, DriftOutcome.NO_DRIFT)


class ColumnFacts(Document):
    """One column of the report, as :class:`lakegate.monitoring.drift.ColumnResult`."""

    name: str
    words: str
    outcome: str
    p_value: float | None
    threshold: float
    reference_median: float | None
    frames_median: float | None
    n_reference: int
    n_frames: int
    sentence: str


class WatchFacts(Document):
    """Everything that the page says, without pictures; kept in the evidence by its digest."""

    model: str
    release: int
    run_id: str
    versions: tuple[str, ...]
    content_digests: tuple[str, ...]
    window_start: str
    window_end: str
    outcome: str
    sentence: str
    n_frames: int
    n_in_window: int
    n_repeated: int
    n_trained_on: int
    unusable: dict[str, str]
    n_reference: int
    n_predicted: int
    columns: tuple[ColumnFacts, ...]
    domain_auc: float | None
    domain_auc_max: float = DOMAIN_AUC_MAX
    false_alarms: float = FALSE_ALARMS

    @property
    def stamp(self) -> str:
        """The end of the window, as names of files hold it; later ones sort behind."""
        return re.sub(r"[-:]", "", self.window_end[:19])

    @property
    def evidence(self) -> str:
        """Path of the evidence without its suffix (``.json``, ``.html``)."""
        return f"drift/{self.model}/{self.stamp}-{self.digest[:12]}"


@dataclass(frozen=True)
class Picture:
    """An image of the page with what the model found in it."""

    path: Path
    caption: str
    objects: tuple[SeenObject, ...]


class Chart(NamedTuple):
    """Two histograms over the same bins: each bin as (x, share of the reference, share of the frames), all 0..1."""

    title: str
    outcome: str
    bins: list[tuple[float, float, float]]
    ends: tuple[float, float]


def facts_of(verdict: DriftVerdict, **inputs: Any) -> WatchFacts:
    """Join the verdict with what was looked at (the other fields of :class:`WatchFacts`)."""
    columns = tuple(ColumnFacts.model_validate(vars(item)) for item in verdict.columns)
    auc = None if verdict.domain is None else verdict.domain.auc
    return WatchFacts(
        outcome=verdict.outcome.value, sentence=verdict.sentence, columns=columns, domain_auc=auc, **inputs
    )


def render_drift_html(
    facts: WatchFacts,
    columns: Sequence[Column],
    frames: Sequence[Picture],
    reference: Sequence[Picture],
    evidently_page: str,
) -> str:
    """Render the page.

    Args:
        facts: what it says.
        columns: the values behind the charts.
        frames: the most foreign first; reference: training images to compare with. The first ``N_PICTURES`` are shown.
        evidently_page: name of Evidently's own page beside this one; may be empty.
    """
    by_name = {item.name: item for item in columns}
    results = sorted(facts.columns, key=lambda item: _ORDER.index(DriftOutcome(item.outcome)))
    return render(
        "drift.html.j2",
        facts=facts,
        results=results,
        charts=[_chart(by_name[item.name], item.outcome) for item in results if item.p_value is not None],
        domain_words=_domain_words(facts),
        frames=[(_picture(item), item.caption, _count_words(item)) for item in frames[:N_PICTURES]],
        reference=[(_picture(item), item.caption) for item in reference[:N_PICTURES]],
        n_frames_shown=min(len(frames), N_PICTURES),
        unusable=sorted(facts.unusable.items())[:N_UNUSABLE],
        evidently_page=evidently_page,
        method_words=METHOD_WORDS,
        min_images=MIN_IMAGES,
    )


def _domain_words(facts: WatchFacts) -> str:
    if facts.domain_auc is None:
        return ""
    told = "tells frames from training images" if facts.domain_auc >= facts.domain_auc_max else "does not tell the images apart"
    return (
        f"A classifier over colour, layout and structure {told}: area under the curve {facts.domain_auc:.2f}, "
        f"flagged from {facts.domain_auc_max:g} (0.5: not at all; 1: each one)."
    )


def _chart(column: Column, outcome: str) -> Chart:
    before, now = (values[np.isfinite(values)] for values in (column.reference, column.frames))
    low, high = float(min(before.min(), now.min())), float(max(before.max(), now.max()))
    high = high if high > low else low + 1
    shares = [np.histogram(values, bins=N_BINS, range=(low, high))[0] / len(values) for values in (before, now)]
    top = max(float(share.max()) for share in shares)
    bins = [
        (place / N_BINS, float(old) / top, float(new) / top) for place, (old, new) in enumerate(zip(*shares, strict=True))
    ]
    return Chart(column.words, outcome, bins, (low, high))


def _picture(picture: Picture) -> str:
    boxes = [DrawnBox(item.box_xyxy_px, "", "hit") for item in picture.objects]
    try:
        return thumbnail(picture.path, boxes)
    except BadImage:
        return placeholder("this file cannot be shown")


def _count_words(picture: Picture) -> str:
    names = [item.label for item in picture.objects]
    return ", ".join(f"{names.count(name)} {name}" for name in sorted(set(names))) or "nothing found"
