"""great-expectations judges metrics by the limits of ``[quality]``."""

import os
import socket

import pandas as pd
import pytest

from lakegate.declarations import QualityTable
from lakegate.quality.rules import LIMITS, limits_of
from lakegate.quality.suite import judge_metrics

MIDDLE = {
    "shorter_side_px": 480,
    "longer_side_px": 640,
    "aspect": 1.3,
    "brightness": 120.0,
    "contrast": 40.0,
    "entropy": 6.0,
    "blur": 90.0,
}
LIMITED = QualityTable(
    min_side_px=64, max_side_px=1000, aspect=(0.5, 2), brightness=(20, 235), contrast=(5, 100), entropy=(2, 8), blur_min=10
)
OUTSIDE = {
    "min_side_px": [63], "max_side_px": [1001], "aspect": [0.49, 2.01], "brightness": [19.9, 235.1],
    "contrast": [4.9, 100.1], "entropy": [1.9], "blur_min": [9.9],
}  # fmt: skip


def metrics_with(rule):
    """Return good images and one that is outside for each end of ``rule``."""
    bad = [{"sample_id": f"bad{number}", **MIDDLE, LIMITS[rule][0]: value} for number, value in enumerate(OUTSIDE[rule])]
    return pd.DataFrame([{"sample_id": "good", **MIDDLE}, *bad, {"sample_id": "also-good", **MIDDLE}])


@pytest.mark.parametrize("rule", sorted(LIMITS))
def test_each_limit_names_the_samples_outside_it_and_no_others(rule):
    failed = judge_metrics(metrics_with(rule), limits_of(LIMITED))
    assert failed.pop(rule) == [f"bad{number}" for number in range(len(OUTSIDE[rule]))]
    assert not any(failed.values()) and set(failed) | {rule} == set(LIMITS)


def test_all_failing_samples_are_named_and_not_only_the_first_twenty():
    table = pd.DataFrame([{"sample_id": f"s{number}", **MIDDLE, "blur": 1.0} for number in range(120)])
    assert len(judge_metrics(table, limits_of(QualityTable(blur_min=10)))["blur_min"]) == 120


def test_without_limits_nothing_is_judged():
    assert judge_metrics(pd.DataFrame([{"sample_id": "one", **MIDDLE}]), limits_of(QualityTable())) == {}


def test_judging_opens_no_connection(monkeypatch):
    opened = []
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: opened.append(address))
    judge_metrics(metrics_with("blur_min"), limits_of(QualityTable(blur_min=1)))
    assert opened == [] and os.environ["GX_ANALYTICS_ENABLED"] == "False"


def test_limits_are_written_as_people_write_them():
    assert [limit.text for limit in limits_of(LIMITED)][:3] == ["at least 64", "at most 1000", "0.5 to 2"]
