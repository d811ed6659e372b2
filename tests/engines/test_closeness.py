import numpy as np
import pytest

from lakegate.declarations import EngineTable
from lakegate.engines.closeness import USUAL_LIMITS, batch_sizes, limits_of, measure
from tests.engines.random_model import declare

STRICT = USUAL_LIMITS["fp32"]


class Planted:
    """Answers from the mean colour of each image: one object, and noise where it is told."""

    def __init__(self, spoil=None):
        self.spoil = spoil or (lambda _boxes, _scores: None)

    def infer(self, images_NCHW):
        means = images_NCHW.mean(axis=(2, 3))  # (N, 3)
        boxes = np.repeat(means[:, None, :1], 4, axis=2).repeat(5, axis=1) + np.arange(4, dtype=np.float32)
        scores = np.full((len(images_NCHW), 5, 2), 0.1, np.float32)
        scores[:, 2, 1] = 0.9
        self.spoil(boxes, scores)
        return boxes.astype(np.float32), scores


@pytest.fixture(scope="module")
def pictures():
    random = np.random.default_rng(1)
    return [random.integers(0, 255, (80, 100, 3), dtype=np.uint8) for _ in range(2)]


def judged(pictures, spoil=None, limits=STRICT):
    return measure(Planted(spoil), Planted(), pictures, declare(), limits)


def test_equal_outputs_pass_and_say_on_what(pictures):
    grid = judged(pictures)
    assert grid.passed
    assert grid.failures == []
    assert "on 2 real images in batches of 1, 2, 3" in grid.sentence
    assert [row.n_objects for row in grid.rows] == [1, 2, 3]


def test_a_wrong_slot_of_one_batch_size_is_found(pictures):
    def spoil(boxes, _scores):
        if len(boxes) == 3:
            boxes[1, 2] += 7

    grid = judged(pictures, spoil)
    assert [row.passed for row in grid.rows] == [True, True, False]
    assert grid.rows[2].worst_slot == 1
    assert "batch 3, slot 1" in grid.failures[0]


def test_a_box_that_nobody_calls_an_object_does_not_count(pictures):
    def spoil(boxes, _scores):
        boxes[:, 0] += 100

    assert judged(pictures, spoil).passed


def test_an_object_under_another_label_is_no_agreement(pictures):
    def spoil(_boxes, scores):
        scores[:, 2] = scores[:, 2, ::-1].copy()

    grid = judged(pictures, spoil, USUAL_LIMITS["int8"])
    assert not grid.passed
    assert grid.rows[0].agreement == 0


def test_scores_on_both_sides_of_the_threshold_agree_when_they_are_equal_but_for_rounding(pictures):
    threshold = declare().operating.score_threshold

    def shift(by):
        def spoil(_boxes, scores):
            scores[:, 3, 0] = threshold + by

        return spoil

    grid = measure(Planted(shift(1e-6)), Planted(shift(-1e-6)), pictures, declare(), STRICT)
    assert grid.rows[0].agreement == 1
    assert grid.passed


def test_numbers_that_are_none_fail(pictures):
    def spoil(_boxes, scores):
        scores[0, 0, 0] = np.nan

    assert not any(row.passed for row in judged(pictures, spoil).rows)


def test_every_batch_size_is_measured_up_to_eight_and_the_ends_beyond():
    assert batch_sizes((1, 2, 3)) == [1, 2, 3]
    assert batch_sizes((2, 8, 8)) == [2, 3, 4, 5, 6, 7, 8]
    assert batch_sizes((1, 16, 32)) == [1, 2, 3, 4, 5, 6, 7, 8, 16, 31, 32]


def test_declared_limits_win_over_the_usual_ones():
    engine = EngineTable(compute_capability="8.6", precision="int8", max_box_error_px=0.5)
    assert limits_of(engine).max_box_error_px == 0.5
    assert limits_of(engine).min_agreement == USUAL_LIMITS["int8"].min_agreement
