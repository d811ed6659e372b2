"""The gate: each rule of ``model.toml`` judged on the matrix, with one sentence that a person can read aloud.

A rule on a difference, or on negative flips, is judged by the paired bootstrap: it passes where we are 95 % sure that it holds,
and fails where we are 95 % sure that it does not. Failing needs one broken rule, so Holm's correction over the rules keeps the
chance that equal models fail below that of one rule. Passing needs all rules to hold at once, which needs no correction
(Berger 1982, intersection-union test). A rule on a level compares the measured value with its limit and shows the interval.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lakegate.evaluation.bootstrap import ALPHA, Finding
from lakegate.evaluation.cell_statistics import NEGATIVE_FLIPS
from lakegate.evaluation.gate_words import (
    MEASURE_AGAIN,
    TOLERANCE,
    UNITS,
    change_remedy,
    change_sentence,
    cost_sentence,
    counted,
    flip_sentence,
    keeps_level,
    label_more,
    level_remedy,
    level_sentence,
    metric_words,
    on,
)
from lakegate.evaluation.matrix import Cell, Matrix
from lakegate.evaluation.metric_words import DIRECTION_WORDS
from lakegate.evaluation.performance import NOT_MEASURED, cost
from lakegate.evaluation.resampling import holm
from lakegate.evaluation.unruled import worse_without_a_rule
from lakegate.evaluation.verdict_words import against_baseline, sum_up, what_is_not_covered
from lakegate.evaluation.waivers import is_held, waive
from lakegate.gate_rules import CHANGE_KINDS, METRICS, Outcome, Rule, RuleResult, metric_facts
from lakegate.model_tables import WaiverTable

MIN_SAMPLES = 5
MIN_OBJECTS = 5
WITHOUT_OBJECTS = ("false_per_image", "empty_alarm_rate")  # what can be measured where nothing is labelled


@dataclass(frozen=True)
class SkippedRule:
    """A rule that compares with a baseline, at a release that has none."""

    key: str
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """The answer as a whole: one sentence, one result per rule, and the rules that could not apply yet.

    ``not_covered``: what the answer says nothing about, in short words. ``against``: the headline metrics and flips beside the
    baseline's, in one sentence; "" without one. ``worse``: what fell beyond chance where no rule looks.
    """

    outcome: Outcome
    sentence: str
    results: tuple[RuleResult, ...]
    skipped: tuple[SkippedRule, ...] = ()
    not_covered: tuple[str, ...] = ()
    worse: tuple[str, ...] = ()
    against: str = ""


def judge(
    rules: Sequence[Rule],
    matrix: Matrix,
    waivers: Mapping[str, WaiverTable] | None = None,
    waivers_in_force: tuple[str, ...] = (),
) -> Verdict:
    """Judge every rule: ``FAIL`` where one is broken, else ``NOT_ENOUGH_DATA`` where one cannot be said, else ``PASS``.

    Where the matrix has no baseline (a first release), rules that need one are listed as skipped. A gate of which no rule
    applies says ``NOT_ENOUGH_DATA``: nothing was checked. A waived rule keeps its outcome and holds nothing back.
    """
    applies = [rule for rule in rules if matrix.baseline is not None or not (rule.needs_baseline or rule.needs_old_data)]
    skipped = [
        SkippedRule(rule.key, "Skipped: no baseline yet; the rule counts from the second release on.")
        for rule in rules
        if rule not in applies
    ]
    findings = {rule: finding for rule in applies if (finding := _find(rule, matrix)) is not None}
    broken = dict(zip(findings, holm([finding.test.p_beyond for finding in findings.values()], ALPHA), strict=True))
    judged = [_judge_rule(rule, matrix, findings.get(rule), broken.get(rule, False)) for rule in applies]
    told = [_with_direction(result, rule, matrix) for rule, result in zip(applies, judged, strict=True)]
    stated = [_with_power(result, findings.get(rule), len(findings)) for rule, result in zip(applies, told, strict=True)]
    results = tuple(waive(result, waivers or {}, waivers_in_force) for result in stated)
    outcomes = {result.outcome for result in results if not is_held(result)}
    outcome = Outcome.PASS
    if matrix.incomparable:
        outcome = Outcome.NOT_ENOUGH_DATA  # less was compared than was asked for: whatever the rules say of the rest
    elif Outcome.FAIL in outcomes:
        outcome = Outcome.FAIL
    elif outcomes or not results:
        outcome = Outcome.NOT_ENOUGH_DATA
    by_rule = dict(zip(applies, results, strict=True))
    sentence = sum_up(outcome, by_rule, len(skipped), matrix)
    against = "" if matrix.baseline is None else against_baseline(matrix.cells[0], matrix.task, matrix.baseline.run_id)
    not_covered, worse = what_is_not_covered(matrix, by_rule, rules), worse_without_a_rule(matrix, by_rule)
    return Verdict(outcome, sentence, results, tuple(skipped), not_covered=not_covered, against=against, worse=worse)


def _find(rule: Rule, matrix: Matrix) -> Finding | None:
    """Test a rule whose answer depends on which samples were drawn; None where there is nothing to draw from."""
    if rule.kind not in CHANGE_KINDS and rule.metric != NEGATIVE_FLIPS:
        return None
    if rule.metric in METRICS and not rule.metric.endswith("_per_image") and rule.limit >= 1:
        return None  # a share cannot change by more
    cell = matrix.cell(rule.cell)
    drawn = None if cell is None else matrix.resampled.get(cell.name)
    if cell is None or drawn is None or _what_is_missing(rule, cell, matrix.task)[0] or not drawn.can_say(rule.metric):
        return None
    values = (cell.value(rule.metric, rule.label), cell.value(rule.metric, rule.label, "baseline"))
    if values[0] is None or (rule.kind in CHANGE_KINDS and values[1] is None):
        return None
    return drawn.find(rule.metric, rule.label, rule.kind, rule.limit)


def _judge_rule(rule: Rule, matrix: Matrix, finding: Finding | None, is_broken: bool) -> RuleResult:
    """Judge one rule; ``is_broken``: the finding is beyond the limit, also among all rules at once."""
    if not metric_facts(rule.metric).per_cell:
        return _judge_cost(rule, matrix)
    cell = matrix.cell(rule.cell)
    if cell is None:
        return _unknown(rule, f"The judged data has no column {rule.cell}, so {metric_words(rule)} cannot be judged there.")
    lack, remedy = _what_is_missing(rule, cell, matrix.task)
    if lack:
        return _unknown(rule, lack, remedy)
    candidate, baseline = cell.value(rule.metric, rule.label), cell.value(rule.metric, rule.label, "baseline")
    if candidate is None or (baseline is None and rule.kind in CHANGE_KINDS):
        if cell.kind == "label" and rule.needs_baseline:
            return _unknown(rule, f"{on(cell)} there is nothing to compare: only one of the models knows it.")
        who = "candidate" if candidate is None else "baseline"
        return _unknown(rule, f"{on(cell)} the {who} predicts nothing that {metric_words(rule)} could be measured on.")
    if rule.kind in CHANGE_KINDS and baseline is not None:
        worse = baseline - candidate if rule.kind == "max_drop" else candidate - baseline
        outcome = _outcome(worse, rule.limit, finding, is_broken)
        sentence = change_sentence(rule, cell, candidate, baseline, finding, outcome, matrix.own_metrics)
        result = RuleResult(rule.key, outcome, sentence, worse, rule.limit)
    elif rule.metric == NEGATIVE_FLIPS:
        worse = candidate
        outcome = _outcome(worse, rule.limit, finding, is_broken)
        by_seed = "" if matrix.seed_noise is None or rule.label else matrix.seed_noise.words(cell.name)
        sentence = flip_sentence(rule, cell, matrix.task, finding, outcome)
        sentence += f" For comparison, {by_seed}." if by_seed else ""
        result = RuleResult(rule.key, outcome, sentence, candidate, rule.limit)
    else:
        return _with_examples(_judge_level(rule, cell, candidate), rule, cell, matrix)
    if finding is not None:
        remedy = change_remedy(rule, cell, matrix.task, worse, finding, outcome)
        result = replace(result, interval=finding.interval, remedy=remedy)
    return _with_examples(result, rule, cell, matrix)


def _outcome(worse: float, limit: float, finding: Finding | None, is_broken: bool) -> Outcome:
    """Judge a difference by what was found about it; by its measured value where no draw could be made."""
    if finding is None:
        return Outcome.PASS if worse <= limit + TOLERANCE else Outcome.FAIL
    if is_broken:
        return Outcome.FAIL
    return Outcome.PASS if finding.test.p_within <= ALPHA else Outcome.NOT_ENOUGH_DATA


def _with_power(result: RuleResult, finding: Finding | None, n_rules: int) -> RuleResult:
    return result if finding is None or finding.is_constant else replace(result, power=finding.power(n_rules))


def _with_direction(result: RuleResult, rule: Rule, matrix: Matrix) -> RuleResult:
    """Say of a metric of the team's own which direction is good: its name need not tell."""
    if rule.metric not in matrix.own_metrics:
        return result
    name = f"{metric_facts(rule.metric).short[:1].upper()}{metric_facts(rule.metric).short[1:]}"
    return replace(result, sentence=f"{result.sentence} {name}: {DIRECTION_WORDS[matrix.own_metrics[rule.metric]]}.")


def _judge_level(rule: Rule, cell: Cell, value: float) -> RuleResult:
    holds = keeps_level(rule, value)
    interval = cell.intervals.get("candidate", {}).get(rule.metric, {}).get(rule.label)
    return RuleResult(
        rule.key,
        Outcome.PASS if holds else Outcome.FAIL,
        level_sentence(rule, cell, value, interval),
        value,
        rule.limit,
        interval,
        remedy="" if holds else level_remedy(rule, value),
    )


def _with_examples(result: RuleResult, rule: Rule, cell: Cell, matrix: Matrix) -> RuleResult:
    drawn = matrix.resampled.get(cell.name)
    if drawn is None or not drawn.can_say(rule.metric):
        return result
    return replace(result, counter_examples=drawn.worst_samples(rule.metric, rule.label, rule.kind))


def _what_is_missing(rule: Rule, cell: Cell, task: str) -> tuple[str, str]:
    """Say what the cell lacks for a verdict, and what to label; empty texts where it has enough."""
    where = "" if cell.kind == "all" else f" of {cell.words}"
    if cell.n_samples < MIN_SAMPLES:
        lack = f"{on(cell)} there {counted(cell.n_samples, 'test sample')}; a verdict needs at least {MIN_SAMPLES}."
        return lack, label_more(MIN_SAMPLES - cell.n_samples, "sample", where)
    n_objects = cell.n_objects.get(rule.label, 0)
    if n_objects < MIN_OBJECTS and rule.metric not in WITHOUT_OBJECTS:
        what = f"{rule.label} {UNITS[task]}".strip()
        if what == "image":
            lack = f"{on(cell)} both models know the label of {n_objects} of {cell.n_samples} images; "
            return f"{lack}a verdict needs at least {MIN_OBJECTS}.", ""
        lack = f"{on(cell)} there {counted(n_objects, what)} in {cell.n_samples} test samples; "
        return f"{lack}a verdict needs at least {MIN_OBJECTS}.", label_more(MIN_OBJECTS - n_objects, what, where)
    return "", ""


def _judge_cost(rule: Rule, matrix: Matrix) -> RuleResult:
    found = cost(matrix, rule.metric)
    if found is None:
        return _unknown(rule, NOT_MEASURED[rule.metric])
    told = found.interval or (found.ratio, found.ratio)
    holds = [side <= rule.limit + TOLERANCE if rule.kind == "max" else side >= rule.limit - TOLERANCE for side in told]
    outcome = Outcome.PASS if all(holds) else Outcome.NOT_ENOUGH_DATA if any(holds) else Outcome.FAIL
    sentence = cost_sentence(rule, found, outcome)
    remedy = MEASURE_AGAIN if outcome is Outcome.NOT_ENOUGH_DATA else ""
    return RuleResult(rule.key, outcome, sentence, found.ratio, rule.limit, found.interval, remedy=remedy)


def _unknown(rule: Rule, sentence: str, remedy: str = "") -> RuleResult:
    return RuleResult(rule.key, Outcome.NOT_ENOUGH_DATA, sentence, None, rule.limit, remedy=remedy)
