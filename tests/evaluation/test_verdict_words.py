"""The words around a verdict: which broken rule leads, what undecided rules lack, what the power says, which labels count."""

from dataclasses import replace
from datetime import date

import pytest

from lakegate.evaluation.gate import judge
from lakegate.evaluation.gate_words import TOO_CLOSE, power_words
from lakegate.evaluation.matrix import Matrix
from lakegate.evaluation.verdict_words import against_baseline, label_words
from lakegate.gate_rules import Outcome, RuleResult, parse_rule
from lakegate.model_tables import WaiverTable
from tests.evaluation.full_page import full_page
from tests.evaluation.planted import World
from tests.evaluation.test_gate import BASELINE, WORSE, compared, only, verdict


def test_a_waived_rule_is_broken_and_holds_nothing_back() -> None:
    key = "recall.all.max_drop"
    waivers = {key: WaiverTable(reason="The camera was dirty.", owner="ada", expires=date(2031, 5, 1))}
    rules = [parse_rule(key, 0.01), parse_rule("recall.all.min", 0.7)]
    result = judge(rules, compared(WORSE, BASELINE), waivers, (key,))
    assert result.outcome is Outcome.PASS
    assert [item.outcome for item in result.results] == [Outcome.FAIL, Outcome.PASS]
    assert result.results[0].waiver is not None and result.results[1].waiver is None
    assert result.sentence.startswith(
        "counter run new may replace run old. 1 of 2 rules hold on planted@v2. "
        "recall.all.max_drop is broken and waived by ada until 2031-05-01: The camera was dirty."
    )
    expired = judge(rules, compared(WORSE, BASELINE), waivers, ())
    assert expired.outcome is Outcome.FAIL
    assert expired.results[0].waiver is None
    assert expired.results[0].sentence.endswith("The waiver of ada expired on 2031-05-01 and does not count.")


def test_a_difference_on_the_limit_is_not_decided_by_more_data() -> None:
    result = only(compared(WORSE, BASELINE), "recall.all.max_drop", 20 / 600)
    assert result.outcome is Outcome.NOT_ENOUGH_DATA
    assert result.remedy == TOO_CLOSE


def test_an_interval_that_holds_no_change_says_in_words_which_way_each_end_points() -> None:
    candidate = [hits + (index % 20 == 1) - (index % 10 == 1) + (index % 20 == 3) for index, hits in enumerate(BASELINE)]
    unclear = only(compared(candidate, BASELINE), "recall.all.max_drop", 0.1).sentence
    assert "recall stayed at 0.750 (95 % interval: from 0.016 better to 0.016 worse)" in unclear
    rule = parse_rule("team_score.all.max_rise", 0.1, ["team_score"])  # nothing says which direction is good
    own = judge([rule], compared(WORSE, BASELINE, "team_score")).results[0].sentence
    assert "team score fell by 0.033 (0.750 → 0.717; 95 % interval: from 0.0" in own and " down)" in own


def test_the_surest_break_leads_and_the_others_say_what_they_need() -> None:
    rules = [("recall.all.min", 0.72), ("negative_flip_rate.all.max", 0.01), ("recall.all.max_drop", 0.01)]
    sentence = verdict(compared(WORSE, BASELINE), *rules).sentence
    assert " 3 of 3 rules are broken. On all test samples, 20 of 600 objects (3.3 %;" in sentence
    assert sentence.endswith(
        " Also broken: recall on all test samples (fell by 0.033, at most 0.010), "
        "recall on all test samples (0.717, needs 0.720)."
    )


def test_a_broken_change_names_how_much_it_takes_for_the_whole_interval_to_lie_within_the_limit() -> None:
    result = only(compared(WORSE, BASELINE), "recall.all.max_drop", 0.01)
    assert result.interval is not None
    needed = result.interval[1] - 0.01
    assert result.remedy.startswith(f"To pass this rule, recall must be higher by about {needed:.3f} or more;")


def test_the_box_tells_rules_that_need_data_from_those_on_their_limit() -> None:
    rules = [("recall.all.max_drop", 20 / 600), ("recall.all.max_drop", 0.04), ("recall.night.min", 0.5)]
    answer = verdict(compared(WORSE, BASELINE), *rules)
    kinds = "1 needs more test data, 1 lies too close to its limit, 1 cannot be decided"
    assert f"cannot be said: 3 of 3 rules are undecided: {kinds}." in answer.sentence


@pytest.mark.parametrize(
    ("power", "words"),
    [
        (0.27, "FAIL in 27 of 100 such tests, PASS in at most 3, and NOT ENOUGH DATA in the others."),
        (0.99, "FAIL in 99 of 100 such tests, PASS in at most 1, and NOT ENOUGH DATA in the others."),
        (1.0, "FAIL in 100 of 100 such tests."),
    ],
)
def test_the_power_says_that_a_bad_model_does_not_slip_through(power: float, words: str) -> None:
    fall = RuleResult("recall.all.max_drop", Outcome.PASS, "", 0.0, 0.1, (-0.1, 0.05), power=power)
    assert power_words(fall) == f"A candidate that is truly 0.02 beyond this limit gets {words}"
    flips = replace(fall, key="negative_flip_rate.all.max")
    assert power_words(flips) == f"A candidate that is truly 2 percentage points beyond this limit gets {words}"
    assert power_words(replace(fall, key="recall.all.min", power=None)) == ""  # what is compared as measured states no power


def test_the_answer_sets_the_headline_metrics_beside_the_baseline() -> None:
    cell = compared(WORSE, BASELINE).cells[0]
    cell = replace(cell, n_flips={"negative": {"": 1_020}, "positive": {"": 3}, "new_false": {}})
    assert against_baseline(cell, "detection", "old") == (
        "Against run old on all test samples: recall 0.750 → 0.717 (worse); 1,020 objects lost, 3 won."
    )


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    return full_page(World(tmp_path_factory.mktemp("full"), []), {})[0]


def test_labels_that_are_not_judged_are_named_with_the_reason(full: Matrix) -> None:
    assert label_words(full) == (
        "2 of 5 labels are judged; granule, smear of the old scanner have no test objects; clot is known to the candidate only"
    )
    assert label_words(compared(WORSE, BASELINE)) == ""
