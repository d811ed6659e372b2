"""The sentence on top: may it go live, what failed by how much and where, what would help, and what is not covered."""

from collections.abc import Iterator, Mapping, Sequence

from lakegate.evaluation.gate_words import metric_words
from lakegate.evaluation.matrix import Matrix
from lakegate.gate_rules import Outcome, Rule, RuleResult, metric_facts

MAX_NAMED = 4
NO_GPU = "engines for GPUs (the ONNX files ran on the CPU)"
Judged = Mapping[Rule, RuleResult]


def sum_up(outcome: Outcome, judged: Judged, n_skipped: int, matrix: Matrix, not_covered: Sequence[str]) -> str:
    """Answer "may it go live, and why not?" in a few sentences that a person can read aloud."""
    candidate, baseline, results = matrix.candidate, matrix.baseline, list(judged.values())
    who = f"{candidate.name} run {candidate.run_id}"
    step = "be released" if baseline is None else f"replace run {baseline.run_id}"
    later = f" Of [gate], {n_skipped} more {_rules(n_skipped)} will count once there is a baseline." if n_skipped else ""
    if matrix.incomparable:
        return f"Whether {who} may {step} cannot be said, since the comparison is not whole: {matrix.incomparable}"
    if not results:
        return f'Nothing was checked: no rule of [gate] applies to {who}; write one such as "map50.all.min" = 0.7.{later}'
    waived = "".join(_waived(result) for result in results)
    if outcome is Outcome.PASS:
        n_hold = sum(item.outcome is Outcome.PASS for item in results)
        all_hold = {1: "The one rule holds", 2: "Both rules hold"}.get(len(results), f"All {len(results)} rules hold")
        hold = all_hold if n_hold == len(results) else f"{n_hold} of {len(results)} {_rules(len(results))} hold"
        left = f" Not covered: {'; '.join(not_covered)}." if not_covered else ""
        return f"{who} may {step}. {hold} on {matrix.coverage[0].reference}.{waived}{later}{left}"
    same = [(rule, item) for rule, item in judged.items() if item.outcome is outcome and item.waiver is None]
    count = "The one rule" if len(results) == 1 else f"{len(same)} of {len(results)} rules"
    first = same[0][1]
    why = f"{first.sentence} {first.remedy}".strip() + _others(outcome, [rule for rule, _ in same[1:]], matrix)
    if outcome is Outcome.FAIL:
        n_open = sum(item.outcome is Outcome.NOT_ENOUGH_DATA and item.waiver is None for item in results)
        undecided = f" Besides, {n_open} {_rules(n_open)} cannot be decided on so little data." if n_open else ""
        return f"{who} must not {step}. {count} {'is' if len(same) == 1 else 'are'} broken. {why}{undecided}{waived}"
    lack = f"{'has' if len(same) == 1 else 'have'} too little test data"
    if not all(metric_facts(rule.metric).per_cell for rule, _ in same):
        lack = "cannot be decided"
    return f"Whether {who} may {step} cannot be said: {count[:1].lower()}{count[1:]} {lack}. {why}{waived}"


def what_is_not_covered(matrix: Matrix, judged: Judged) -> tuple[str, ...]:
    """Name what the verdict says nothing about: samples, labels and columns without a rule, what was not measured."""
    return (*_samples(matrix), *_labels(matrix), *_columns(matrix, judged), *_cost(matrix), NO_GPU)


def _samples(matrix: Matrix) -> Iterator[str]:
    for item in matrix.coverage:
        n_seen = item.n_test - item.n_judged - item.n_not_scored
        if n_seen > 0:
            seen = f"{n_seen:,} of {item.n_test:,} test images of {item.reference}"
            yield f"{seen}, since a model trained on {'it' if n_seen == 1 else 'them'} or on the like"


def _labels(matrix: Matrix) -> Iterator[str]:
    """A label that both models know counts nowhere without test samples; one of a single model never counts for the other."""
    alone = {cell.name.removeprefix("label:"): cell for cell in matrix.cells if cell.kind == "label"}
    counts = matrix.cells[0].n_objects
    absent = [label for label in matrix.labels if not (alone[label].n_objects if label in alone else counts).get(label)]
    if absent:
        yield f"labels without test images: {named(absent)}"
    for row, words in (("candidate", "new run"), ("baseline", "old run")):
        own = [label for label, cell in alone.items() if label not in absent and bool(cell.candidate) == (row == "candidate")]
        if own:
            yield f"any difference on what only the {words} knows: {named(own)}"


def _columns(matrix: Matrix, judged: Judged) -> Iterator[str]:
    covered = {cell.name for rule in judged if (cell := matrix.cell(rule.cell)) is not None}
    free = [cell.words for cell in matrix.cells if cell.name not in covered and cell.kind != "label" and cell.n_samples]
    if free:
        yield f"columns without a rule: {named(free)}"


def _cost(matrix: Matrix) -> Iterator[str]:
    if matrix.measured.latency is None:
        yield "speed, which was not measured"


def named(words: Sequence[str]) -> str:
    """Name the first; how many more there are is counted.

    >>> named(["a", "b", "c", "d", "e", "f"])
    'a, b, c, d and 2 more'
    """
    more = len(words) - MAX_NAMED
    return ", ".join(words) if more <= 0 else f"{', '.join(words[:MAX_NAMED])} and {more} more"


def _others(outcome: Outcome, rules: Sequence[Rule], matrix: Matrix) -> str:
    if not rules:
        return ""
    return f" Also {'broken' if outcome is Outcome.FAIL else 'undecided'}: {named([_short(rule, matrix) for rule in rules])}."


def _short(rule: Rule, matrix: Matrix) -> str:
    if not metric_facts(rule.metric).per_cell:
        return metric_words(rule)
    cell = matrix.cell(rule.cell)
    return f"{metric_words(rule)} on {rule.cell if cell is None else cell.words}"


def _waived(result: RuleResult) -> str:
    if result.waiver is None:
        return ""
    waiver = result.waiver
    state = "broken" if result.outcome is Outcome.FAIL else "undecided"
    return f" {result.key} is {state} and waived by {waiver.owner} until {waiver.expires}: {waiver.reason.rstrip('.')}."


def _rules(count: int) -> str:
    return "rule" if count == 1 else "rules"
