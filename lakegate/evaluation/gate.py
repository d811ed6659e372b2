"""The gate: each rule of ``model.toml`` judged on the matrix, with one sentence that a person can read aloud."""

from collections.abc import Sequence
from dataclasses import dataclass

from lakegate.evaluation.matrix import SHORT_WORDS, Cell, Matrix
from lakegate.gate_rules import METRICS, Outcome, Rule, RuleResult

MIN_SAMPLES = 5
MIN_OBJECTS = 5
TOLERANCE = 1e-9  # a difference of two floats is not exact; a limit that is met exactly is met
MAX_DECIMALS = 7


@dataclass(frozen=True)
class SkippedRule:
    """A rule that compares with a baseline, at a release that has none."""

    key: str
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """The answer as a whole: one sentence, one result per rule, and the rules that could not apply yet."""

    outcome: Outcome
    sentence: str
    results: tuple[RuleResult, ...]
    skipped: tuple[SkippedRule, ...] = ()


def judge(rules: Sequence[Rule], matrix: Matrix) -> Verdict:
    """Judge every rule: ``FAIL`` where one is broken, else ``NOT_ENOUGH_DATA`` where one cannot be said, else ``PASS``.

    Where the matrix has no baseline (a first release), rules that need one are listed as skipped. A gate of which no rule
    applies says ``NOT_ENOUGH_DATA``: nothing was checked.
    """
    applies = [rule for rule in rules if matrix.baseline is not None or not (rule.needs_baseline or rule.needs_old_data)]
    skipped = [
        SkippedRule(rule.key, "Skipped: no baseline yet; the rule counts from the second release on.")
        for rule in rules
        if rule not in applies
    ]
    results = tuple(judge_rule(rule, matrix) for rule in applies)
    outcomes = {result.outcome for result in results}
    outcome = Outcome.NOT_ENOUGH_DATA
    if matrix.incomparable:
        pass  # less was compared than was asked for: whatever the rules say of the rest
    elif Outcome.FAIL in outcomes:
        outcome = Outcome.FAIL
    elif outcomes == {Outcome.PASS}:
        outcome = Outcome.PASS
    return Verdict(outcome, _sum_up(outcome, results, skipped, matrix), results, tuple(skipped))


def judge_rule(rule: Rule, matrix: Matrix) -> RuleResult:
    """Judge one rule; the sentence says what was measured and what is allowed."""
    if not METRICS[rule.metric].per_cell:
        return _judge_latency(rule, matrix)
    cell = matrix.cell(rule.cell)
    if cell is None:
        return _unknown(rule, f"The judged data has no column {rule.cell}, so {_metric_words(rule)} cannot be judged there.")
    lack = _what_is_missing(rule, cell)
    if lack:
        return _unknown(rule, lack)
    candidate, baseline = cell.value(rule.metric, rule.label), cell.value(rule.metric, rule.label, "baseline")
    if candidate is None or (baseline is None and rule.kind in ("max_drop", "max_rise")):
        who = "candidate" if candidate is None else "baseline"
        return _unknown(rule, f"{_on(cell)} the {who} predicts nothing that {_metric_words(rule)} could be measured on.")
    if rule.kind in ("max_drop", "max_rise") and baseline is not None:
        return _judge_change(rule, cell, candidate, baseline)
    return _judge_level(rule, cell, candidate)


def _what_is_missing(rule: Rule, cell: Cell) -> str:
    """Say what the cell lacks for a verdict; an empty text where it has enough."""
    if cell.n_samples < MIN_SAMPLES:
        return (
            f"{_on(cell)} there {_are(cell.n_samples, 'test sample')}; a verdict needs at least {MIN_SAMPLES}: "
            f"label about {MIN_SAMPLES - cell.n_samples} more."
        )
    n_objects = cell.n_objects.get(rule.label, 0)
    if n_objects < MIN_OBJECTS and rule.metric != "false_per_image":
        what = f"{rule.label} object" if rule.label else "object"
        return (
            f"{_on(cell)} there {_are(n_objects, what)} in {cell.n_samples} test samples; a verdict needs at least "
            f"{MIN_OBJECTS}: label about {MIN_OBJECTS - n_objects} more."
        )
    return ""


def _judge_level(rule: Rule, cell: Cell, value: float) -> RuleResult:
    holds = value >= rule.limit - TOLERANCE if rule.kind == "min" else value <= rule.limit + TOLERANCE
    bound = "at least {} is required" if rule.kind == "min" else "at most {} is allowed"
    if rule.metric == "negative_flip_rate":
        share, limit = numbers(value * 100, rule.limit * 100, decimals=1)
        n_flips, n_objects = cell.n_flips["negative"][rule.label], cell.n_objects[rule.label]
        what = f"{rule.label} objects" if rule.label else "objects"
        text = (
            f"{n_flips} of {n_objects} {what} ({share} %) {'was' if n_flips == 1 else 'were'} found by the baseline "
            f"and {'is' if n_flips == 1 else 'are'} missed by the candidate; {bound.format(f'{limit} %')}."
        )
    else:
        shown, limit = numbers(value, rule.limit)
        verb = "are" if rule.metric.endswith("_per_image") else "is"
        text = f"{_metric_words(rule)} {verb} {shown}; {bound.format(limit)}."
    return _result(rule, holds, f"{_on(cell)} {text}", value)


def _judge_change(rule: Rule, cell: Cell, candidate: float, baseline: float) -> RuleResult:
    change = baseline - candidate if rule.kind == "max_drop" else candidate - baseline
    rose = candidate > baseline
    shown, limit = numbers(abs(change), rule.limit)
    before, after = numbers(baseline, candidate)
    noun = "fall" if rule.kind == "max_drop" else "rise"
    if change == 0:
        moved = f"stayed at {after}; a {noun} of at most {limit} is allowed"
    elif change > 0:
        moved = f"{'rose' if rose else 'fell'} by {shown} ({before} → {after}); at most {limit} is allowed"
    else:
        moved = f"{'rose' if rose else 'fell'} by {shown} ({before} → {after}); a {noun} of at most {limit} is allowed"
    return _result(rule, change <= rule.limit + TOLERANCE, f"{_on(cell)} {_metric_words(rule)} {moved}.", change)


def _judge_latency(rule: Rule, matrix: Matrix) -> RuleResult:
    latency = matrix.measured.latency
    ratio = None if latency is None else latency.p99_ratio
    if latency is None or ratio is None:
        return _unknown(rule, "Latency was not measured, since there was no test image or it was switched off.")
    holds = ratio <= rule.limit + TOLERANCE if rule.kind == "max" else ratio >= rule.limit - TOLERANCE
    shown, limit = numbers(ratio, rule.limit, decimals=2)
    bound = f"at most {limit} times is allowed" if rule.kind == "max" else f"at least {limit} times is required"
    return _result(
        rule,
        holds,
        f"For one image the candidate's p99 latency is {latency.candidate_p99_ms:.1f} ms, the baseline's "
        f"{latency.baseline_p99_ms:.1f} ms: {shown} times as long; {bound}.",
        ratio,
    )


def _result(rule: Rule, holds: bool, sentence: str, value: float) -> RuleResult:
    return RuleResult(rule.key, Outcome.PASS if holds else Outcome.FAIL, sentence, value, rule.limit)


def _unknown(rule: Rule, sentence: str) -> RuleResult:
    return RuleResult(rule.key, Outcome.NOT_ENOUGH_DATA, sentence, None, rule.limit)


def _on(cell: Cell) -> str:
    return f"On {cell.words},"


def _metric_words(rule: Rule) -> str:
    return f"{SHORT_WORDS[rule.metric]} of {rule.label}" if rule.label else SHORT_WORDS[rule.metric]


def _are(count: int, noun: str) -> str:
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


def _sum_up(outcome: Outcome, results: Sequence[RuleResult], skipped: Sequence[SkippedRule], matrix: Matrix) -> str:
    candidate, baseline = matrix.candidate, matrix.baseline
    who = f"{candidate.name} run {candidate.run_id}"
    step = "be released" if baseline is None else f"replace run {baseline.run_id}"
    first = next((item.sentence for item in results if item.outcome is outcome), "")
    n_same = sum(item.outcome is outcome for item in results)
    later = f" Of [gate], {len(skipped)} more {_rules(len(skipped))} will count once there is a baseline." if skipped else ""
    if matrix.incomparable:
        return f"Whether {who} may {step} cannot be said, since the comparison is not whole: {matrix.incomparable}"
    if not results:
        return f'Nothing was checked: no rule of [gate] applies to {who}; write one such as "map50.all.min" = 0.7.{later}'
    if outcome is Outcome.PASS:
        hold = "The one rule holds" if len(results) == 1 else f"All {len(results)} rules hold"
        return f"{who} may {step}. {hold} on {matrix.coverage[0].reference}.{later}"
    count = f"{n_same} of {len(results)} {_rules(len(results))}"
    if outcome is Outcome.FAIL:
        return f"{who} must not {step}. {count} {'is' if n_same == 1 else 'are'} broken. {first}"
    return f"Whether {who} may {step} cannot be said: {count} {'has' if n_same == 1 else 'have'} too little test data. {first}"


def _rules(count: int) -> str:
    return "rule" if count == 1 else "rules"
