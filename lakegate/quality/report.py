"""The validation report: one self-contained page for people, and the same facts as canonical JSON."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lakegate.canonical import exact_json
from lakegate.declarations import DatasetDeclaration
from lakegate.errors import BadImage
from lakegate.gate_rules import Outcome
from lakegate.html import DrawnBox, placeholder, render, thumbnail
from lakegate.quality.problems import SampleProblem
from lakegate.quality.rules import INFORMATION, LIMITS, RULES, RuleLine, limits_of
from lakegate.quality.validation import ValidationResult, count_of
from lakegate.samples import Annotation, Sample

if TYPE_CHECKING:
    import pandas as pd

_PICTURED_PROBLEMS = 60  # further ones stand in the table and in the JSON: a page must stay a page
_STRIP = 12
_BINS = 24
_CHARTS = {
    "brightness": "Brightness (mean grey value)",
    "contrast": "Contrast (spread of the grey values)",
    "blur": "Sharpness (variance of the Laplacian)",
}


@dataclass(frozen=True)
class Heading:
    """Which version the report is about. It holds no time, so the same content gives the same report."""

    dataset: str
    version: str
    commit: str = ""
    content_digest: str = ""
    source: str = ""  # where the export came from, in words


class Card(NamedTuple):
    """One sample with its picture and what is wrong with it."""

    sample_id: str
    file: str
    picture: str
    caption: str
    reasons: list[tuple[str, str]]  # (rule in words, reason)


class Histogram(NamedTuple):
    """What the template's ``histogram`` draws: bins as (from, to, count, is outside the limits)."""

    title: str
    bins: list[tuple[float, float, int, bool]]
    limits: list[float]
    ends: tuple[float, float]


def render_validation_html(
    result: ValidationResult,
    quarantined: Sequence[SampleProblem],
    images: Mapping[str, Path],
    heading: Heading,
    samples: Sequence[Sample],
    declaration: DatasetDeclaration,
    diff: Mapping[str, Mapping[str, Any]] | None = None,
) -> str:
    """Render the page.

    Args:
        result: the verdict on what is in the version.
        quarantined: what was left out before, with reasons.
        images: image file by sample id, of both.
        heading: which version this is.
        samples: of both; those that are quarantined are shown with their boxes.
        declaration: labels in order, and limits.
        diff: against the version before, as ``DatasetDiff.to_json`` gives it.
    """
    out = {problem.sample_id for problem in quarantined}
    inside = [sample for sample in sorted(samples, key=lambda sample: sample.id) if sample.id not in out]
    every = {sample.id: sample for sample in samples}
    problems = [*quarantined, *result.problems]
    return render(
        "validation.html.j2",
        heading=heading,
        outcome=result.outcome.value,
        sentence=report_sentence(result, quarantined),
        facts=_facts(heading, declaration, inside),
        quarantined=_cards(quarantined, every, images),
        failing=_cards(result.problems, every, images),
        not_pictured=_not_pictured(quarantined) + _not_pictured(result.problems),
        rules=[_rule_row(line, quarantined) for line in _with_import_rules(result, quarantined)],
        notes=[line for line in result.rules if line.informs],
        label_bars=[(label, count) for label, count in count_labels(inside, declaration).items()],
        split_bars=list(count_splits(inside).items()),
        histograms=_histograms(result.metrics, inside, declaration),
        strip=_strip(inside, images),
        diff=diff,
        has_boxes=any(problem.boxes for problem in problems),
    )


def report_json(
    result: ValidationResult,
    quarantined: Sequence[SampleProblem],
    heading: Heading,
    samples: Sequence[Sample],
    declaration: DatasetDeclaration,
    diff: Mapping[str, Mapping[str, Any]] | None = None,
) -> bytes:
    """Return the facts of the page as canonical JSON; equal content gives equal bytes."""
    out = {problem.sample_id for problem in quarantined}
    inside = [sample for sample in samples if sample.id not in out]
    content = {
        **asdict(heading),
        "outcome": result.outcome.value,
        "sentence": report_sentence(result, quarantined),
        "rules_digest": result.rules_digest,
        "declaration_digest": declaration.digest,
        "samples": result.n_samples,
        "objects": sum(len(sample.annotations) for sample in inside),
        "labels": count_labels(inside, declaration),
        "splits": count_splits(inside),
        "rules": [asdict(line) | {"outcome": line.outcome.value} for line in result.rules],
        "problems": [asdict(problem) for problem in result.problems],
        "quarantined": [asdict(problem) for problem in quarantined],
        "diff": diff,
    }
    return exact_json(content)


def report_sentence(result: ValidationResult, quarantined: Sequence[SampleProblem]) -> str:
    """Return the verdict, and how many samples were left out."""
    n_out = len({problem.sample_id for problem in quarantined})
    if not n_out:
        return result.sentence
    left_out = "is quarantined: it is" if n_out == 1 else "are quarantined: they are"
    return f"{result.sentence} {count_of(n_out, 'sample')} {left_out} not part of this version."


def count_labels(samples: Sequence[Sample], declaration: DatasetDeclaration) -> dict[str, int]:
    """Count objects per label: declared ones in their order, then others."""
    found = Counter(item.label for sample in samples for item in sample.annotations)
    return {label: found[label] for label in (*declaration.labels, *sorted(set(found) - set(declaration.labels)))}


def count_splits(samples: Sequence[Sample]) -> dict[str, int]:
    """Count samples per split; an empty ``val`` is left out."""
    found = Counter(str(sample.split) for sample in samples)
    names = dict.fromkeys(["train", *(["val"] if found["val"] else []), "test", *sorted(found)])
    return {name: found[name] for name in names}


def _facts(heading: Heading, declaration: DatasetDeclaration, inside: Sequence[Sample]) -> list[tuple[str, str]]:
    n_objects = sum(len(sample.annotations) for sample in inside)
    facts = [("dataset", heading.dataset), ("version", heading.version), ("task", declaration.task)]
    facts += [("images", f"{len(inside):,}"), ("objects", f"{n_objects:,}"), ("on a bad sample", declaration.on_bad_sample)]
    facts += [("source", heading.source), ("audited commit", heading.commit[:12])]
    facts += [("content digest", heading.content_digest[:16])]
    return [(name, value) for name, value in facts if value]


def _rule_words(rule: str) -> str:
    if rule in LIMITS:
        return LIMITS[rule][1]
    return RULES.get(rule) or INFORMATION.get(rule) or rule.replace("_", " ").capitalize() + "."


def _with_import_rules(result: ValidationResult, quarantined: Sequence[SampleProblem]) -> list[RuleLine]:
    """Return the judging rules, and those of the import that only quarantined samples broke."""
    known = {line.name for line in result.rules}
    names = dict.fromkeys(problem.rule for problem in quarantined if problem.rule not in known)
    lines = [*(RuleLine(name, _rule_words(name), 0, 0, informs=True) for name in names), *result.judging_rules]
    return sorted(lines, key=lambda line: line.outcome is not Outcome.FAIL)  # what is broken stands first


def _rule_row(line: RuleLine, quarantined: Sequence[SampleProblem]) -> dict[str, Any]:
    before = {problem.sample_id for problem in quarantined if problem.rule == line.name}
    words = _rule_words(line.name)
    return {"line": line, "words": words, "quarantined": len(before), "outcome": line.outcome.value}


def _cards(problems: Sequence[SampleProblem], samples: Mapping[str, Sample], images: Mapping[str, Path]) -> list[Card]:
    by_sample: dict[str, list[SampleProblem]] = {}
    for problem in problems:
        by_sample.setdefault(problem.sample_id, []).append(problem)
    cards = []
    for sample_id, own in list(by_sample.items())[:_PICTURED_PROBLEMS]:
        bad = {number for problem in own for number in problem.boxes}
        picture = _picture(samples.get(sample_id), images.get(sample_id), bad)
        reasons = [(_rule_words(problem.rule), problem.reason) for problem in own]
        caption = _count_words(samples[sample_id]) if sample_id in samples else "no labels were read"
        cards.append(Card(sample_id, own[0].file, picture, caption, reasons))
    return cards


def _not_pictured(problems: Sequence[SampleProblem]) -> list[SampleProblem]:
    pictured = set(list(dict.fromkeys(problem.sample_id for problem in problems))[:_PICTURED_PROBLEMS])
    return [problem for problem in problems if problem.sample_id not in pictured]


def _picture(sample: Sample | None, image: Path | None, bad: set[int]) -> str:
    if image is None:
        return placeholder("no picture was delivered")
    boxes = [_drawn(item, number in bad) for number, item in enumerate(sample.annotations, start=1)] if sample else []
    try:
        return thumbnail(image, [box for box in boxes if box], max_side_px=480)
    except BadImage:
        return placeholder("this file cannot be shown as a picture")


def _drawn(item: Annotation, is_bad: bool) -> DrawnBox | None:
    if item.bbox_xywh_px is None:
        return None
    return DrawnBox(item.box_xyxy_px, item.label if is_bad else "", "bad" if is_bad else "truth")


def _strip(inside: Sequence[Sample], images: Mapping[str, Path]) -> list[Card]:
    """Return samples at even distances, so that the whole set is seen and not its beginning."""
    with_image = [sample for sample in inside if sample.id in images]
    step = max(1, -(-len(with_image) // _STRIP))
    return [
        Card(sample.id, sample.id, _picture(sample, images[sample.id], set()), f"{sample.split}; {_count_words(sample)}", [])
        for sample in with_image[::step]
    ]


def _count_words(sample: Sample) -> str:
    count = Counter(item.label for item in sample.annotations)
    return ", ".join(f"{number} {label}" for label, number in sorted(count.items())) or "no objects"


def _histograms(metrics: "pd.DataFrame", inside: Sequence[Sample], declaration: DatasetDeclaration) -> list[Histogram]:
    limits = {limit.column: (limit.lowest, limit.highest) for limit in limits_of(declaration.quality)}
    charts = []
    if inside:
        charts.append(_histogram("Objects per image", [float(len(sample.annotations)) for sample in inside], (None, None)))
    if len(metrics):
        for column, title in _CHARTS.items():
            charts.append(_histogram(title, [float(value) for value in metrics[column]], limits.get(column, (None, None))))
    return charts


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
