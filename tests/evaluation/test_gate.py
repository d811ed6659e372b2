from dataclasses import replace

import pytest

from lakegate.evaluation.comparing import compare
from lakegate.evaluation.gate import Verdict, judge, numbers
from lakegate.evaluation.matrix import Cell, Latency, Matrix
from lakegate.gate_rules import Outcome, parse_rule
from tests.evaluation.planted import World, found, object_at


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


def verdict(matrix: Matrix, *rules: tuple[str, float]) -> Verdict:
    return judge([parse_rule(key, limit) for key, limit in rules], matrix)


def only(matrix: Matrix, key: str, limit: float) -> tuple[Outcome, str]:
    result = verdict(matrix, (key, limit)).results[0]
    return result.outcome, result.sentence


def with_values(matrix: Matrix, metric: str, candidate: float | None, baseline: float | None) -> Matrix:
    """The same matrix with other values of one metric on all test samples."""

    def change(cell: Cell) -> Cell:
        assert cell.baseline is not None
        return replace(
            cell,
            candidate={**cell.candidate, metric: {**cell.candidate[metric], "": candidate}},
            baseline={**cell.baseline, metric: {**cell.baseline[metric], "": baseline}},
        )

    return replace(matrix, cells=tuple(change(cell) for cell in matrix.cells))


@pytest.mark.parametrize(
    ("candidate", "baseline", "key", "limit", "outcome", "sentence"),
    [
        (0.849, 0.861, "map50.old_data.max_drop", 0.03, "pass",
         "On old data, mAP50 fell by 0.012 (0.861 → 0.849); at most 0.030 is allowed."),
        (0.82, 0.861, "map50.old_data.max_drop", 0.03, "fail",
         "On old data, mAP50 fell by 0.041 (0.861 → 0.820); at most 0.030 is allowed."),
        (0.9, 0.861, "map50.diff.max_drop", 0.03, "pass",
         "On the diff, mAP50 rose by 0.039 (0.861 → 0.900); a fall of at most 0.030 is allowed."),
        (0.8, 0.8, "map50.all.max_drop", 0.0, "pass",
         "On all test samples, mAP50 stayed at 0.800; a fall of at most 0.000 is allowed."),
        (0.83, 0.86, "map50.all.max_drop", 0.03, "pass",
         "On all test samples, mAP50 fell by 0.030 (0.860 → 0.830); at most 0.030 is allowed."),
        (0.8496, None, "map50.all.min", 0.85, "fail", "On all test samples, mAP50 is 0.8496; at least 0.8500 is required."),
        (1.5, 1.0, "missed_per_image.all.max_rise", 0.4, "fail",
         "On all test samples, missed objects per image rose by 0.500 (1.000 → 1.500); at most 0.400 is allowed."),
        (0.5, 1.0, "false_per_image.all.max_rise", 0.4, "pass",
         "On all test samples, false objects per image fell by 0.500 (1.000 → 0.500); "
         "a rise of at most 0.400 is allowed."),
        (0.5, 1.0, "false_per_image.all.max", 0.4, "fail",
         "On all test samples, false objects per image are 0.500; at most 0.400 is allowed."),
    ],
)  # fmt: skip
def test_a_rule_says_what_was_found_and_what_is_allowed(
    matrix: Matrix, candidate: float, baseline: float, key: str, limit: float, outcome: str, sentence: str
) -> None:
    assert only(with_values(matrix, key.split(".")[0], candidate, baseline), key, limit) == (Outcome(outcome), sentence)


def test_a_rule_for_one_label_and_flips_are_judged_on_real_counts(matrix: Matrix) -> None:
    assert only(matrix, "recall.all.cell.min", 0.9) == (
        Outcome.PASS,
        "On all test samples, recall of cell is 0.900; at least 0.900 is required.",
    )
    assert only(matrix, "negative_flip_rate.old_data.cell.max", 0.05) == (
        Outcome.FAIL,
        "On old data, 1 of 10 cell objects (10.0 %) was found by the baseline and is missed by the candidate; "
        "at most 5.0 % is allowed.",
    )


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("recall.few.min", "On slice few, there are 3 test samples; a verdict needs at least 5: label about 2 more."),
        ("recall.none.min", "On slice none, there is no test sample; a verdict needs at least 5: label about 5 more."),
        ("recall.all.plate.min",
         "On all test samples, there are 3 plate objects in 20 test samples; "
         "a verdict needs at least 5: label about 2 more."),
        ("recall.night.min", "The judged data has no column night, so recall cannot be judged there."),
        ("negative_flip_rate.few.max",
         "On slice few, there are 3 test samples; a verdict needs at least 5: label about 2 more."),
        ("latency_p99_ratio.all.max", "Latency was not measured, since there was no test image or it was switched off."),
    ],
)  # fmt: skip
def test_too_little_data_is_neither_pass_nor_fail(matrix: Matrix, key: str, sentence: str) -> None:
    assert only(matrix, key, 0.5) == (Outcome.NOT_ENOUGH_DATA, sentence)


def test_a_model_that_predicts_nothing_has_no_precision_to_judge(matrix: Matrix) -> None:
    outcome, sentence = only(with_values(matrix, "precision", None, 0.9), "precision.all.min", 0.5)
    assert outcome is Outcome.NOT_ENOUGH_DATA
    assert "the candidate predicts nothing" in sentence


def test_latency_is_judged_as_a_ratio(matrix: Matrix) -> None:
    measured = replace(matrix.measured, latency=Latency(40, 8.0, 12.0, 8.0, 10.0))
    assert only(replace(matrix, measured=measured), "latency_p99_ratio.all.max", 1.2) == (
        Outcome.PASS,
        "For one image the candidate's p99 latency is 12.0 ms, the baseline's 10.0 ms: 1.20 times as long; "
        "at most 1.20 times is allowed.",
    )
    assert only(replace(matrix, measured=measured), "latency_p99_ratio.all.max", 1.1)[0] is Outcome.FAIL


def test_one_broken_rule_fails_the_whole_and_is_said_first(matrix: Matrix) -> None:
    result = verdict(matrix, ("recall.all.min", 0.1), ("recall.few.min", 0.1), ("recall.old_data.cell.min", 0.95))
    assert result.outcome is Outcome.FAIL
    assert result.sentence == (
        "counter run new must not replace run old. 1 of 3 rules is broken. "
        "On old data, recall of cell is 0.900; at least 0.950 is required."
    )


def test_one_rule_without_data_keeps_the_whole_from_passing(matrix: Matrix) -> None:
    result = verdict(matrix, ("recall.all.min", 0.1), ("recall.few.min", 0.1))
    assert result.outcome is Outcome.NOT_ENOUGH_DATA
    assert result.sentence.startswith("Whether counter run new may replace run old cannot be said: 1 of 2 rules has too little")


def test_all_rules_hold(matrix: Matrix) -> None:
    result = verdict(matrix, ("recall.all.min", 0.1), ("negative_flip_rate.all.max", 0.2))
    assert result.outcome is Outcome.PASS
    assert result.sentence == "counter run new may replace run old. All 2 rules hold on planted@v2."


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


def test_a_gate_without_a_rule_passes_nothing(matrix: Matrix) -> None:
    result = verdict(matrix)
    assert result.outcome is Outcome.NOT_ENOUGH_DATA
    assert result.sentence.startswith("Nothing was checked")


def test_two_numbers_are_told_apart() -> None:
    assert numbers(0.8496, 0.85) == ("0.8496", "0.8500")
    assert numbers(0.03, 0.03 + 1e-15) == ("0.030", "0.030")
