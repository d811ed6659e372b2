"""The words of a ``[gate]``: ``<metric>.<cell>[.<label>].<min|max|max_drop|max_rise>`` = limit."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal, get_args

from lakegate.errors import BadDeclaration, nearest

Kind = Literal["min", "max", "max_drop", "max_rise"]
CELL_ALL, CELL_OLD, CELL_DIFF, CELL_SUPERSEDED = "all", "old_data", "diff", "superseded"
LABEL_CELL = "label:"  # before the label that only one of the models knows
CHANGE_KINDS = ("max_drop", "max_rise")
BUILT_IN_CELLS = (CELL_ALL, CELL_OLD, CELL_DIFF, CELL_SUPERSEDED)


class Outcome(StrEnum):
    """A closed answer: never a boolean, since too little data is neither pass nor fail."""

    PASS = "pass"
    FAIL = "fail"
    NOT_ENOUGH_DATA = "not enough data"


@dataclass(frozen=True)
class Metric:
    """What a metric is called, which direction is good, and which task types measure it (none named: all).

    ``short``: its name in sentences and tables.
    """

    words: str
    short: str
    higher_is_better: bool
    tasks: tuple[str, ...] = ()
    per_label: bool = True
    needs_baseline: bool = False
    per_cell: bool = True
    resampled: bool = True  # whether an interval is computed


_DETECTION, _CLASSIFICATION, _SEGMENTATION = ("detection",), ("classification",), ("segmentation",)


def _share(words: str, short: str, tasks: tuple[str, ...]) -> Metric:
    return Metric(words, short, higher_is_better=True, tasks=tasks)


def _tide(what: str) -> Metric:
    words = f"what mAP50 loses through {what} (TIDE, 0..1)"
    return Metric(words, f"mAP50 lost through {what}", False, _DETECTION, per_label=False, resampled=False)


def _ratio(words: str, short: str) -> Metric:
    words = f"{words} of the candidate over that of the baseline"
    return Metric(words, short, False, per_label=False, needs_baseline=True, per_cell=False, resampled=False)


METRICS = {
    "map50": _share("mean average precision at IoU 0.5 (COCO)", "mAP50", _DETECTION),
    "map": _share("mean average precision at IoU 0.5 to 0.95 (COCO)", "mAP50-95", _DETECTION),
    "accuracy": _share("share of images whose most probable label is right", "accuracy", _CLASSIFICATION),
    "macro_f1": _share("mean over the labels of the F1 score", "macro F1", _CLASSIFICATION),
    "miou": _share("mean intersection over union of the pixels of each label", "mIoU", _SEGMENTATION),
    "dice": _share("mean Dice coefficient of the pixels of each label", "Dice", _SEGMENTATION),
    "precision": _share("share of what is predicted that is right", "precision", ()),
    "recall": _share("share of what is labelled that is found", "recall", ()),
    "missed_per_image": Metric("missed objects per image", "missed objects per image", False, _DETECTION),
    "false_per_image": Metric("false objects per image", "false objects per image", False, _DETECTION),
    "empty_alarm_rate": Metric(
        "share of samples without any object on which the model shows something",
        "share of empty scenes with a false alarm",
        higher_is_better=False,
        tasks=_DETECTION,
        per_label=False,
    ),
    "calibration_error": Metric(
        "expected calibration error (15 bins of the top probability)",
        "calibration error",
        higher_is_better=False,
        tasks=_CLASSIFICATION,
        per_label=False,
    ),
    "tide_class": _tide("wrong labels"),
    "tide_location": _tide("badly fitting boxes"),
    "tide_both": _tide("wrong labels on badly fitting boxes"),
    "tide_duplicate": _tide("objects found twice"),
    "tide_background": _tide("false objects on background"),
    "tide_missed": _tide("missed objects"),
    "negative_flip_rate": Metric(
        "share of objects (images, regions) that the baseline got right and the candidate gets wrong",
        "negative flips",
        higher_is_better=False,
        needs_baseline=True,
    ),
    "latency_p99_ratio": _ratio("p99 latency", "p99 latency"),
    "latency_p50_ratio": _ratio("p50 latency", "p50 latency"),
    "memory_ratio": _ratio("peak memory", "peak memory"),
    "size_ratio": _ratio("size of model.onnx", "size of the model file"),
}
OWN_METRIC = Metric("a metric of [metrics]", "", higher_is_better=True, per_label=False)


def metric_facts(name: str) -> Metric:
    """Return what is known of a metric; of one that ``[metrics]`` of a model declares, only that it is one number per cell."""
    return METRICS.get(name, replace(OWN_METRIC, words=name, short=name.replace("_", " ")))


def metrics_of_task(task: str) -> dict[str, Metric]:
    """Return the metrics that models of this task are measured by.

    >>> "miou" in metrics_of_task("detection")
    False
    """
    return {name: metric for name, metric in METRICS.items() if not metric.tasks or task in metric.tasks}


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
        return self.kind in CHANGE_KINDS or metric_facts(self.metric).needs_baseline

    @property
    def needs_old_data(self) -> bool:
        return self.cell in (CELL_OLD, CELL_DIFF, CELL_SUPERSEDED) or self.cell.startswith(LABEL_CELL)


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
    ``remedy``: what would make it pass. ``power``: the chance, 0..1, that a candidate which is truly two points (0.02) beyond
    the limit fails this rule on such data. ``waiver``: where one counts, the outcome stays what was measured.
    """

    key: str
    outcome: Outcome
    sentence: str
    value: float | None = None
    limit: float | None = None
    interval: tuple[float, float] | None = None
    counter_examples: tuple[str, ...] = ()
    remedy: str = ""
    power: float | None = None
    waiver: Waiver | None = None


def parse_rule(key: str, limit: float, own_metrics: Collection[str] = ()) -> Rule:
    """Parse one line of ``[gate]``; raises ``BadDeclaration`` naming the nearest valid word.

    Args:
        own_metrics: the names in ``[metrics]``.

    >>> parse_rule("recall.diff.WBC.min", 0.8).label
    'WBC'
    """
    parts = key.split(".")
    if len(parts) < 3:
        raise BadDeclaration(f"[gate] '{key}': expected <metric>.<cell>[.<label>].<min|max|max_drop|max_rise>")
    metric, cell, label, kind = parts[0], parts[1], ".".join(parts[2:-1]), parts[-1]
    if metric not in METRICS and metric not in own_metrics:
        raise BadDeclaration(f"[gate] '{key}': no metric is called '{metric}'{nearest(metric, [*METRICS, *own_metrics])}")
    facts = metric_facts(metric)
    for known in get_args(Kind):
        if kind == known:
            if label and not facts.per_label:
                raise BadDeclaration(f"[gate] '{key}': {metric} is not measured per label; leave '{label}' out")
            if cell != CELL_ALL and not facts.per_cell:
                raise BadDeclaration(f"[gate] '{key}': {metric} is not measured per cell; write '{metric}.{CELL_ALL}.{kind}'")
            if known != "max" and facts.needs_baseline and facts.per_cell:
                better = f"{metric}.{cell}.max"
                raise BadDeclaration(f"[gate] '{key}': {metric} compares with the baseline already; write '{better}'")
            return Rule(metric, cell, label, known, limit)
    raise BadDeclaration(f"[gate] '{key}': '{kind}' is no kind of limit{nearest(kind, get_args(Kind))}")
