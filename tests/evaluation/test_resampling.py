"""What the bootstrap says of a difference is as often wrong, and as often found, as it claims. All seeds are fixed."""

import math

import numpy as np
import pytest
from scipy import stats

from lakegate.errors import BadInput
from lakegate.evaluation.resampling import (
    GroupDraws,
    NonInferiority,
    draw_groups,
    holm,
    interval,
    non_inferiority,
    power,
    samples_needed,
    student_cdf,
    student_quantile,
)

N_REPLICATES = 1000
N_COMPARISONS = 400
ALPHA = 0.05


def binomial_error(share: float, n: int = N_COMPARISONS) -> float:
    """Three standard errors of a share that was counted in n comparisons."""
    return 3 * math.sqrt(share * (1 - share) / n)


def compare(true_change: float, margin: float, n_groups: int, recall: float = 0.85, seed: int = 0) -> list[NonInferiority]:
    """Recall of two models on groups of unequal sizes that differ in difficulty; most objects both models see alike."""
    random = np.random.default_rng(seed)
    draws = draw_groups([str(group) for group in range(n_groups)], N_REPLICATES, seed)
    shape = N_COMPARISONS, n_groups
    n_objects = random.choice([1, 3, 10], shape)
    alike = random.binomial(n_objects, 0.6)
    chance = random.beta(recall * 8, (1 - recall) * 8, shape)
    worse = np.clip(chance + true_change / 0.4, 0, 1)
    gained = (random.binomial(n_objects - alike, worse) - random.binomial(n_objects - alike, chance)).astype(float)
    order = np.argsort(np.array([str(group) for group in range(n_groups)]))
    difference_RN = (draws.counts @ gained[:, order].T) / (draws.counts @ n_objects[:, order].T)
    points = gained.sum(axis=1) / n_objects.sum(axis=1)
    rows = zip(difference_RN.T, points.tolist(), strict=True)
    return [non_inferiority(np.ascontiguousarray(row), point, margin, ALPHA, draws) for row, point in rows]


def share(tests: list[NonInferiority], name: str) -> float:
    return sum(getattr(test, name) <= ALPHA for test in tests) / len(tests)


@pytest.mark.parametrize("n_groups", [8, 40, 150])
def test_models_that_are_equally_good_are_found_worse_no_more_often_than_alpha(n_groups: int) -> None:
    assert share(compare(0.0, 0.0, n_groups), "p_beyond") <= ALPHA + binomial_error(ALPHA)


@pytest.mark.parametrize("n_groups", [8, 40, 150])
def test_a_model_that_is_worse_by_the_margin_is_passed_no_more_often_than_alpha(n_groups: int) -> None:
    assert share(compare(-0.03, 0.03, n_groups, seed=1), "p_within") <= ALPHA + binomial_error(ALPHA)


@pytest.mark.parametrize("n_groups", [40, 150])
def test_a_model_that_is_worse_by_the_margin_is_failed_no_more_often_than_alpha(n_groups: int) -> None:
    assert share(compare(-0.03, 0.03, n_groups, recall=0.75, seed=9), "p_beyond") <= ALPHA + binomial_error(ALPHA)


@pytest.mark.parametrize("n_groups", [150, 500])
def test_two_points_less_are_found_with_the_stated_power(n_groups: int) -> None:
    tests = compare(-0.02, 0.0, n_groups, recall=0.8, seed=2)
    stated = sum(power(-0.02, test, 0.0, ALPHA) for test in tests) / len(tests)
    assert 0.2 < stated < 0.98
    assert share(tests, "p_beyond") == pytest.approx(stated, abs=binomial_error(stated))


def test_the_bounds_hold_as_often_as_they_say() -> None:
    tests = compare(-0.02, 0.05, 60, recall=0.8, seed=3)
    for too_far in ([test.low > -0.02 for test in tests], [test.high < -0.02 for test in tests]):
        assert sum(too_far) / len(too_far) <= ALPHA + binomial_error(ALPHA)


def test_a_difference_is_within_the_margin_exactly_where_the_lower_bound_is() -> None:
    tests = compare(-0.01, 0.02, 100, seed=4)
    assert {test.p_within <= ALPHA for test in tests} == {True, False}
    assert [test.p_within <= ALPHA for test in tests] == [test.low >= -0.02 for test in tests]


def with_errors(n_groups: int, lost: int, gained: int = 0) -> tuple[np.ndarray, float, GroupDraws]:
    """Accuracy of one image per group: so many that only the baseline gets right, so many that only the candidate does."""
    changes = np.array([-1.0] * lost + [1.0] * gained + [0.0] * (n_groups - lost - gained))
    draws = draw_groups([f"{group:06d}" for group in range(n_groups)], N_REPLICATES, 7)
    return draws.counts @ changes / n_groups, float(changes.mean()), draws


def test_three_lost_images_are_no_proof_and_ten_are() -> None:
    few, many = (non_inferiority(*with_errors(500, lost)[:2], 0.0, ALPHA, with_errors(500, lost)[2]) for lost in (3, 10))
    assert few.p_beyond > ALPHA > many.p_beyond  # by the sign test 1/8 and 1/1024
    assert few.p_within > ALPHA


def test_one_lost_image_in_a_thousand_does_not_hide_that_two_points_are_kept() -> None:
    difference, point, draws = with_errors(1000, 1)
    test = non_inferiority(difference, point, 0.02, ALPHA, draws)
    assert test.p_within < 0.001
    poisson_bound = -stats.chi2.ppf(0.95, 4) / 2 / 1000  # exact for one event: 4.74 in a thousand
    assert 2 * poisson_bound < test.low < poisson_bound


def test_the_number_of_informative_groups_is_that_of_the_groups_that_differ() -> None:
    for lost, gained in ((1, 0), (4, 3), (20, 10)):
        difference, _, draws = with_errors(400, lost, gained)
        assert draws.informative(difference) == pytest.approx(lost + gained, rel=0.3)
    assert draws.informative(np.zeros(N_REPLICATES)) == 0.0


def test_no_difference_at_all_is_within_every_margin() -> None:
    difference, point, draws = with_errors(30, 0)
    test = non_inferiority(difference, point, 0.0, ALPHA, draws)
    assert (test.p_within, test.p_beyond, test.low, test.high) == (0.0, 1.0, 0.0, 0.0)
    assert samples_needed(test, point, 0.0, ALPHA, 30) is None
    assert power(-0.02, test, 0.0, ALPHA) == 0.0


def test_one_group_proves_nothing_and_many_that_say_the_same_do() -> None:
    for n_groups, p_value in ((1, 0.5), (3, 0.125), (12, 0.5**12)):
        test = non_inferiority(*with_errors(n_groups, n_groups)[:2], 0.1, ALPHA, with_errors(n_groups, n_groups)[2])
        assert (test.p_beyond, test.p_within) == (p_value, 1 - p_value)
        assert (test.high == math.inf) == (p_value > ALPHA)


def test_replicates_without_a_value_count_against_both_answers() -> None:
    difference, point, draws = with_errors(200, 0, 60)
    difference[:100] = np.nan
    test = non_inferiority(difference, point, 0.0, ALPHA, draws)
    assert test.unsaid == pytest.approx(0.1)
    assert test.p_within == pytest.approx(0.1, abs=1e-6)
    nothing = non_inferiority(np.full(N_REPLICATES, np.nan), math.nan, 0.0, ALPHA, draws)
    assert (nothing.p_within, nothing.p_beyond, nothing.low, nothing.high) == (1.0, 1.0, -math.inf, math.inf)


def test_a_limit_that_is_met_exactly_is_met() -> None:
    steady = np.full(N_REPLICATES, 0.7 - 0.9)
    draws = with_errors(50, 0)[2]
    assert non_inferiority(steady, 0.7 - 0.9, 0.2, ALPHA, draws).p_within == 0.5**50


def test_as_many_more_groups_as_it_asks_for_decide_the_rule_as_often_as_it_says() -> None:
    first = compare(-0.01, 0.02, 100, recall=0.8, seed=5)
    typical = sorted(first, key=lambda test: test.standard_error)[len(first) // 2]
    more = samples_needed(typical, -0.01, 0.02, ALPHA, 100)
    assert more is not None
    assert 50 < more < 2000
    decided = share(compare(-0.01, 0.02, 100 + more, recall=0.8, seed=6), "p_within")
    assert decided == pytest.approx(0.8, abs=0.1)
    assert samples_needed(typical, -0.02, 0.02, ALPHA, 100) is None


def test_groups_are_drawn_whole_and_as_many_as_there_are() -> None:
    groups = ["b", "a", "b", "c", "a", "b"]
    draws = draw_groups(groups, 300, 1)
    assert (draws.weights.shape, draws.n_groups) == ((300, 6), 3)
    assert (draws.counts.sum(axis=1) == 3).all()
    np.testing.assert_array_equal(draws.weights[:, [0, 0]], draws.weights[:, [2, 5]])
    np.testing.assert_array_equal(draws.weights, draws.counts[:, [1, 0, 1, 2, 0, 1]])
    assert draws.counts.mean(axis=0) == pytest.approx(1.0, abs=0.15)
    np.testing.assert_array_equal(draw_groups(groups, 300, 1).weights, draws.weights)
    assert (draw_groups(groups, 300, 2).weights != draws.weights).any()


def test_no_sample_at_all_can_be_drawn() -> None:
    draws = draw_groups([], 4, 0)
    assert (draws.weights.shape, draws.n_groups) == ((4, 0), 0)


@pytest.mark.parametrize("n_groups", [6, 30, 200])
def test_an_interval_covers_the_true_value_as_often_as_it_says(n_groups: int) -> None:
    random = np.random.default_rng(10)
    draws = draw_groups([f"{group:06d}" for group in range(n_groups)], N_REPLICATES, 10)
    n_objects = random.choice([1, 3, 10], (N_COMPARISONS, n_groups))
    n_found = random.binomial(n_objects, random.beta(8, 2, n_objects.shape)).astype(float)
    recall_RN = (draws.counts @ n_found.T) / (draws.counts @ n_objects.T)
    found = [interval(np.ascontiguousarray(row), draws) for row in recall_RN.T]
    covers = sum(item.low <= 0.8 <= item.high for item in found) / N_COMPARISONS
    assert covers == pytest.approx(0.95, abs=binomial_error(0.95) + 0.01)


def test_an_interval_leaves_out_what_cannot_be_said_and_says_how_much_that_is() -> None:
    draws = draw_groups([f"{group:06d}" for group in range(400)], N_REPLICATES, 0)
    values = draws.counts[:, :200].mean(axis=1)
    whole = interval(values, draws, 0.9)
    assert (whole.low, whole.high) == pytest.approx(tuple(np.quantile(values, [0.05, 0.95])), abs=0.01)
    values[::2] = np.nan
    half = interval(values, draws, 0.9)
    assert (half.low, half.high) == pytest.approx((whole.low, whole.high), abs=0.02)
    assert (whole.unsaid, half.unsaid) == (0.0, 0.5)
    for nothing in (interval(np.full(N_REPLICATES, np.nan), draws), interval(np.zeros(0), draws)):
        assert math.isnan(nothing.low)
        assert nothing.unsaid == 1.0
    with pytest.raises(BadInput, match=r"for example 0\.95, came 95"):
        interval(values, draws, 95)


def test_an_interval_of_what_never_changes_is_that_value() -> None:
    draws = draw_groups(["a"], N_REPLICATES, 0)
    found = interval(np.full(N_REPLICATES, 0.7), draws)
    assert (found.low, found.high) == (0.7, 0.7)


def test_holm_takes_the_smallest_first_and_stops_at_the_first_that_fails() -> None:
    assert holm([], 0.05) == []
    assert holm([0.02, 0.001, 0.04], 0.05) == [True, True, True]
    assert holm([0.03, 0.001, 0.04], 0.05) == [False, True, False]
    assert holm([math.nan, 0.001], 0.05) == [False, True]


def test_holm_over_true_claims_is_wrong_no_more_often_than_alpha() -> None:
    random = np.random.default_rng(8)
    wrong = sum(any(holm(random.random(6).tolist(), ALPHA)) for _ in range(2000)) / 2000
    assert wrong == pytest.approx(ALPHA, abs=binomial_error(ALPHA, 2000))


def test_students_distribution_is_near_the_exact_one() -> None:
    for freedom in (2, 3, 5, 10, 100):
        t = np.linspace(-6, 6, 49)
        found = [student_cdf(value, freedom) for value in t.tolist()]
        np.testing.assert_allclose(found, stats.t.cdf(t, freedom), atol=0.002)
        for quantile in (0.8, 0.95, 0.99):
            assert student_cdf(student_quantile(quantile, freedom), freedom) == pytest.approx(quantile)
    assert student_cdf(50.0, 0.0) == 0.5
    assert student_quantile(0.95, 0.0) == math.inf


def test_a_large_difference_on_few_groups_needs_several_more() -> None:
    difference, point, draws = with_errors(8, 7)  # one group stands against seven
    few = non_inferiority(difference, point, 0.1, ALPHA, draws)
    more = samples_needed(few, point, 0.1, ALPHA, 8)
    assert few.p_beyond > ALPHA and more is not None and 1 < more <= 8
    difference, point, draws = with_errors(16, 14)
    assert non_inferiority(difference, point, 0.1, ALPHA, draws).p_beyond <= ALPHA
