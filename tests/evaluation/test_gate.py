"""lakegate/evaluation/gate.py: rules judged on planted counts, and on what real comparisons count."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from lakegate.evaluation.comparing import compare
from lakegate.evaluation.gate import Verdict, judge
from lakegate.evaluation.gate_words import numbers
from lakegate.evaluation.matrix import Matrix
from lakegate.gate_rules import Outcome, RuleResult, parse_rule
from tests.evaluation.drawn import Column, a_matrix
from tests.evaluation.planted import World, found, object_at

N_SAMPLES = 200
UNITS = [3] * N_SAMPLES
BASELINE = [2 if index % 4 else 3 for index in range(N_SAMPLES)]  # recall 0.75
WORSE = [hits - (index % 10 == 1) for index, hits in enumerate(BASELINE)]  # 20 objects more are missed: 3.3 points


def verdict(matrix: Matrix, *rules: tuple[str, float]) -> Verdict:
    return judge([parse_rule(key, limit) for key, limit in rules], matrix)


def only(matrix: Matrix, key: str, limit: float) -> RuleResult:
    return verdict(matrix, (key, limit)).results[0]


def compared(candidate: Sequence[float], baseline: Sequence[float], metric: str = "recall") -> Matrix:
    return a_matrix({"all": Column(candidate, baseline, UNITS[: len(candidate)])}, metric)


@pytest.mark.parametrize(
    ("candidate", "baseline", "limit", "outcome", "sentence"),
    [
        (WORSE, BASELINE, 0.06, "pass",
         "On all test samples, recall fell by 0.033 (0.750 → 0.717; 95 % interval: from 0.019 to 0.051 worse); "
         "at most 0.060 is allowed: it holds, 95 % sure."),
        (WORSE, BASELINE, 0.01, "fail",
         "On all test samples, recall fell by 0.033 (0.750 → 0.717; 95 % interval: from 0.019 to 0.051 worse); "
         "at most 0.010 is allowed: it is broken, 95 % sure."),
        (WORSE, BASELINE, 0.04, "not enough data",
         "On all test samples, recall fell by 0.033 (0.750 → 0.717; 95 % interval: from 0.019 to 0.051 worse); "
         "at most 0.040 is allowed: too little data to be 95 % sure."),
        (BASELINE, WORSE, 0.0, "pass",
         "On all test samples, recall rose by 0.033 (0.717 → 0.750; 95 % interval: from 0.019 to 0.051 better); "
         "a fall of at most 0.000 is allowed: it holds, 95 % sure."),
        (BASELINE, BASELINE, 0.0, "pass",
         "On all test samples, recall stayed at 0.750; a fall of at most 0.000 is allowed."),
    ],
)  # fmt: skip
def test_a_difference_is_judged_by_its_interval(
    candidate: list[int], baseline: list[int], limit: float, outcome: str, sentence: str
) -> None:
    result = only(compared(candidate, baseline), "recall.all.max_drop", limit)
    assert (result.outcome, result.sentence) == (Outcome(outcome), sentence)


def test_the_interval_lies_within_the_limit_exactly_where_the_rule_passes() -> None:
    matrix = compared(WORSE, BASELINE)
    interval = only(matrix, "recall.all.max_drop", 0.06).interval
    assert interval is not None
    low, high = interval
    step = 1e-5
    assert only(matrix, "recall.all.max_drop", high + step).outcome is Outcome.PASS
    assert only(matrix, "recall.all.max_drop", high - step).outcome is Outcome.NOT_ENOUGH_DATA
    assert only(matrix, "recall.all.max_drop", low + step).outcome is Outcome.NOT_ENOUGH_DATA
    assert only(matrix, "recall.all.max_drop", low - step).outcome is Outcome.FAIL
    shown = matrix.cells[0].intervals["difference"]["recall"][""]
    assert shown == (-high, -low)  # candidate minus baseline


def test_a_rise_of_errors_is_judged_as_a_fall_of_recall_is() -> None:
    matrix = compared([1.5 * hits for hits in BASELINE], BASELINE, "missed_per_image")
    result = only(matrix, "missed_per_image.all.max_rise", 0.1)
    assert result.outcome is Outcome.FAIL
    assert result.sentence.startswith("On all test samples, missed objects per image rose by 0.375 (0.750 → 1.125; 95 %")


def test_a_rule_that_is_sure_alone_may_be_unsure_among_many() -> None:
    matrix = compared(WORSE, BASELINE)
    interval = only(matrix, "recall.all.max_drop", 0.06).interval
    assert interval is not None
    limit = interval[0] - 1e-4  # broken, barely
    assert only(matrix, "recall.all.max_drop", limit).outcome is Outcome.FAIL
    many = verdict(matrix, *[("recall.all.max_drop", limit + 1e-6 * step) for step in range(10)])
    assert {item.outcome for item in many.results} == {Outcome.NOT_ENOUGH_DATA}
    assert "too little data to be 95 % sure, among all rules at once" in many.sentence


def test_a_rule_without_enough_data_says_how_much_more_decides_it() -> None:
    result = only(compared(WORSE, BASELINE), "recall.all.max_drop", 0.04)
    assert result.remedy.startswith("Label about ")
    assert result.remedy.endswith(" more samples: if what was measured is true, the rule holds then.")
    n_more = int(result.remedy.split()[2].replace(",", ""))
    times = 1 + n_more // N_SAMPLES
    more = a_matrix({"all": Column(WORSE * times, BASELINE * times, UNITS * times)}, n_replicates=300)
    assert only(more, "recall.all.max_drop", 0.04).outcome is Outcome.PASS


def test_frames_of_one_clip_do_not_count_as_independent() -> None:
    clips = [str(index // 20) for index in range(N_SAMPLES)]
    hits = [2 - (index % 100 < 20) for index in range(N_SAMPLES)]  # two clips of ten are worse
    alone = a_matrix({"all": Column(hits, [2] * N_SAMPLES, UNITS)})
    grouped = a_matrix({"all": Column(hits, [2] * N_SAMPLES, UNITS, clips)})
    assert only(alone, "recall.all.max_drop", 0.02).outcome is Outcome.FAIL
    assert only(grouped, "recall.all.max_drop", 0.02).outcome is Outcome.NOT_ENOUGH_DATA


def test_the_worst_samples_are_named_first() -> None:
    candidate = list(BASELINE)
    candidate[7], candidate[3] = 0, BASELINE[3] - 1
    candidate[11] += 1
    result = only(compared(candidate, BASELINE), "recall.all.max_drop", 0.5)
    assert result.counter_examples == ("planted/s0007", "planted/s0003")
    many = only(compared(WORSE, BASELINE), "recall.all.min", 0.5)
    assert len(many.counter_examples) == 5


def test_a_level_is_compared_as_measured_and_shown_with_its_interval() -> None:
    matrix = compared(WORSE, BASELINE)
    passed, failed = (only(matrix, "recall.all.min", limit) for limit in (0.70, 0.72))
    words = "On all test samples, recall is 0.717 (95 % interval 0.692 to 0.742; baseline: 0.750); at least {} is required."
    assert (passed.outcome, passed.sentence) == (Outcome.PASS, words.format("0.700"))
    assert (failed.outcome, failed.sentence) == (Outcome.FAIL, words.format("0.720"))
    assert failed.remedy == "To pass this rule, recall must rise by 0.003 or more; look at the counter-examples first."
    assert failed.interval is not None and failed.interval[0] < 0.717 < failed.interval[1]


def test_negative_flips_are_judged_by_their_interval() -> None:
    matrix = compared(WORSE, BASELINE)
    result = only(matrix, "negative_flip_rate.all.cell.max", 0.06)
    assert result.outcome is Outcome.PASS
    assert result.sentence == (
        "On all test samples, 20 of 600 cell objects (3.3 %; 95 % interval 1.9 to 5.1 %) were found by the baseline and are "
        "missed by the candidate; at most 6.0 % is allowed: it holds, 95 % sure."
    )
    assert only(matrix, "negative_flip_rate.all.max", 0.04).outcome is Outcome.NOT_ENOUGH_DATA
    broken = only(matrix, "negative_flip_rate.all.max", 0.01)
    assert broken.outcome is Outcome.FAIL
    assert broken.remedy == "To pass this rule, clearly fewer than 6 of these 600 may flip; look at the counter-examples first."
    none = only(compared(BASELINE, BASELINE), "negative_flip_rate.all.max", 0.0)
    assert none.outcome is Outcome.PASS and "95 %" not in none.sentence  # no draw changes it, so nothing is claimed


def test_a_limit_that_no_share_can_reach_needs_no_data() -> None:
    assert only(compared(WORSE[:8], BASELINE[:8]), "negative_flip_rate.all.max", 1.0).outcome is Outcome.PASS
    assert only(compared(WORSE[:8], BASELINE[:8]), "recall.all.max_drop", 1.0).outcome is Outcome.PASS


@pytest.fixture
def matrix(world: World) -> Matrix:
    """20 images with one cell each and 3 with a plate, too; the candidate misses 2 of the baseline's 20 cells."""
    numbers_ = range(20)
    objects = {number: [object_at(0), *([object_at(1, "plate")] if number < 3 else [])] for number in numbers_}
    now = world.version(objects, slices={"few": 'name < "s0003"', "none": "objects > 5", "empty": "objects == 0"})
    before = world.version({number: objects[number] for number in range(10)}, tag="v1")
    candidate = world.model("new", {number: [] if number in (1, 15) else [found(0)] for number in numbers_})
    baseline = world.model("old", {number: [found(0)] for number in numbers_})
    return compare(candidate, baseline, now, before, world.settings, n_latency_images=0)


def test_a_real_comparison_is_judged_on_its_counts(matrix: Matrix) -> None:
    level = only(matrix, "recall.all.cell.min", 0.9)
    assert level.outcome is Outcome.PASS
    assert level.sentence.startswith("On all test samples, recall of cell is 0.900 (95 % interval 0.650 to 1.000; baseline:")
    assert level.counter_examples == ("planted/s0001", "planted/s0015")
    flips = only(matrix, "negative_flip_rate.old_data.cell.max", 0.05)
    assert flips.outcome is Outcome.NOT_ENOUGH_DATA
    assert flips.sentence.startswith("On old data, 1 of 10 cell objects (10.0 %; 95 % interval 0.0 to ")
    assert " was found by the baseline and is missed by the candidate; at most 5.0 % is allowed: too" in flips.sentence
    assert "they count as old data from the next release on; to settle this one" in flips.remedy


@pytest.mark.parametrize(
    ("key", "sentence", "remedy"),
    [
        ("recall.few.min", "On slice few, there are 3 test samples; a verdict needs at least 5.",
         "Label about 2 more samples of slice few."),
        ("recall.none.min", "On slice none, there is no test sample; a verdict needs at least 5.",
         "Label about 5 more samples of slice none."),
        ("recall.all.plate.min",
         "On all test samples, there are 3 plate objects in 20 test samples; a verdict needs at least 5.",
         "Label about 2 more plate objects."),
        ("recall.night.min", "The judged data has no column night, so recall cannot be judged there.", ""),
        ("negative_flip_rate.few.max", "On slice few, there are 3 test samples; a verdict needs at least 5.",
         "Label about 2 more samples of slice few."),
        ("latency_p99_ratio.all.max", "Latency was not measured, since there was no test image or it was switched off.", ""),
    ],
)  # fmt: skip
def test_too_little_data_is_neither_pass_nor_fail(matrix: Matrix, key: str, sentence: str, remedy: str) -> None:
    result = only(matrix, key, 0.5)
    assert (result.outcome, result.sentence, result.remedy) == (Outcome.NOT_ENOUGH_DATA, sentence, remedy)


def test_a_model_that_predicts_nothing_has_no_precision_to_judge(matrix: Matrix) -> None:
    cells = tuple(
        replace(cell, candidate={**cell.candidate, "precision": {**cell.candidate["precision"], "": None}})
        for cell in matrix.cells
    )
    result = only(replace(matrix, cells=cells), "precision.all.min", 0.5)
    assert result.outcome is Outcome.NOT_ENOUGH_DATA
    assert "the candidate predicts nothing" in result.sentence


def test_one_broken_rule_fails_the_whole_and_is_said_first(matrix: Matrix) -> None:
    result = verdict(matrix, ("recall.all.min", 0.1), ("recall.few.min", 0.1), ("recall.old_data.cell.min", 0.95))
    assert result.outcome is Outcome.FAIL
    assert result.sentence.startswith(
        "counter run new must not replace run old. 1 of 3 rules is broken. On old data, recall of cell is 0.900 (95 % interval"
    )


def test_one_rule_without_data_keeps_the_whole_from_passing(matrix: Matrix) -> None:
    result = verdict(matrix, ("recall.all.min", 0.1), ("recall.few.min", 0.1))
    assert result.outcome is Outcome.NOT_ENOUGH_DATA
    assert result.sentence == (
        "Whether counter run new may replace run old cannot be said: 1 of 2 rules needs more test data. On slice few, "
        "there are 3 test samples; a verdict needs at least 5. Label about 2 more samples of slice few."
    )


def test_all_rules_hold(matrix: Matrix) -> None:
    result = verdict(matrix, ("recall.all.min", 0.1), ("negative_flip_rate.all.max", 0.9))
    assert result.outcome is Outcome.PASS
    assert result.not_covered == (
        "columns without a rule: old data (unchanged since planted@v1), "
        "the diff (added, relabelled or re-imaged since planted@v1), slice few (a subset that dataset.toml names)",
        "speed, which was not measured",
        "no rule on false objects",
        "speed and results on a GPU, which were not tested",
    )
    assert result.sentence.startswith("counter run new may replace run old. Both rules hold on planted@v2.")


def test_a_first_release_is_judged_on_absolute_rules_and_lists_the_others(world: World) -> None:
    now = world.version({number: [object_at(0)] for number in range(6)})
    first = compare(world.model("new", {number: [found(0)] for number in range(6)}), None, now, None, world.settings)
    result = verdict(
        first, ("recall.all.min", 0.9), ("map50.old_data.max_drop", 0.03), ("recall.diff.min", 0.5),
        ("negative_flip_rate.all.max", 0.1), ("latency_p99_ratio.all.max", 1.2),
    )  # fmt: skip
    assert result.outcome is Outcome.PASS
    assert [item.key for item in result.results] == ["recall.all.min"]
    assert len(result.skipped) == 4
    assert result.skipped[0].sentence == "Skipped: no baseline yet; the rule counts from the second release on."
    assert result.sentence == (
        "counter run new may be released. The one rule holds on planted@v2. "
        "Of [gate], 4 more rules will count once there is a baseline."
    )
    assert result.not_covered == (
        "labels without test images: plate",
        "no rule on false objects",
        "speed and results on a GPU, which were not tested",
    )
    assert result.against == ""


def test_a_gate_without_a_rule_passes_nothing(matrix: Matrix) -> None:
    result = verdict(matrix)
    assert result.outcome is Outcome.NOT_ENOUGH_DATA
    assert result.sentence.startswith("Nothing was checked")


def test_two_numbers_are_told_apart() -> None:
    assert numbers(0.8496, 0.85) == ("0.8496", "0.8500")
    assert numbers(0.03, 0.03 + 1e-15) == ("0.030", "0.030")
