"""lakegate/evaluation/bootstrap.py: intervals, and which samples matter most."""

import numpy as np
import pytest

from lakegate.evaluation.bootstrap import MAX_TRIED, ResampledCell
from tests.evaluation.drawn import Column, Shares, a_matrix


def a_cell(n_samples: int, hits: list[int], groups: list[str] | None = None) -> ResampledCell:
    keys = tuple(f"planted/s{index:04d}" for index in range(n_samples))
    statistics = Shares("recall", np.array(hits), np.full(n_samples, 2))
    return ResampledCell(keys, tuple(groups or keys), statistics, None)


def test_an_interval_of_a_share_is_as_wide_as_the_binomial_says() -> None:
    hits = [2 * (index % 5 > 0) for index in range(400)]
    low, high = a_cell(400, hits).intervals()["candidate"]["recall"][""]
    error = (0.8 * 0.2 / 400) ** 0.5
    assert (low, high) == pytest.approx((0.8 - 1.96 * error, 0.8 + 1.96 * error), abs=0.2 * error)


def test_equal_inputs_give_equal_intervals_with_six_decimals() -> None:
    hits = [index % 3 for index in range(50)]
    one, other = (a_cell(50, hits).intervals() for _ in range(2))
    assert one == other
    assert all(round(bound, 6) == bound for bound in one["candidate"]["recall"][""])


def test_one_group_alone_has_no_interval() -> None:
    assert a_cell(10, [1] * 10, ["clip"] * 10).intervals() == {}
    assert a_cell(0, []).intervals() == {}


def test_among_many_samples_the_worst_are_still_found() -> None:
    n_samples = 3 * MAX_TRIED
    hits = [2] * n_samples
    hits[100] = hits[500] = 0
    hits[333] = 1
    worst = a_cell(n_samples, hits).worst_samples("recall", "", "min")
    assert worst == ("planted/s0100", "planted/s0500", "planted/s0333")


def test_without_a_baseline_no_difference_is_told() -> None:
    assert set(a_cell(20, [index % 3 for index in range(20)]).intervals()) == {"candidate"}


def test_what_no_draw_changes_has_no_interval_that_claims_to_be_sure() -> None:
    told = a_matrix({"all": Column([1] * 20, [2] * 20, [2] * 20)}).cells[0].intervals
    assert told["candidate"]["recall"][""] == (0.5, 0.5) and "" not in told["difference"]["recall"]
    varied = a_matrix({"all": Column([1] * 19 + [2], [2] * 20, [2] * 20)}).cells[0].intervals
    assert varied["difference"]["recall"][""][0] < varied["difference"]["recall"][""][1]
