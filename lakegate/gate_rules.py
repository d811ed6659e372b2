"""The words of a ``[gate]``: ``<metric>.<cell>[.<label>].<min|max|max_drop|max_rise>`` = limit."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, get_args

from lakegate.errors import BadDeclaration, nearest

Kind = Literal["min", "max", "max_drop", "max_rise"]
CELL_ALL, CELL_OLD, CELL_DIFF = "all", "old_data", "diff"
BUILT_IN_CELLS = (CELL_ALL, CELL_OLD, CELL_DIFF)


class Outcome(StrEnum):
    """A closed answer: never a boolean, since too little data is neither pass nor fail."""

    PASS = "pass"
    FAIL = "fail"
    NOT_ENOUGH_DATA = "not enough data"


@dataclass(frozen=True)
class Metric:
    """What a metric is called in sentences, which direction is good, and which task types measure it (none named: all)."""

    words: str
    higher_is_better: bool
    per_label: bool = True
    needs_baseline: bool = False
    per_cell: bool = True
    tasks: tuple[str, ...] = ()
    resampled: bool = True  # whether an interval is computed


METRICS = {
    "map50": Metric("mean average precision at IoU 0.5 (COCO)", higher_is_better=True),
    "map": Metric("mean average precision at IoU 0.5 to 0.95 (COCO)", higher_is_better=True),
    "precision": Metric("precision at the operating threshold", higher_is_better=True),
    "recall": Metric("recall at the operating threshold", higher_is_better=True),
    "missed_per_image": Metric("missed objects per image", higher_is_better=False),
    "false_per_image": Metric("false objects per image", higher_is_better=False),
    "negative_flip_rate": Metric(
        "share of objects that the baseline found and the candidate misses",
        higher_is_better=False,
        needs_baseline=True,
    ),
    "latency_p99_ratio": Metric(
        "p99 latency of the candidate over that of the baseline",
        higher_is_better=False,
        per_label=False,
        needs_baseline=True,
        per_cell=False,
    ),
}


@dataclass(frozen=True)
class Rule:
    """One line of ``[gate]``."""

    metric: str
    cell: str
    label: str  # "" for all labels
    kind: Kind
    limit: float

    @property
    def key(self) -> str:
        """The line's key as it stands in ``model.toml``."""
        return ".".join(part for part in (self.metric, self.cell, self.label, self.kind) if part)

    @property
    def needs_baseline(self) -> bool:
        """True where the rule compares with a baseline: the first release skips it and says so."""
        return self.kind in ("max_drop", "max_rise") or METRICS[self.metric].needs_baseline

    @property
    def needs_old_data(self) -> bool:
        return self.cell in (CELL_OLD, CELL_DIFF)


@dataclass(frozen=True)
class Waiver:
    """A person's word that a rule does not hold back this model, up to and including the day ``expires`` (ISO date, UTC)."""

    reason: str
    owner: str
    expires: str


@dataclass(frozen=True)
class RuleResult:
    """One rule's outcome, with a sentence that a person can read aloud.

    ``interval``: of ``value``, at the confidence of the gate. ``counter_examples``: ``dataset/sample``, the worst first.
    ``remedy``: what would make it pass. ``waiver``: where one counts, the outcome stays what was measured.
    """

    key: str
    outcome: Outcome
    sentence: str
    value: float | None = None
    limit: float | None = None
    interval: tuple[float, float] | None = None
    counter_examples: tuple[str, ...] = ()
    remedy: str = ""
    waiver: Waiver | None = None


def parse_rule(key: str, limit: float) -> Rule:
    """Parse one line of ``[gate]``; raises ``BadDeclaration`` naming the nearest valid word.

    >>> parse_rule("recall.diff.WBC.min", 0.8).label
    'WBC'
    """
    parts = key.split(".")
    if len(parts) < 3:
        raise BadDeclaration(f"[gate] '{key}': expected <metric>.<cell>[.<label>].<min|max|max_drop|max_rise>")
    metric, cell, label, kind = parts[0], parts[1], ".".join(parts[2:-1]), parts[-1]
    if metric not in METRICS:
        raise BadDeclaration(f"[gate] '{key}': no metric is called '{metric}'{nearest(metric, METRICS)}")
    for known in get_args(Kind):
        if kind == known:
            if label and not METRICS[metric].per_label:
                raise BadDeclaration(f"[gate] '{key}': {metric} is not measured per label; leave '{label}' out")
            if cell != CELL_ALL and not METRICS[metric].per_cell:
                raise BadDeclaration(f"[gate] '{key}': {metric} is not measured per cell; write '{metric}.{CELL_ALL}.{kind}'")
            return Rule(metric, cell, label, known, limit)
    raise BadDeclaration(f"[gate] '{key}': '{kind}' is no kind of limit{nearest(kind, get_args(Kind))}")
