import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakegate.errors import BadInput
from lakegate.evaluation.operating_sums import OperatingCounts, count_sample, operating_statistics
from lakegate.evaluation.sums import JoinedStatistics, SumMetric, SumStatistics, ratio

LABELS = ("cell", "plate")


def counted(truth: list[tuple[int, int]], found: list[bool], false: list[tuple[int, int]], ignored: int = 0) -> OperatingCounts:
    """One sample; objects and false predictions as (label, side in pixels), so many more objects that are ignored."""
    shown = [truth[index] for index, is_found in enumerate(found) if is_found] + false
    everything = truth + [(0, 10)] * ignored
    is_ignored = np.arange(len(everything)) >= len(truth)
    is_false = np.arange(len(shown)) >= sum(found)
    is_found = np.array([*found, *[False] * ignored], bool)
    return count_sample(*arrays(everything), is_ignored, is_found, *arrays(shown), is_false, len(LABELS))


def arrays(objects: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    boxes = np.array([(0, 0, side, side) for _, side in objects], np.float32).reshape(-1, 4)
    return boxes, np.array([label for label, _ in objects], np.int64)


def test_what_holds_at_the_operating_threshold_is_counted_per_label_and_size() -> None:
    samples = [
        counted([(0, 20), (0, 40), (1, 100)], [True, False, True], [(0, 50)]),
        counted([(0, 32)], [True], []),
        counted([], [], [(1, 10)]),
        counted([], [], []),
    ]
    values = operating_statistics(samples, LABELS).values(np.ones((1, 4)))
    point = {metric: {slot: value.item() for slot, value in by_slot.items()} for metric, by_slot in values.items()}
    assert point["recall"] == pytest.approx({"": 3 / 4, "cell": 2 / 3, "plate": 1, "@small": 1, "@medium": 1 / 2, "@large": 1})
    wanted = {"": 3 / 5, "cell": 2 / 3, "plate": 1 / 2, "@small": 1 / 2, "@medium": 1 / 2, "@large": 1}
    assert point["precision"] == pytest.approx(wanted)
    assert point["missed_per_image"] == pytest.approx(
        {"": 1 / 4, "cell": 1 / 4, "plate": 0, "@small": 0, "@medium": 1 / 4, "@large": 0}
    )
    assert point["false_per_image"] == pytest.approx(
        {"": 2 / 4, "cell": 1 / 4, "plate": 1 / 4, "@small": 1 / 4, "@medium": 1 / 4, "@large": 0}
    )
    assert point["empty_alarm_rate"] == {"": 1 / 2}


def test_weights_are_how_often_a_sample_is_there() -> None:
    samples = [counted([(0, 20)], [True], []), counted([(0, 20), (1, 9)], [False, True], [(1, 9)]), counted([], [], [(0, 8)])]
    weights = np.array([[2.0, 1.0, 0.0], [0.0, 0.0, 3.0]])
    values = operating_statistics(samples, LABELS).values(weights)
    repeated = operating_statistics([samples[0], samples[0], samples[1]], LABELS).values(np.ones((1, 3)))
    for metric, by_slot in values.items():
        for slot, replicates in by_slot.items():
            np.testing.assert_equal(replicates[0], repeated[metric][slot][0])
    assert values["empty_alarm_rate"][""].tolist() == pytest.approx([np.nan, 1.0], nan_ok=True)


def test_without_an_object_only_false_objects_can_be_said() -> None:
    values = operating_statistics([counted([], [], [(0, 20)])], LABELS).values(np.ones((1, 1)))
    assert {metric for metric in values if np.isnan(values[metric]["" if metric == "empty_alarm_rate" else "cell"]).all()} == {
        "precision",
        "recall",
        "missed_per_image",
    }


def test_an_ignored_object_does_not_count_and_its_sample_is_not_empty() -> None:
    values = operating_statistics([counted([], [], [(0, 20)], ignored=1)], LABELS).values(np.ones((1, 1)))
    assert np.isnan(values["recall"][""]).all()
    assert np.isnan(values["empty_alarm_rate"][""]).all()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 4)), min_size=1, max_size=8))
def test_a_formula_gets_the_weighted_sums(rows: list[tuple[int, int, int]]) -> None:
    above, below, weight = np.array(rows, np.float64).T
    statistics = SumStatistics(
        {"above": above[:, None], "below": below[:, None]}, {"rate": SumMetric(("",), ("above", "below"), ratio)}
    )
    found = statistics.values(weight[None])["rate"][""][0]
    total = float((weight * below).sum())
    assert found == pytest.approx(float((weight * above).sum()) / total if total else np.nan, nan_ok=True)


def test_only_what_is_asked_is_measured() -> None:
    statistics = operating_statistics([counted([(0, 20)], [True], [])], LABELS)
    assert statistics.metrics == ("precision", "recall", "missed_per_image", "false_per_image", "empty_alarm_rate")
    assert set(statistics.values(np.ones((1, 1)), only={"recall", "map"})) == {"recall"}


def test_joined_statistics_measure_what_their_parts_do() -> None:
    operating = operating_statistics([counted([(0, 20)], [True], []), counted([], [], [])], LABELS)
    own = SumStatistics({"n": np.ones((2, 1))}, {"count": SumMetric(("",), ("n",), lambda n: n)})
    joined = JoinedStatistics(operating, own)
    assert joined.metrics == (*operating.metrics, "count")
    weights = np.array([[1.0, 2.0]])
    np.testing.assert_equal(joined.values(weights), {**operating.values(weights), "count": {"": np.array([3.0])}})
    assert set(joined.values(weights, only={"count", "recall"})) == {"count", "recall"}


def test_no_sample_at_all_gives_no_value() -> None:
    values = operating_statistics([], LABELS).values(np.ones((2, 0)))
    assert all(np.isnan(row).all() for by_slot in values.values() for row in by_slot.values())


def test_sums_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(BadInput, match="of the same samples"):
        SumStatistics({"a": np.ones((2, 1)), "b": np.ones((3, 1))}, {})
    with pytest.raises(BadInput, match="'rate' needs the sums a, c; there are a"):
        SumStatistics({"a": np.ones((2, 1))}, {"rate": SumMetric(("",), ("a", "c"), ratio)})
