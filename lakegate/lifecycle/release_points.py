"""What an approver should look at first: everything in the facts that is not plainly good, each as one sentence."""

from typing import NamedTuple

from lakegate.evaluation.gate_words import numbers
from lakegate.evaluation.matrix import SHORT_WORDS
from lakegate.gate_rules import Outcome, RuleResult, Waiver
from lakegate.lifecycle.release_documents import DataFact, ReleaseFacts
from lakegate.lifecycle.release_words import TASK_WORDS, task_of

NOTED_FALL = 0.02  # a fall of a metric (0..1) in some column that is worth a look, gated or not
NOTED_LATENCY_RATIO = 1.1
MAX_FALLS = 4


class Point(NamedTuple):
    """One sentence, and the section of the page that says more."""

    sentence: str
    section: str


def points(facts: ReleaseFacts) -> list[Point]:
    """Return what to look at first, in the order of the page; empty where nothing stands out."""
    return [*_model_points(facts), *_data_points(facts), *_serving_points(facts), *_code_points(facts)]


def _model_points(facts: ReleaseFacts) -> list[Point]:
    found = []
    for change in facts.gate_changes:
        if change.effect in ("looser", "gone"):
            was = f"{change.key} was {'skipped' if change.before is None else change.before}"
            now = "is no longer judged" if change.effect == "gone" else f"is {change.after} now, which is looser"
            found.append(Point(f"The gate itself changed: {was} and {now}.", "rules"))
    found += [Point(_waiver_words(rule, rule.waiver), "rules") for rule in facts.rules if rule.waiver is not None]
    found += [Point(sentence, "numbers") for _, sentence in sorted(_falls(facts))[:MAX_FALLS]]
    n_left_out = facts.n_test - facts.n_judged
    if n_left_out:
        left_out = f"{n_left_out} of {facts.n_test} test images were left out, since one of the models trained on them."
        found.append(Point(left_out, "numbers"))
    n_newly_wrong = 0 if facts.flips is None else facts.cells[0].n_flips["negative"][""]
    if n_newly_wrong:
        words = TASK_WORDS[task_of(facts.cells)]
        units = f"{n_newly_wrong} of {facts.cells[0].n_objects['']} {words.unit}s"
        found.append(Point(f"{units}: {words.newly_wrong}.", "flips"))
    return found


def _waiver_words(rule: RuleResult, waiver: Waiver) -> str:
    state = "broken" if rule.outcome is Outcome.FAIL else "undecided"
    return f"{rule.key} is {state} and waived by {waiver.owner} until {waiver.expires}: {waiver.reason.rstrip('.')}."


def _falls(facts: ReleaseFacts) -> list[tuple[float, str]]:
    """Return (change, sentence) of each watched metric that fell noticeably in a column, the worst first when sorted."""
    falls = []
    for cell in facts.cells:
        for metric in TASK_WORDS[task_of(facts.cells)].watched:
            now, was = cell.value(metric), cell.value(metric, row="baseline")
            if now is not None and was is not None and was - now >= NOTED_FALL:
                before, after = numbers(was, now)
                judged = any(rule.key.startswith(f"{metric}.{cell.name}.") for rule in facts.rules)
                rule = "" if judged else "; no rule of the gate covers it"
                falls.append((now - was, f"On {cell.words}, {SHORT_WORDS[metric]} fell from {before} to {after}{rule}."))
    return falls


def _data_points(facts: ReleaseFacts) -> list[Point]:
    found = []
    for data in facts.data:
        n_removed = data.samples.get("removed", 0)
        if n_removed:
            gone = f"{n_removed} samples of {data.before} are" if n_removed > 1 else f"1 sample of {data.before} is"
            found.append(Point(f"{gone} gone from {data.reference}.", "data"))
        found += [Point(f"In {data.reference}, {words}.", "data") for words in data.label_changes]
        if data.objects.get("reclassified"):
            words = f"objects with another label than in {data.before}: {data.objects['reclassified']}"
            found.append(Point(f"In {data.reference}, {words}.", "data"))
    return found


def _serving_points(facts: ReleaseFacts) -> list[Point]:
    request = facts.request
    found = []
    for engine in request.engines:
        if engine.outcome != "built":
            name = f"{engine.precision} for compute capability {engine.compute_capability}"
            keeps = "was not built, and without it the model does not go into production"
            found.append(Point(f"The engine {name} {keeps}: {engine.sentence}", "engines"))
    for test in request.functional:
        if test.outcome != "pass":
            name = f"{test.name} over {test.protocol}"
            found.append(Point(f"Functional test {name}: {test.outcome}. {test.sentence}", "functional"))
    if not request.functional:
        found.append(Point("No functional test was run on a server.", "functional"))
    ratio = None if facts.latency is None else facts.latency.p99_ratio
    if ratio is not None and ratio >= NOTED_LATENCY_RATIO:
        found.append(Point(f"One image takes {ratio:.2f} times as long as in production (p99).", "latency"))
    return found


def _code_points(facts: ReleaseFacts) -> list[Point]:
    found = []
    if not facts.request.code_commit.isalnum():
        name = facts.request.code_commit
        found.append(Point(f"The code is '{name}': nobody could find exactly this code again.", "code"))
    if facts.code is not None and facts.code.n_lost:
        found.append(Point(facts.code.sentence, "code"))
    return found


def data_words(data: DataFact) -> str:
    """Return what changed in one dataset, in a sentence."""
    if not data.before:
        return f"{data.reference}: nothing in production was trained on this dataset before."
    if not data.n_changed and not data.label_changes:
        return f"{data.reference}: the same samples and labels as {data.before}."
    samples = ", ".join(f"{count} {name}" for name, count in data.samples.items() if count) or "no sample changed"
    return f"{data.before} → {data.reference}: {samples}."
