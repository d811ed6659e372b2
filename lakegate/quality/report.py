"""The validation report: one self-contained page for people, and the same facts as canonical JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lakegate.canonical import exact_json
from lakegate.declarations import DatasetDeclaration
from lakegate.gate_rules import Outcome
from lakegate.html import render
from lakegate.quality.contents import count_labels, count_splits, describe_contents, draw_histograms
from lakegate.quality.gallery import ImageFile, Limits, make_gallery
from lakegate.quality.problems import SampleProblem
from lakegate.quality.rules import INFORMATION, LIMITS, RULES, RuleLine
from lakegate.quality.validation import ValidationResult, count_of
from lakegate.samples import Sample
from lakegate.thumbnails import Thumbnails

PAGE_LIMITS = Limits(pictures=600, problem_pictures=300)  # the page is kept as evidence: up to about 12 MB of pictures
LISTED_PROBLEMS = 500  # as plain text below the pictures; further ones are in the gallery and in the JSON


@dataclass(frozen=True)
class Heading:
    """Which version the report is about. It holds no time, so the same content gives the same report."""

    dataset: str
    version: str
    commit: str = ""
    content_digest: str = ""
    source: str = ""  # where the export came from, in words


def render_validation_html(
    result: ValidationResult,
    quarantined: Sequence[SampleProblem],
    images: Mapping[str, Path],
    heading: Heading,
    samples: Sequence[Sample],
    declaration: DatasetDeclaration,
    diff: Mapping[str, Mapping[str, Any]] | None = None,
    thumbnails: Thumbnails | None = None,
    import_notes: Sequence[str] = (),
) -> str:
    """Render the page. All samples are listed; :data:`PAGE_LIMITS` says how many are pictured, those with problems first.

    Args:
        result: the verdict on what is in the version.
        quarantined: what was left out before, with reasons.
        images: image file by sample id, of both.
        heading: which version this is.
        samples: of both; those that are quarantined are shown with their objects.
        declaration: labels in order, and limits.
        diff: against the version before, as ``DatasetDiff.to_json`` gives it.
        thumbnails: where small pictures are kept; by default they are made anew.
        import_notes: what the import said of the export as a whole.
    """
    out = {problem.sample_id for problem in quarantined}
    ordered = sorted(samples, key=lambda sample: sample.id)
    inside = [sample for sample in ordered if sample.id not in out]
    problems = [*((item, False) for item in result.problems), *((item, True) for item in quarantined)]
    gallery = make_gallery(
        inside,
        _image_files(result, images),
        thumbnails or Thumbnails(),
        outside=[sample for sample in ordered if sample.id in out],
        problems=problems,
        rule_words={item.rule: _rule_words(item.rule) for item, _ in problems},
        labels=declaration.labels,
        limits=PAGE_LIMITS,
    )
    return render(
        "validation.html.j2",
        heading=heading,
        outcome=result.outcome.value,
        sentence=report_sentence(result, quarantined),
        facts=_facts(heading, declaration, inside),
        gallery=gallery,
        n_failing=len(result.bad_sample_ids),
        n_quarantined=len(out),
        listed=problems[:LISTED_PROBLEMS],
        n_not_listed=max(len(problems) - LISTED_PROBLEMS, 0),
        rules=[_rule_row(line, quarantined) for line in _with_import_rules(result, quarantined)],
        notes=[line for line in result.rules if line.informs],
        contents=describe_contents(inside, declaration),
        histograms=draw_histograms(result.metrics, inside, declaration),
        import_notes=import_notes,
        diff=diff,
    )


def report_json(
    result: ValidationResult,
    quarantined: Sequence[SampleProblem],
    heading: Heading,
    samples: Sequence[Sample],
    declaration: DatasetDeclaration,
    diff: Mapping[str, Mapping[str, Any]] | None = None,
    import_notes: Sequence[str] = (),
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
        "import_notes": list(import_notes),
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


def _image_files(result: ValidationResult, images: Mapping[str, Path]) -> dict[str, ImageFile]:
    metrics = result.metrics
    known = dict(zip(metrics["sample_id"], metrics["sha256"], strict=True)) if len(metrics) else {}
    return {name: ImageFile(path, known.get(name, "")) for name, path in images.items()}
