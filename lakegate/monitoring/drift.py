"""Do production's frames still look like what the model was trained on? Advisory: a verdict to look at, nothing moves."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from lakegate.monitoring.embedding import DomainResult, separate
from lakegate.monitoring.measures import FloatArray, Table

MIN_IMAGES = 30
FALSE_ALARMS = 0.01
"""Chance that at least one column is flagged although nothing changed (Bonferroni); frames taken as independent."""
DOMAIN_AUC_MAX = 0.8
"""With 30 frames, images of one set reach 0.7 by chance (docs/design.md, section 9): above 0.8 the two sets do differ."""
METHOD = "ks"
METHOD_WORDS = "Kolmogorov-Smirnov test, two-sided p-value"


class DriftOutcome(StrEnum):
    """A closed answer; few frames are neither drift nor its absence."""

    DRIFT = "drift"
    NO_DRIFT = "no drift"
    NOT_ENOUGH_DATA = "not enough data"


@dataclass(frozen=True)
class Column:
    """One number per image on both sides. ``reference_words`` says which images the reference values are from."""

    name: str
    words: str
    reference: FloatArray
    frames: FloatArray
    reference_words: str


@dataclass(frozen=True)
class ColumnResult:
    """What the test said about one column; ``p_value`` is ``None`` where there were too few values."""

    name: str
    words: str
    outcome: DriftOutcome
    p_value: float | None
    threshold: float
    reference_median: float | None
    frames_median: float | None
    n_reference: int
    n_frames: int
    sentence: str


@dataclass(frozen=True, eq=False)
class DriftVerdict:
    """The verdict, one result for each column, and how well a classifier tells both sides apart (``None``: too few)."""

    outcome: DriftOutcome
    sentence: str
    columns: tuple[ColumnResult, ...]
    domain: DomainResult | None
    evidently_html: str


def make_columns(
    words: Mapping[str, str], reference: Table, frames: Table, reference_words: str
) -> list[Column]:
    """Pair the columns of two tables, in the order of ``words``."""
    return [Column(name, text, reference[name], frames[name], reference_words) for name, text in words.items()]


def judge(
    columns: list[Column], reference_NF: FloatArray, groups: list[str], frames_NF: FloatArray, with_html: bool = True
) -> DriftVerdict:
    """Compare column by column with Evidently, and the embeddings with a domain classifier.

    DRIFT where a column's p-value is below ``FALSE_ALARMS`` divided by the number of columns, or the classifier's area under
    the curve reaches ``DOMAIN_AUC_MAX``; NOT_ENOUGH_DATA with fewer than ``MIN_IMAGES`` frames or reference images.

    Args:
        columns: image and prediction columns; both sides may have another number of rows in each.
        reference_NF: embeddings of the reference images, shape (N, features); groups: theirs.
        frames_NF: embeddings of the frames, ascending by time.
        with_html: False leaves Evidently's page out.
    """
    n_reference, n_frames = len(reference_NF), len(frames_NF)
    if min(n_reference, n_frames) < MIN_IMAGES:
        sentence = _too_few(n_reference, n_frames)
        return DriftVerdict(DriftOutcome.NOT_ENOUGH_DATA, sentence, (), None, "")
    threshold = FALSE_ALARMS / len(columns)
    enough = [item for item in columns if min(_count(item.reference), _count(item.frames)) >= MIN_IMAGES]
    p_values, html = _run_evidently(enough, threshold, with_html)
    results = tuple(_result(item, p_values.get(item.name), threshold) for item in columns)
    domain = separate(reference_NF, groups, frames_NF)
    outcome, sentence = _conclude(results, domain, n_frames)
    return DriftVerdict(outcome, sentence, results, domain, html)


def _too_few(n_reference: int, n_frames: int) -> str:
    if n_frames < MIN_IMAGES:
        return (
            f"{n_frames} usable frames are too few to say anything; {MIN_IMAGES} are needed: look at a longer window, "
            "or raise sampling_ratio in [monitoring] of model.toml"
        )
    return f"the training version has {n_reference} usable images; {MIN_IMAGES} are needed to compare with"


def _count(values: FloatArray) -> int:
    return int(np.isfinite(values).sum())


def _run_evidently(columns: list[Column], threshold: float, with_html: bool) -> tuple[dict[str, float], str]:
    """Return the p-value by column and Evidently's own page; nothing is left to its defaults."""
    if not columns:
        return {}, ""
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report  # type: ignore[import-untyped]
    from evidently.metrics import ValueDrift  # type: ignore[import-untyped]

    definition = DataDefinition(numerical_columns=[item.name for item in columns])
    frames, reference = (
        Dataset.from_pandas(
            pd.DataFrame({item.name: pd.Series(getattr(item, side)) for item in columns}), data_definition=definition
        )
        for side in ("frames", "reference")
    )
    metrics = [ValueDrift(column=item.name, method=METHOD, threshold=threshold) for item in columns]
    snapshot = Report(metrics, include_tests=True).run(frames, reference)
    found = {item["config"]["column"]: float(item["value"]) for item in snapshot.dict()["metrics"]}
    return found, str(snapshot.get_html_str(as_iframe=False)) if with_html else ""


def _result(column: Column, p_value: float | None, threshold: float) -> ColumnResult:
    n_reference, n_frames = _count(column.reference), _count(column.frames)
    before, now = _median(column.reference), _median(column.frames)
    if p_value is None or math.isnan(p_value):
        outcome = DriftOutcome.NOT_ENOUGH_DATA
        sentence = f"{n_frames} frames and {n_reference} reference images have a value; {MIN_IMAGES} are needed"
    else:
        outcome = DriftOutcome.DRIFT if p_value < threshold else DriftOutcome.NO_DRIFT
        differs = "differs from" if outcome is DriftOutcome.DRIFT else "agrees with"
        sentence = (
            f"median {now:.4g} in production {differs} {before:.4g} on {column.reference_words}: "
            f"p = {p_value:.2g}, flagged below {threshold:.2g}"
        )
    return ColumnResult(
        column.name, column.words, outcome, p_value, threshold, before, now, n_reference, n_frames, sentence
    )


def _median(values: FloatArray) -> float | None:
    return float(np.nanmedian(values)) if _count(values) else None


def _change(item: ColumnResult) -> str:
    """Say in a few words what changed, as in ``brightness 127 (training: 181)``; the explanation of the column left out."""
    return f"{item.words.partition(' (')[0]} {item.frames_median:.4g} (training: {item.reference_median:.4g})"


def _conclude(results: tuple[ColumnResult, ...], domain: DomainResult, n_frames: int) -> tuple[DriftOutcome, str]:
    flagged = [_change(item) for item in results if item.outcome is DriftOutcome.DRIFT]
    if domain.auc >= DOMAIN_AUC_MAX:
        flagged.insert(0, "the look of the images as a whole")
    if not flagged:
        compared = sum(item.outcome is DriftOutcome.NO_DRIFT for item in results)
        return DriftOutcome.NO_DRIFT, (
            f"{n_frames} frames look like what the model was trained on: none of {compared} columns is flagged, "
            f"and a classifier does not tell the images apart (area under the curve {domain.auc:.2f})."
        )
    rest = f", and {len(flagged) - 3} more" if len(flagged) > 3 else ""
    return DriftOutcome.DRIFT, (
        f"{n_frames} frames differ from what the model was trained on: {'; '.join(flagged[:3])}{rest}. "
        "Look at the frames below; if they are right as they are, label some and publish them as a new version."
    )
