"""Means over labels of which one is rare: in many bootstrap draws it does not occur."""

import numpy as np
import pytest

from lakegate.evaluation.average_precision import ApStatistics
from lakegate.evaluation.classes import ClassTruth, JudgedClass, class_statistics
from lakegate.evaluation.regions import JudgedRegions, RegionTruth, judge_regions, pixel_statistics
from lakegate.evaluation.resampling import draw_groups, interval
from lakegate.evaluation.sums import FloatArray64, SumStatistics
from lakegate.label_map import LabelMap
from lakegate.task_types.protocol import LabelView, SampleStatistics
from tests.evaluation.coco_reference import random_scene

LABELS = ("car", "bus", "person")
RATES, RIGHT = (0.58, 0.40, 0.02), (0.9, 0.9, 0.1)  # person is rare and hard
N_IMAGES, N_TRIALS, N_REPLICATES = 100, 150, 200


def classifier(random: np.random.Generator) -> SumStatistics:
    """A model on images of which at least one shows each label."""
    truth_S = random.choice(3, N_IMAGES, p=RATES)
    if len(set(truth_S.tolist())) < 3:
        return classifier(random)
    is_right_S = random.random(N_IMAGES) < np.array(RIGHT)[truth_S]
    judged = []
    for truth, is_right in zip(truth_S.tolist(), is_right_S.tolist(), strict=True):
        predicted = truth if is_right else (truth + 1) % 2
        probabilities = np.eye(3, dtype=np.float32)[predicted]
        judged.append(JudgedClass(ClassTruth(truth), probabilities, predicted, True))
    return class_statistics(judged, LABELS)


def simulate(hold_labels: bool) -> tuple[float, float]:
    """Return the share of intervals that hold the true mean recall, and by how much the draws lie off what was measured."""
    random = np.random.default_rng(11)
    n_held, shifts = 0, []
    for trial in range(N_TRIALS):
        statistics = classifier(random)
        draws = draw_groups([str(image) for image in range(N_IMAGES)], N_REPLICATES, trial)
        measured = statistics.values(np.ones((1, N_IMAGES)), ["recall"])["recall"][""][0]
        drawn_R = statistics.values(draws.weights, ["recall"], hold_labels)["recall"][""]
        told = interval(drawn_R, draws)
        n_held += told.low <= np.mean(RIGHT) <= told.high
        shifts.append(drawn_R.mean() - measured)
    return n_held / N_TRIALS, float(np.mean(shifts))


def test_the_interval_of_a_mean_with_a_rare_label_is_centred_and_holds_the_truth() -> None:
    coverage, shift = simulate(hold_labels=True)
    _, shift_before = simulate(hold_labels=False)
    assert coverage >= 0.87
    assert abs(shift) < 0.015
    assert shift_before > 2.5 * abs(shift)  # a label that leaves the mean pulls it towards the others


def rare(statistics: SampleStatistics, n_samples: int, metric: str) -> tuple[FloatArray64, FloatArray64, FloatArray64]:
    """Return a draw without the last sample and one with all: the label of that sample, the mean, and the mean of others."""
    weights_RS = np.ones((400, n_samples))
    weights_RS[1:, -1] = 0
    found = statistics.values(weights_RS, [metric], hold_labels=True)[metric]
    return found["person"], found[""], np.array([found["car"], found["bus"]])


def scenes() -> ApStatistics:
    random = np.random.default_rng(2)
    drawn = [random_scene(random, 2, 4.0) for _ in range(12)]
    last = random_scene(random, 2, 4.0)
    last.truth_labels[:], last.labels[:] = 2, 2
    return ApStatistics([scene.match() for scene in [*drawn, last]], LABELS)


def half_found(label: int) -> JudgedRegions:
    """An image all of one label, of which the model shows half."""
    everything = np.ones((2, 2), np.int32)
    truth = RegionTruth(LabelMap.of(everything), np.array([label]), np.array([[0, 0, 2, 2]]), np.array([4]))
    shown = LabelMap.of(everything * np.array([[label + 1, 0]], np.int32))
    return judge_regions(shown, truth, LabelView(np.arange(3), np.ones(3, np.bool_)))


@pytest.mark.parametrize("metric", ["map50", "map", "macro_f1", "precision", "recall", "miou", "dice"])
def test_a_label_that_a_draw_does_not_show_stays_in_the_mean(metric: str) -> None:
    if metric in ("map50", "map"):
        statistics: SampleStatistics = scenes()
        person_R, mean_R, others = rare(statistics, 13, metric)
    elif metric in ("miou", "dice"):
        regions = [half_found(label) for label in (0, 1, 0, 2)]
        person_R, mean_R, others = rare(pixel_statistics(regions, LABELS), len(regions), metric)
    else:
        rows = [(0, 0), (0, 1), (1, 1), (1, 1), (0, 0), (2, 2)]
        judged = [JudgedClass(ClassTruth(true), np.eye(3, dtype=np.float32)[named], named, True) for true, named in rows]
        person_R, mean_R, others = rare(class_statistics(judged, LABELS), len(rows), metric)
    assert np.isnan(person_R[1:]).all() and not np.isnan(person_R[0])
    assert mean_R[0] == pytest.approx((person_R[0] + others[:, 0].sum()) / 3)
    stood_in = mean_R[1:] * 3 - others[:, 1:].sum(axis=0)
    assert set(stood_in.round(6).tolist()) == {0.0, 1.0}
    assert stood_in.mean() == pytest.approx((person_R[0] + 0.5) / 2, abs=0.08)
