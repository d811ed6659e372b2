"""Validate a dataset version, and screen an import: which samples are good, and why the others are not."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lakegate.canonical import exact_json, sha256_bytes
from lakegate.declarations import DatasetDeclaration
from lakegate.errors import ValidationFailed
from lakegate.gate_rules import Outcome
from lakegate.quality.earlier_test import EarlierTestImages
from lakegate.quality.image_metrics import METRICS_VERSION, MeasuredImages
from lakegate.quality.images import measure_many
from lakegate.quality.leaks import Compared, find_leaks
from lakegate.quality.metrics_cache import MetricsCache
from lakegate.quality.parent import ParentVersion
from lakegate.quality.problems import SampleProblem
from lakegate.quality.rule_lines import import_lines, leak_lines, limit_line, schema_lines
from lakegate.quality.rules import Limit, RuleLine, limits_of
from lakegate.quality.schema import find_problems
from lakegate.quality.suite import judge_metrics
from lakegate.quality.tables import build_tables
from lakegate.quality.version_limits import version_lines
from lakegate.quality.whole_set import information_lines, splits_line
from lakegate.samples import ImportedSample, Sample
from lakegate.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

_NAMED_IN_ERRORS = 10


@dataclass(frozen=True)
class ValidationResult:
    """The verdict on one version: one line per rule, one problem per bad sample and rule, the metrics of every whole image."""

    outcome: Outcome
    rules: tuple[RuleLine, ...]
    problems: tuple[SampleProblem, ...]
    metrics: "pd.DataFrame"
    n_samples: int
    n_measured: int = 0  # images that were decoded now; the others' metrics were known

    @property
    def bad_sample_ids(self) -> frozenset[str]:
        """Ids of all samples with a problem."""
        return frozenset(problem.sample_id for problem in self.problems)

    @property
    def judging_rules(self) -> tuple[RuleLine, ...]:
        """The lines that can fail a version."""
        return tuple(line for line in self.rules if not line.informs)

    @property
    def rules_digest(self) -> str:
        """SHA-256 over what was asked (names, words, limits), not over the answers: goes into the attestation."""
        asked = [[line.name, line.words, line.limit] for line in self.judging_rules]
        return sha256_bytes(exact_json({"rules": asked, "metrics_version": METRICS_VERSION}))

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        n_rules = len(self.judging_rules)
        if self.outcome is Outcome.PASS:
            return f"{count_of(self.n_samples, 'sample')} pass{'es' if self.n_samples == 1 else ''} all {n_rules} rules."
        if self.outcome is Outcome.NOT_ENOUGH_DATA:
            return "There is no sample to judge."
        broken = sum(line.outcome is Outcome.FAIL for line in self.rules)
        n_bad, have = len(self.bad_sample_ids), "has" if len(self.bad_sample_ids) == 1 else "have"
        if not n_bad:
            broken_lines = (line for line in self.rules if line.outcome is Outcome.FAIL)
            return " ".join(f"{detail}." for line in broken_lines for detail in line.details)
        return f"{n_bad} of {count_of(self.n_samples, 'sample')} {have} problems; {broken} of {n_rules} rules are broken."


@dataclass(frozen=True)
class Screening:
    """An import, parted: what goes into the version, what does not and why, and the imported samples that were set aside."""

    good: list[ImportedSample]
    quarantined: list[SampleProblem]
    set_aside: list[ImportedSample]
    result: ValidationResult  # on everything that was imported

    @property
    def sentence(self) -> str:
        """Say how many samples go in and how many do not."""
        n_bad = len({problem.sample_id for problem in self.quarantined})
        return f"{count_of(len(self.good), 'sample')} good, {n_bad} quarantined."


def count_of(number: int, noun: str) -> str:
    """Return ``"1 sample"``, ``"2 samples"``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def validate(
    samples: Sequence[Sample],
    images: Mapping[str, Path],
    declaration: DatasetDeclaration,
    problems: Sequence[SampleProblem] = (),
    settings: Settings | None = None,
    *,
    earlier_test: EarlierTestImages | None = None,
    parent: ParentVersion | None = None,
    known_sha256: Mapping[str, str] | None = None,
) -> ValidationResult:
    """Judge samples and their images by the schema, the limits of ``[quality]``, and what the whole set shows.

    Args:
        samples: in any order.
        images: image file by sample id; a missing one is a problem, not an error.
        declaration: labels, splits and limits.
        problems: found before, while the export was read; they count, and the samples need not be in ``samples``.
        settings: ``threads``, and ``cache_dir/metrics``, where metrics are kept by the image's SHA-256.
        earlier_test: what models were judged on before; nothing of it may be learned from. ``None`` where nothing is known.
        parent: the version before, which a shift is measured against; ``None`` where there is none.
        known_sha256: by sample id, of images whose bytes were verified; they are not read again to find their metrics.
    """
    settings = settings or Settings.load()
    ordered = sorted(samples, key=lambda sample: sample.id)
    files = [(sample.id, images[sample.id]) for sample in ordered if sample.id in images]
    measured = measure_many(files, settings.threads, MetricsCache(settings.cache_dir / "metrics"), known_sha256)
    tables = build_tables(ordered, images, measured)
    file_names = dict(zip(tables.samples["sample_id"], tables.samples["file"], strict=True))
    earlier = earlier_test or EarlierTestImages()
    compared = Compared(tuple(ordered), measured, file_names, declaration.quality.near_duplicate_bits)
    limits, metrics = limits_of(declaration.quality), _metrics_table(measured)
    found = _once_per_rule(
        *problems,
        *find_problems(tables, declaration.labels, declaration.task),
        *find_leaks(compared, earlier),
        *_limit_problems(metrics, limits, file_names),
    )
    lines = (
        *import_lines(problems, len(samples)),
        *schema_lines(tables, measured, found, declaration.task),
        *leak_lines(measured, found, declaration, earlier.versions),
        splits_line(ordered, declaration),
        *(limit_line(limit, len(metrics), found) for limit in limits),
        *version_lines(ordered, metrics, declaration, parent),
        *information_lines(compared, declaration),
    )
    n_samples = len({sample.id for sample in samples} | {problem.sample_id for problem in problems})
    if any(line.outcome is Outcome.FAIL for line in lines):
        outcome = Outcome.FAIL
    else:
        outcome = Outcome.PASS if samples else Outcome.NOT_ENOUGH_DATA
    return ValidationResult(outcome, lines, tuple(sorted(found, key=_by_sample)), metrics, n_samples, measured.n_measured)


def screen(
    imported: Sequence[ImportedSample],
    declaration: DatasetDeclaration,
    problems: Sequence[SampleProblem] = (),
    settings: Settings | None = None,
    *,
    earlier_test: EarlierTestImages | None = None,
    parent: ParentVersion | None = None,
) -> Screening:
    """Part an import into good samples and quarantined ones, by ``on_bad_sample``.

    Raises:
        ValidationFailed: the dataset refuses and a sample is bad; or what is left is no dataset (no sample, an empty split).
    """
    images = {item.sample.id: item.image for item in imported}
    samples = [item.sample for item in imported]
    result = validate(samples, images, declaration, problems, settings, earlier_test=earlier_test, parent=parent)
    bad = result.bad_sample_ids
    if bad and declaration.on_bad_sample == "refuse":
        raise ValidationFailed(_refusal(result, declaration))
    good = [item for item in imported if item.sample.id not in bad]
    if not good:
        raise ValidationFailed(f"{declaration.name}: no good sample is left of {result.n_samples}. {_named(result.problems)}")
    kept = [item.sample for item in good]
    lines = [splits_line(kept, declaration), *version_lines(kept, result.metrics, declaration, parent)]
    if broken := [detail for line in lines if line.outcome is Outcome.FAIL for detail in line.details]:
        raise ValidationFailed(f"{declaration.name}: {'; '.join(broken)}")
    return Screening(good, list(result.problems), [item for item in imported if item.sample.id in bad], result)


def _once_per_rule(*problems: SampleProblem) -> list[SampleProblem]:
    """Keep the first problem of each sample and rule: what the import said of a file is not repeated."""
    kept: dict[tuple[str, str], SampleProblem] = {}
    for problem in problems:
        kept.setdefault((problem.sample_id, problem.rule), problem)
    return list(kept.values())


def _by_sample(problem: SampleProblem) -> tuple[str, str]:
    return problem.sample_id, problem.rule


def _refusal(result: ValidationResult, declaration: DatasetDeclaration) -> str:
    return (
        f"{declaration.name}: {len(result.bad_sample_ids)} of {count_of(result.n_samples, 'sample')} cannot be published, and "
        f"this dataset refuses bad samples. {_named(result.problems)} "
        'Repair the export, or set on_bad_sample = "quarantine" to publish without them; main was not touched.'
    )


def _named(problems: Sequence[SampleProblem]) -> str:
    lines = [f"\n  {item.name}: {item.reason} [{item.rule}]" for item in problems[:_NAMED_IN_ERRORS]]
    more = len(problems) - len(lines)
    return "".join(lines) + (f"\n  and {count_of(more, 'problem')} more" if more > 0 else "") + "\n"


def _metrics_table(measured: MeasuredImages) -> "pd.DataFrame":
    """Return one row per whole image, ascending by sample id, with both sides as the limits name them."""
    import pandas as pd

    rows = [
        {
            "sample_id": key,
            **asdict(metrics),
            "shorter_side_px": min(metrics.width_px, metrics.height_px),
            "longer_side_px": max(metrics.width_px, metrics.height_px),
        }
        for key, metrics in sorted(measured.metrics.items())
    ]
    return pd.DataFrame(rows)


def _limit_problems(metrics: "pd.DataFrame", limits: Sequence[Limit], files: Mapping[str, str]) -> list[SampleProblem]:
    failed = judge_metrics(metrics, limits)
    values = metrics.set_index("sample_id") if len(metrics) else metrics
    return [
        SampleProblem(
            sample_id,
            files[sample_id],
            limit.rule,
            f"{limit.column} is {values.at[sample_id, limit.column]:.4g}; allowed is {limit.text}",
        )
        for limit in limits
        for sample_id in failed[limit.rule]
    ]
