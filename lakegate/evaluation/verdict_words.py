"""The words on top: may it go live, what failed by how much and where, what would help, and what is not covered."""

from collections.abc import Iterator, Mapping, Sequence
from math import inf

from lakegate.evaluation.cell_statistics import NEGATIVE_FLIPS
from lakegate.evaluation.gate_words import UNITS, is_too_close, metric_words, numbers
from lakegate.evaluation.matrix import Cell, Matrix
from lakegate.evaluation.tables import NO_VALUE, metric_rows
from lakegate.gate_rules import CHANGE_KINDS, Outcome, Rule, RuleResult, metric_facts

MAX_NAMED = 4
NO_GPU = "speed and results on a GPU, which were not tested"
HEADLINES = {"detection": ("map50", "recall"), "classification": ("accuracy", "macro_f1"), "segmentation": ("miou", "dice")}
OF_FALSE_OBJECTS = ("precision", "false_per_image", "empty_alarm_rate", "tide_background")
Judged = Mapping[Rule, RuleResult]


def sum_up(outcome: Outcome, judged: Judged, n_skipped: int, matrix: Matrix) -> str:
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
        return f"{who} may {step}. {hold} on {matrix.coverage[0].reference}.{waived}{later}"
    same = [(rule, item) for rule, item in judged.items() if item.outcome is outcome and item.waiver is None]
    if outcome is Outcome.FAIL:
        same.sort(key=lambda pair: _how_unsure(*pair))
    first = same[0][1]
    why = f"{first.sentence} {first.remedy}".strip() + _others(outcome, same[1:], matrix)
    open_ = [(rule, item) for rule, item in judged.items() if item.outcome is Outcome.NOT_ENOUGH_DATA and item.waiver is None]
    if outcome is Outcome.FAIL:
        count = "The one rule" if len(results) == 1 else f"{len(same)} of {len(results)} rules"
        undecided = f" Besides, {_undecided(open_, f'{len(open_)} {_rules(len(open_))}')}." if open_ else ""
        return f"{who} must not {step}. {count} {'is' if len(same) == 1 else 'are'} broken. {why}{undecided}{waived}"
    count = "the one rule" if len(results) == 1 else f"{len(open_)} of {len(results)} rules"
    return f"Whether {who} may {step} cannot be said: {_undecided(open_, count)}. {why}{waived}"


def against_baseline(cell: Cell, task: str, run_id: str) -> str:
    """Set the headline metrics of one column beside the baseline's, and count the flips; "" where neither can be said.

    Returns, for example: Against run 7a52 on all test samples: mAP50 0.304 → 0.186 (worse); 57 objects lost, 22 won.
    """
    rows = metric_rows([cell], metrics=HEADLINES[task])
    told = [(row.name, row.entries[0]) for row in rows if NO_VALUE not in (row.entries[0].candidate, row.entries[0].baseline)]
    changes = ", ".join(f"{name} {item.baseline} → {item.candidate} ({item.change_words})" for name, item in told)
    lost, won = (cell.n_flips[kind].get("", 0) for kind in ("negative", "positive"))
    flips = f"{lost:,} {UNITS[task]}{'' if lost == 1 else 's'} lost, {won:,} won" if cell.n_objects.get("") else ""
    words = "; ".join(part for part in (changes, flips) if part)
    return f"Against run {run_id} on {cell.words}: {words}." if words else ""


def label_words(matrix: Matrix) -> str:
    """Say how many labels are judged, and why the others are not; "" where all are.

    A label counts nowhere without test objects; what one model alone knows never counts for the other.
    """
    absent, alone = _absent(matrix), _known_to_one(matrix)
    n_judged = len(matrix.labels) - len(absent) - sum(len(labels) for labels in alone.values())
    if n_judged == len(matrix.labels):
        return ""
    words = [f"{n_judged} of {len(matrix.labels)} labels {'is' if n_judged == 1 else 'are'} judged"]
    if absent:
        words.append(f"{named(absent)} {'has' if len(absent) == 1 else 'have'} no test {UNITS[matrix.task]}s")
    for who, labels in alone.items():
        if labels:
            words.append(f"{named(labels)} {'is' if len(labels) == 1 else 'are'} known to the {who} only")
    return "; ".join(words)


def what_is_not_covered(matrix: Matrix, judged: Judged, rules: Sequence[Rule]) -> tuple[str, ...]:
    """Name what the verdict says nothing about: samples, labels and columns without a rule, what was not measured.

    Args:
        judged: the rules that apply. ``rules``: all of them, also those that count once there is a baseline.
    """
    asked = {rule.metric for rule in rules}
    return (
        *_samples(matrix),
        *_labels(matrix),
        *_columns(matrix, judged),
        *_cost(matrix),
        *_without_rule(matrix, asked),
        NO_GPU,
    )


def _samples(matrix: Matrix) -> Iterator[str]:
    for item in matrix.coverage:
        n_seen = item.n_test - item.n_judged - item.n_not_scored
        if n_seen > 0:
            seen = f"{n_seen:,} of {item.n_test:,} test images of {item.reference}"
            yield f"{seen}, since a model trained on {'it' if n_seen == 1 else 'them'} or on the like"


def _labels(matrix: Matrix) -> Iterator[str]:
    absent = _absent(matrix)
    if absent:
        yield f"labels without test images: {named(absent)}"
    for who, labels in _known_to_one(matrix).items():
        if labels:
            yield f"any difference on what only the {'new' if who == 'candidate' else 'old'} run knows: {named(labels)}"


def _absent(matrix: Matrix) -> list[str]:
    """Return the labels that no judged sample shows."""
    alone, counts = _label_cells(matrix), matrix.cells[0].n_objects
    return [label for label in matrix.labels if not (alone[label].n_objects if label in alone else counts).get(label)]


def _known_to_one(matrix: Matrix) -> dict[str, list[str]]:
    """Return the labels with test samples that only one of the models knows, by which."""
    alone = {label: cell for label, cell in _label_cells(matrix).items() if label not in _absent(matrix)}
    return {
        who: [label for label, cell in alone.items() if bool(cell.candidate) == (who == "candidate")]
        for who in ("candidate", "baseline")
    }


def _label_cells(matrix: Matrix) -> dict[str, Cell]:
    return {cell.name.removeprefix("label:"): cell for cell in matrix.cells if cell.kind == "label"}


def _columns(matrix: Matrix, judged: Judged) -> Iterator[str]:
    covered = {cell.name for rule in judged if (cell := matrix.cell(rule.cell)) is not None}
    free = [cell for cell in matrix.cells if cell.name not in covered and cell.kind != "label" and cell.n_samples]
    if free:
        since = matrix.changes.since if matrix.changes and matrix.changes.since else "the baseline's version"
        meant = {
            "old_data": f" (unchanged since {since})",
            "diff": f" (added, relabelled or re-imaged since {since})",
            "superseded": f" (of {since}: removed or changed since)",
            "slice": " (a subset that dataset.toml names)",
        }
        yield f"columns without a rule: {named([cell.words + meant.pop(cell.kind, '') for cell in free])}"


def _without_rule(matrix: Matrix, asked: set[str]) -> Iterator[str]:
    has_speed = matrix.measured.latency is None or any(metric.startswith("latency") for metric in asked)
    has_false = matrix.task != "detection" or any(metric in asked for metric in OF_FALSE_OBJECTS)
    missing = [] if has_speed else ["speed"]
    missing += [] if has_false else ["false objects"]
    if missing:
        yield f"no rule on {', '.join(missing)}"


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


def _how_unsure(rule: Rule, result: RuleResult) -> tuple[int, float]:
    """Rank broken rules, the surest first: by whether the whole interval is beyond the limit, then by how far the value is."""
    if result.interval is None or result.value is None or result.limit is None:
        return 2, 0.0
    side = -1.0 if rule.kind == "min" else 1.0
    ends = [side * (end - result.limit) for end in result.interval]
    width = abs(ends[1] - ends[0])
    distance = side * (result.value - result.limit)
    return int(min(ends) <= 0), -distance / width if width else -inf


def _undecided(rules: Sequence[tuple[Rule, RuleResult]], subject: str) -> str:
    """Say of undecided rules what each kind of them lacks."""
    n_close = sum(is_too_close(item) for _, item in rules)
    n_more = sum(metric_facts(rule.metric).per_cell and bool(item.remedy) for rule, item in rules) - n_close
    n_other = len(rules) - n_close - n_more
    kinds = [
        (n_more, "needs more test data", "need more test data"),
        (n_close, "lies too close to its limit", "lie too close to their limits"),
        (n_other, "cannot be decided", "cannot be decided"),
    ]
    told = [(count, one if count == 1 else more) for count, one, more in kinds if count]
    if len(told) == 1:
        return f"{subject} {told[0][1]}"
    return f"{subject} are undecided: {', '.join(f'{count} {words}' for count, words in told)}"


def _others(outcome: Outcome, rules: Sequence[tuple[Rule, RuleResult]], matrix: Matrix) -> str:
    if not rules:
        return ""
    if outcome is Outcome.FAIL:
        return f" Also broken: {named([f'{_short(rule, matrix)}{_needed(rule, item)}' for rule, item in rules])}."
    return f" Also undecided: {named([_short(rule, matrix) for rule, _ in rules])}."


def _needed(rule: Rule, result: RuleResult) -> str:
    """Say in brackets what was measured, and what the rule asks for."""
    if result.value is None:
        return ""
    is_flips, is_change = rule.metric == NEGATIVE_FLIPS, rule.kind in CHANGE_KINDS
    times = 100 if is_flips else 1
    measured = abs(result.value) if is_change else result.value
    shown, limit = numbers(measured * times, rule.limit * times, decimals=1 if is_flips else 3)
    unit = " %" if is_flips else "" if metric_facts(rule.metric).per_cell else " times"
    fell = (rule.kind == "max_drop") == (result.value > 0)
    moved = ("fell by " if fell else "rose by ") if is_change else ""
    return f" ({moved}{shown}{unit}, {'needs' if rule.kind == 'min' else 'at most'} {limit}{unit})"


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
