"""The sentences of the gate: what was measured, how sure that is, what is allowed, and what would help."""

from math import ceil, floor, log10

from lakegate.evaluation.bootstrap import ALPHA, CONFIDENCE, Finding
from lakegate.evaluation.cell_statistics import NEGATIVE_FLIPS
from lakegate.evaluation.matrix import Cell, Interval
from lakegate.evaluation.metric_words import Directions, is_higher_better
from lakegate.evaluation.performance import Cost
from lakegate.gate_rules import CELL_OLD, Outcome, Rule, RuleResult, metric_facts

SURE = f"{CONFIDENCE * 100:.0f} %"
TOLERANCE = 1e-9  # a difference of two floats is not exact; a limit that is met exactly is met
MAX_DECIMALS = 7
MEASURE_AGAIN = "Compare again while the machine does nothing else: other work makes the times vary."
HARDLY = 50  # times as many samples as there are: nobody labels that many for one rule
TOO_CLOSE = (
    "It lies so close to the limit that more data will hardly decide it: give the limit more room with a reason, "
    "or waive the rule."
)
PASS_BEYOND = 3  # of 100: at most so many candidates that are at the limit, or beyond it, pass
UNITS = {"detection": "object", "classification": "image", "segmentation": "region"}
MORE_ROOM = "give the limit more room with a reason, or waive the rule"
FLIPPED = {
    "detection": ("found by the baseline", "missed by the candidate"),
    "classification": ("labelled rightly by the baseline", "labelled wrongly by the candidate"),
    "segmentation": ("found by the baseline", "missed by the candidate"),
}


def level_sentence(rule: Rule, cell: Cell, value: float, interval: Interval | None) -> str:
    """Say the candidate's value, what the baseline reaches, and the limit that both are compared with."""
    shown, limit = numbers(value, rule.limit)
    bound = "at least {} is required" if rule.kind == "min" else "at most {} is allowed"
    verb = "are" if rule.metric.endswith("_per_image") else "is"
    sure = "" if interval is None else f"{SURE} interval {_range(interval, _decimals(shown))}"
    beside = "; ".join(words for words in (sure, _baseline_level(rule, cell, value)) if words)
    return f"{on(cell)} {metric_words(rule)} {verb} {shown}{f' ({beside})' if beside else ''}; {bound.format(limit)}."


def keeps_level(rule: Rule, value: float) -> bool:
    """Return True where a value is on the allowed side of a limit on a level."""
    return value >= rule.limit - TOLERANCE if rule.kind == "min" else value <= rule.limit + TOLERANCE


def _baseline_level(rule: Rule, cell: Cell, value: float) -> str:
    before = cell.value(rule.metric, rule.label, "baseline")
    if before is None:
        return ""
    also = "" if keeps_level(rule, value) else "also "
    side = "" if keeps_level(rule, before) else f", {also}{'below' if rule.kind == 'min' else 'above'} the limit"
    return f"baseline: {numbers(before, rule.limit)[0]}{side}"


def change_sentence(
    rule: Rule,
    cell: Cell,
    candidate: float,
    baseline: float,
    finding: Finding | None,
    outcome: Outcome,
    own: Directions,
) -> str:
    """Say by how much the candidate differs from the baseline, and how sure it is that this is within the limit.

    ``own``: which direction is good, for each metric of ``[metrics]``.
    """
    worse = baseline - candidate if rule.kind == "max_drop" else candidate - baseline
    noun = "fall" if rule.kind == "max_drop" else "rise"
    verb = "rose" if candidate > baseline else "fell"
    shown, limit = numbers(abs(worse), rule.limit)
    before, after = numbers(baseline, candidate)
    interval = None if finding is None or finding.is_constant else finding.interval
    sure = "" if interval is None else f"{SURE} interval: {_change_range(rule, interval, _decimals(shown), own)}"
    if worse == 0:
        moved = f"stayed at {after}{f' ({sure})' if sure else ''}"
    else:
        moved = f"{verb} by {shown} ({before} → {after}{f'; {sure}' if sure else ''})"
    allowed = f"at most {limit} is allowed" if worse > 0 else f"a {noun} of at most {limit} is allowed"
    return f"{on(cell)} {metric_words(rule)} {moved}; {allowed}{how_sure(finding, outcome)}."


def flip_sentence(rule: Rule, cell: Cell, task: str, finding: Finding | None, outcome: Outcome) -> str:
    """Say how many units the candidate gets wrong that the baseline got right."""
    n_flips, n_units = cell.n_flips["negative"][rule.label], cell.n_objects[rule.label]
    share, limit = numbers(100 * n_flips / n_units, rule.limit * 100, decimals=1)
    interval = None if finding is None or finding.is_constant else finding.interval
    sure = "" if interval is None else f"; {SURE} interval {_range((100 * interval[0], 100 * interval[1]), 1)} %"
    units = f"{rule.label} {UNITS[task]}s".strip()
    before, after = FLIPPED[task]
    was, now = ("was", "is") if n_flips == 1 else ("were", "are")
    return (
        f"{on(cell)} {n_flips} of {n_units} {units} ({share} %{sure}) {was} {before} and {now} {after}; "
        f"at most {limit} % is allowed{how_sure(finding, outcome)}."
    )


def cost_sentence(rule: Rule, found: Cost, outcome: Outcome) -> str:
    """Say what both models cost, their ratio with its interval, and what is allowed."""
    shown, limit = numbers(found.ratio, rule.limit, decimals=2)
    bound = f"at most {limit} times is allowed" if rule.kind == "max" else f"at least {limit} times is required"
    words = f"{found.words} {found.candidate}, the baseline's {found.baseline}: {shown} {found.times}"
    if found.interval is None:
        return f"{words}; {bound}."
    between = f"{SURE} interval {_range(found.interval, _decimals(shown))} over {found.n_pairs} pairs of measurements"
    sure = {
        Outcome.PASS: f"it holds, {SURE} sure",
        Outcome.FAIL: f"it is broken, {SURE} sure",
        Outcome.NOT_ENOUGH_DATA: f"the times vary too much to be {SURE} sure",
    }
    return f"{words} ({between}); {bound}: {sure[outcome]}."


def how_sure(finding: Finding | None, outcome: Outcome) -> str:
    """End a sentence on a limit with how sure its answer is; "" where no draw could change it."""
    if finding is None or (finding.is_constant and outcome is not Outcome.NOT_ENOUGH_DATA):
        return ""
    if outcome is Outcome.PASS:
        return f": it holds, {SURE} sure"
    if outcome is Outcome.FAIL:
        return f": it is broken, {SURE} sure"
    unsaid = f" (in {finding.test.unsaid * 100:.0f} % of the draws it cannot be said)" if finding.test.unsaid >= 0.005 else ""
    among = ", among all rules at once" if finding.test.p_beyond <= ALPHA else ""
    return f": too little data to be {SURE} sure{among}{unsaid}"


def change_remedy(rule: Rule, cell: Cell, task: str, worse: float, finding: Finding, outcome: Outcome) -> str:
    """Say what would make an undecided or broken rule on a difference (or on flips) pass."""
    metric = metric_words(rule)
    if outcome is Outcome.PASS:
        return ""
    if outcome is Outcome.FAIL and rule.metric == NEGATIVE_FLIPS:
        n_units = cell.n_objects[rule.label]
        allowed = floor(rule.limit * n_units + TOLERANCE)
        fewer = f"clearly fewer than {allowed:,}" if allowed > 1 else "none"
        return f"To pass this rule, {fewer} of these {n_units:,} may flip; look at the counter-examples first."
    if outcome is Outcome.FAIL:
        most = worse if finding.interval is None else finding.interval[1]  # the whole interval has to lie within the limit
        too_much = numbers(most - rule.limit, 0.0)[0]
        way = "higher" if rule.kind == "max_drop" else "lower"
        return f"To pass this rule, {metric} must be {way} by about {too_much} or more; look at the counter-examples first."
    if not finding.test.standard_error > 0:
        return f"Label more samples{_where(cell)}: these are too few to be sure."
    if finding.n_more is None or finding.n_more > HARDLY * cell.n_samples:
        return TOO_CLOSE
    n_of_label = ceil(finding.n_more * cell.n_objects.get(rule.label, 0) / cell.n_samples)
    units = f"{rule.label} {UNITS[task]}{'' if n_of_label == 1 else 's'}"
    with_label = f" with about {_about(n_of_label)} {units}" if rule.label and n_of_label else ""
    more = label_more(finding.n_more, "sample", f"{_where(cell)}{with_label}").rstrip(".")
    if worse <= rule.limit:
        return f"{more}: if what was measured is true, the rule holds then."
    is_flips = rule.metric == NEGATIVE_FLIPS
    too_much = f"{100 * (worse - rule.limit):.1f} percentage points" if is_flips else numbers(worse - rule.limit, 0.0)[0]
    return f"As measured, it is {too_much} beyond the limit: improve the candidate. {more} to be sure that the rule is broken."


def level_remedy(rule: Rule, value: float) -> str:
    """Say what would make a broken rule on a level pass."""
    missing = numbers(abs(rule.limit - value), 0.0)[0]
    way = "rise" if rule.kind == "min" else "fall"
    return f"To pass this rule, {metric_words(rule)} must {way} by {missing} or more; look at the counter-examples first."


def power_words(result: RuleResult) -> str:
    """Say what this test set lets a rule on a change or on flips see; "" for other rules, and where no draw changes it."""
    if result.power is None or result.interval is None:
        return ""
    is_share = result.key.startswith(NEGATIVE_FLIPS)
    n_fail = round(100 * result.power)
    says = f"FAIL in {n_fail} of 100 such tests"
    if n_fail < 100:
        says += f", PASS in at most {min(PASS_BEYOND, 100 - n_fail)}, and NOT ENOUGH DATA in the others"
    return f"A candidate that is truly {'2 percentage points' if is_share else '0.02'} beyond this limit gets {says}."


def is_too_close(result: RuleResult) -> bool:
    """Return True where more data would hardly decide an undecided rule."""
    return result.remedy == TOO_CLOSE


def label_more(count: int, noun: str, where: str) -> str:
    """Say how much to label.

    >>> label_more(1, "sample", " of slice night")
    'Label about 1 more sample of slice night.'
    """
    return f"Label about {_about(count)} more {noun}{'' if count == 1 else 's'}{where}."


def _where(cell: Cell) -> str:
    if cell.name == CELL_OLD:
        return f" (they count as old data from the next release on; to settle this one, {MORE_ROOM})"
    return "" if cell.kind == "all" else f" of {cell.words}"


def _about(count: int) -> str:
    """Round up to two digits.

    >>> _about(1234)
    '1,300'
    """
    step = 10 ** max(floor(log10(count)) - 1, 0)
    return f"{-(-count // step) * step:,}"


def on(cell: Cell) -> str:
    """Begin a sentence about a column."""
    return f"On {cell.words},"


def metric_words(rule: Rule) -> str:
    """Name what a rule is about."""
    short = metric_facts(rule.metric).short
    return f"{short} of {rule.label}" if rule.label else short


def counted(count: int, noun: str) -> str:
    """Return "is no object", "is 1 object" or "are 2 objects"."""
    if count == 0:
        return f"is no {noun}"
    return f"is 1 {noun}" if count == 1 else f"are {count} {noun}s"


def numbers(one: float, other: float, decimals: int = 3) -> tuple[str, str]:
    """Write two numbers with as many decimals as it takes to tell them apart, where they differ at all.

    >>> numbers(0.8496, 0.85)
    ('0.8496', '0.8500')
    """
    while decimals < MAX_DECIMALS and f"{one:.{decimals}f}" == f"{other:.{decimals}f}" and abs(one - other) > TOLERANCE:
        decimals += 1
    return f"{one:.{decimals}f}", f"{other:.{decimals}f}"


def _decimals(text: str) -> int:
    return len(text.partition(".")[2])


def _range(interval: Interval, decimals: int) -> str:
    low, high = (_signed(value, decimals) for value in interval)
    return f"{low} to {high}"


def _change_range(rule: Rule, interval: Interval, decimals: int, own: Directions) -> str:
    """Write an interval of a change, more of it is nearer to the limit, without signs: which way each end points is a word."""
    (low, high), (low_text, high_text) = interval, (f"{abs(side):.{decimals}f}" for side in interval)
    is_fall = rule.kind == "max_drop"
    is_worse = is_higher_better(rule.metric, own) is is_fall
    ahead, back = ("worse", "better") if is_worse else ("down", "up") if is_fall else ("up", "down")
    if low < 0 < high and float(low_text) and float(high_text):
        return f"from {low_text} {back} to {high_text} {ahead}"
    if high <= 0 or not float(high_text):
        return f"from {high_text} to {low_text} {back}"
    return f"from {low_text} to {high_text} {ahead}"


def _signed(value: float, decimals: int) -> str:
    """Write a number with a real minus sign, and no minus before a zero."""
    text = f"{abs(value):.{decimals}f}"
    return f"−{text}" if value < 0 and float(text) != 0 else text
