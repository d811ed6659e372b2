"""A version as a whole: class balance, empty images, coverage of cameras, shift; judged where ``[quality]`` has a limit."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from lakegate.declarations import DatasetDeclaration
from lakegate.quality.parent import COMPARED, ParentVersion, label_distance, largest_distance
from lakegate.quality.rules import VERSION_LIMITS, Limit, RuleLine, limits_of
from lakegate.quality.suite import judge_metrics
from lakegate.samples import Sample

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 10
_VERSION = "version"  # the one row of the table that great-expectations judges


class Fact(NamedTuple):
    """One number about the version, and a sentence that says what it is about."""

    value: float
    sentence: str


def version_lines(
    samples: Sequence[Sample], metrics: "pd.DataFrame", declaration: DatasetDeclaration, parent: ParentVersion | None
) -> list[RuleLine]:
    """Return one line per fact: it can fail the version where ``[quality]`` sets its limit, else it informs.

    Args:
        samples: of the version.
        metrics: one row per whole image with the columns of ``ImageMetrics``; of these samples or of more.
        declaration: labels and limits.
        parent: the version before; without one nothing is said about a shift.
    """
    facts = version_facts(samples, metrics, declaration, parent)
    limits = {limit.rule: limit for limit in limits_of(declaration.quality, VERSION_LIMITS)}
    failed = _judge(facts, list(limits.values()))
    told = [rule for rule in VERSION_LIMITS if rule in facts or rule in limits]
    return [_line(rule, facts.get(rule), limits.get(rule), rule in failed) for rule in told]


def version_facts(
    samples: Sequence[Sample], metrics: "pd.DataFrame", declaration: DatasetDeclaration, parent: ParentVersion | None
) -> dict[str, Fact]:
    """Return the facts by the name of their limit; what cannot be said (groups where each image is its own) is left out."""
    facts: dict[str, Fact] = {}
    if not samples:
        return facts
    empty = sum(not sample.annotations for sample in samples)
    facts["max_empty_share"] = Fact(empty / len(samples), f"{empty} of {len(samples)} images have no object")
    per_label = Counter(item.label for sample in samples for item in sample.annotations)
    rarest = min(declaration.labels, key=lambda label: per_label[label])
    n_rarest = per_label[rarest]
    facts["min_objects_per_label"] = Fact(n_rarest, f"'{rarest}' is the rarest label, with {n_rarest} objects")
    if per_label:
        label, number = per_label.most_common(1)[0]
        facts["max_label_share"] = Fact(
            number / per_label.total(), f"'{label}' is the commonest label, {number} of {per_label.total()} objects"
        )
    per_group = Counter(sample.group for sample in samples if sample.group)
    if len(per_group) < len(samples) and per_group:
        facts["min_samples_per_group"] = _coverage(per_group, parent)
    if parent:
        facts["max_shift"] = _shift(samples, metrics, per_label, parent)
    return facts


def _coverage(per_group: Counter[str], parent: ParentVersion | None) -> Fact:
    smallest = min(sorted(per_group), key=lambda group: per_group[group])
    sentence = f"{len(per_group)} groups (cameras, clips); '{smallest}' is the smallest, with {per_group[smallest]} images"
    gone = sorted(set(parent.samples_per_group) - set(per_group)) if parent else []
    if parent and gone:
        more = f" and {len(gone) - _SHOWN} more" if len(gone) > _SHOWN else ""
        sentence += f"; gone since {parent.version}: {', '.join(gone[:_SHOWN])}{more}"
    return Fact(per_group[smallest], sentence)


def _shift(samples: Sequence[Sample], metrics: "pd.DataFrame", per_label: Counter[str], parent: ParentVersion) -> Fact:
    ids = {sample.id for sample in samples}
    own = metrics[metrics["sample_id"].isin(ids)] if len(metrics) else metrics
    distances = {
        name: largest_distance([getattr(item, name) for item in parent.metrics], own[name].tolist() if len(own) else [])
        for name in COMPARED
    }
    distances["objects per image"] = largest_distance(parent.objects_per_image, [len(sample.annotations) for sample in samples])
    distances["label shares"] = label_distance(parent.objects_per_label, per_label)
    most = max(distances, key=lambda name: distances[name])
    every = ", ".join(f"{name} {distance:.2f}" for name, distance in distances.items())
    return Fact(distances[most], f"{most} moved most since {parent.version}: {distances[most]:.2f} (all: {every})")


def _judge(facts: dict[str, Fact], limits: Sequence[Limit]) -> set[str]:
    """Return the limits that the version breaks, as great-expectations judges the table of its one row."""
    import pandas as pd

    asked = [limit for limit in limits if limit.rule in facts]
    if not asked:
        return set()
    row = {"sample_id": _VERSION} | {limit.column: facts[limit.rule].value for limit in asked}
    return {rule for rule, ids in judge_metrics(pd.DataFrame([row]), asked).items() if ids}


def _line(rule: str, fact: Fact | None, limit: Limit | None, is_broken: bool) -> RuleLine:
    words = VERSION_LIMITS[rule][1]
    if limit is None:
        return RuleLine(rule, words, 1, 0, informs=True, unit="versions", details=(fact.sentence,) if fact else ())
    if fact is None:
        return RuleLine(rule, words, 0, 0, limit=limit.text, unit="versions")
    sentence = f"{fact.sentence}: {fact.value:.4g}, allowed is {limit.text}" if is_broken else fact.sentence
    return RuleLine(rule, words, 1, int(is_broken), limit=limit.text, unit="versions", details=(sentence,))
