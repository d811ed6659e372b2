"""How often the gate is right, on planted models and with fixed seeds."""

from collections.abc import Iterator

import numpy as np

from lakegate.evaluation.gate import judge
from lakegate.gate_rules import Outcome, RuleResult, parse_rule
from tests.evaluation.drawn import Column, a_matrix


def trials(n_trials: int, lost: float, seed: int) -> Iterator[RuleResult]:
    """Judge pairs of models that miss at random, in clips of unequal size; the candidate loses this share on top."""
    random = np.random.default_rng(seed)
    for _ in range(n_trials):
        clips = [str(clip) for clip in random.integers(0, 60, 150)]
        units, rates = random.integers(1, 5, 150), random.beta(20, 2, 150)
        candidate, baseline = random.binomial(units, rates * (1 - lost)), random.binomial(units, rates)
        matrix = a_matrix({"all": Column(candidate.tolist(), baseline.tolist(), units.tolist(), clips)}, n_replicates=200)
        rules = [("recall.all.max_drop", 0.0), ("recall.all.cell.max_drop", 0.9), ("negative_flip_rate.all.max", 0.9)]
        yield judge([parse_rule(key, limit) for key, limit in rules], matrix).results[0]


def test_equal_models_fail_no_more_often_than_was_promised() -> None:
    n_trials = 150
    n_failed = sum(result.outcome is Outcome.FAIL for result in trials(n_trials, 0.0, seed=3))
    assert n_failed / n_trials <= 0.05 + 2 * (0.05 * 0.95 / n_trials) ** 0.5


def test_a_planted_loss_is_found_with_the_power_that_is_stated() -> None:
    results = list(trials(150, 0.022, seed=4))  # recall is 0.909: two points
    stated = float(np.mean([result.power for result in results if result.power is not None]))
    found = sum(result.outcome is Outcome.FAIL for result in results) / len(results)
    assert 0.02 < stated < 0.9
    assert abs(found - stated) <= 3 * (stated * (1 - stated) / len(results)) ** 0.5
