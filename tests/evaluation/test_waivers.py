"""lakegate/evaluation/waivers.py: who answers for a rule that does not hold, and until when."""

from datetime import date

import pytest

from lakegate.evaluation.waivers import in_force, is_held, waive
from lakegate.gate_rules import Outcome, RuleResult, Waiver
from lakegate.model_tables import WaiverTable

KEY = "map50.all.min"
WAIVERS = {KEY: WaiverTable(reason="the lens was dirty", owner="ada", expires=date(2031, 5, 1))}


@pytest.mark.parametrize(("day", "counts"), [(date(2031, 4, 30), True), (date(2031, 5, 1), True), (date(2031, 5, 2), False)])
def test_a_waiver_counts_up_to_its_last_day(day: date, counts: bool) -> None:
    assert in_force(WAIVERS, day) == ((KEY,) if counts else ())


@pytest.mark.parametrize("outcome", [Outcome.FAIL, Outcome.NOT_ENOUGH_DATA])
def test_a_waiver_keeps_the_outcome_and_holds_nothing_back(outcome: Outcome) -> None:
    waived = waive(RuleResult(KEY, outcome, "On all…"), WAIVERS, (KEY,))
    assert (waived.outcome, waived.waiver) == (outcome, Waiver("the lens was dirty", "ada", "2031-05-01"))
    assert is_held(waived)


def test_a_rule_that_holds_needs_no_waiver() -> None:
    assert waive(RuleResult(KEY, Outcome.PASS, "On all…"), WAIVERS, (KEY,)).waiver is None


def test_an_expired_waiver_is_named_and_does_not_count() -> None:
    result = waive(RuleResult(KEY, Outcome.FAIL, "On all…"), WAIVERS, ())
    assert not is_held(result)
    assert result.sentence == "On all… The waiver of ada expired on 2031-05-01 and does not count."
