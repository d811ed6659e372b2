"""Average precision equals pycocotools', for the samples as they are and for samples drawn again."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakegate.errors import BadInput
from lakegate.evaluation.average_precision import N_LEVELS, ApMatches, ApStatistics
from lakegate.evaluation.coco_matching import ANY_LABEL, SIZES_PX2
from tests.evaluation.coco_reference import Scene, random_scene, reference

EQUAL = 1e-6


def ap_of(scenes: Sequence[Scene], n_labels: int, weights: np.ndarray, max_objects: int = 100) -> np.ndarray:
    """Our average precision, shape (R, 10 IoUs, K, 4 sizes)."""
    matches = [scene.match(max_objects) for scene in scenes]
    return np.stack([ApMatches.collect(matches, n_labels, size).ap(weights) for size in SIZES_PX2], axis=-1)


def assert_equal_to_pycocotools(scenes: Sequence[Scene], n_labels: int, max_objects: int = 100) -> None:
    wanted = reference(scenes, n_labels, max_objects).mean(axis=1)
    for n_rows in (1, 20):  # few and many rows go different ways
        found = ap_of(scenes, n_labels, np.ones((n_rows, len(scenes))), max_objects)[-1]
        np.testing.assert_allclose(found, wanted, rtol=0, atol=EQUAL, equal_nan=True)


@st.composite
def coarse_scenes(draw: st.DrawFn) -> list[Scene]:
    """Few places, few scores: many objects overlap by exactly the same share, and many scores are equal."""

    def boxes(n: int) -> np.ndarray:
        place = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 6), st.integers(1, 6))
        rows = np.array(draw(st.lists(place, min_size=n, max_size=n)), np.float32).reshape(-1, 4) * 16
        return np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:]], axis=1)

    def whole(n: int, most: int) -> np.ndarray:
        return np.array(draw(st.lists(st.integers(0, most), min_size=n, max_size=n)), np.int64)

    scenes = []
    for _ in range(draw(st.integers(1, 3))):
        n_truth, n_found = draw(st.integers(0, 5)), draw(st.integers(0, 7))
        truth = boxes(n_truth), whole(n_truth, 1), whole(n_truth, 3) == 0
        scenes.append(Scene(*truth, boxes(n_found), (whole(n_found, 4) / 4).astype(np.float32), whole(n_found, 1)))
    return scenes


@settings(max_examples=80, deadline=None)
@given(coarse_scenes(), st.sampled_from([1, 2, 100]))
def test_it_equals_pycocotools_where_scores_and_overlaps_are_equal_and_objects_are_ignored(scenes, max_objects) -> None:
    assert_equal_to_pycocotools(scenes, 2, max_objects)


@pytest.mark.parametrize(("n_labels", "seed"), [(1, 0), (4, 1), (30, 2)])
def test_it_equals_pycocotools_on_what_a_middling_detector_finds(n_labels: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    assert_equal_to_pycocotools([random_scene(random, n_labels) for _ in range(60)], n_labels)


@pytest.mark.parametrize("seed", range(3))
def test_a_row_of_weights_equals_pycocotools_on_images_that_are_there_so_often(seed: int) -> None:
    random = np.random.default_rng(seed)
    scenes = [random_scene(random, 3) for _ in range(25)]
    drawn = random.multinomial(25, np.full(25, 1 / 25), size=3).astype(float)
    few, many = ap_of(scenes, 3, drawn), ap_of(scenes, 3, np.repeat(drawn, 5, axis=0))[::5]
    np.testing.assert_allclose(few, many, rtol=0, atol=1e-12)
    for row, counts in zip(many, drawn.astype(int), strict=True):
        repeated = [scene for scene, count in zip(scenes, counts, strict=True) for _ in range(count)]
        np.testing.assert_allclose(row, reference(repeated, 3).mean(axis=1), rtol=0, atol=EQUAL, equal_nan=True)


def test_a_subset_by_weights_is_the_subset() -> None:
    random = np.random.default_rng(5)
    scenes = [random_scene(random, 3) for _ in range(20)]
    chosen = np.arange(20) % 3 == 0
    few = ap_of([scene for scene, is_chosen in zip(scenes, chosen, strict=True) if is_chosen], 3, np.ones((1, 7)))
    np.testing.assert_allclose(ap_of(scenes, 3, chosen[None].astype(float)), few, rtol=0, atol=1e-12)


def test_many_replicates_are_the_same_as_one_by_one() -> None:
    random = np.random.default_rng(6)
    matches = ApMatches.collect([random_scene(random, 2).match() for _ in range(8)], 2)
    weights = random.multinomial(8, np.full(8, 1 / 8), size=1003).astype(float)
    together = matches.ap(weights)
    assert together.shape == (1003, 10, 2)
    for row in (0, 999, 1000, 1002):
        np.testing.assert_allclose(together[row], matches.ap(weights[row : row + 1])[0], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(matches.ap(weights, [9, 0]), together[:, [9, 0]])


def test_curves_are_those_of_pycocotools_and_their_mean_is_the_average_precision() -> None:
    random = np.random.default_rng(7)
    scenes = [random_scene(random, 3) for _ in range(30)]
    matches = ApMatches.collect([scene.match() for scene in scenes], 4)
    wanted = reference(scenes, 4)
    for threshold in (0, 5):
        curves = matches.curves(threshold)
        np.testing.assert_allclose(curves, wanted[threshold, :, :, 0].T, rtol=0, atol=EQUAL, equal_nan=True)
        ap = matches.ap(np.ones((1, 30)), [threshold])[0, 0]
        np.testing.assert_allclose(curves.mean(axis=1), ap, rtol=0, atol=EQUAL, equal_nan=True)
    assert curves.shape == (4, N_LEVELS)


def test_a_prediction_on_an_object_of_an_unknown_label_is_ignored_whatever_its_label() -> None:
    box, other = (0.0, 0.0, 50.0, 50.0), (200.0, 0.0, 250.0, 50.0)
    truth = np.array([box, other], np.float32)
    found, scores = np.array([box, box, other], np.float32), np.array([0.9, 0.8, 0.7], np.float32)
    unknown = Scene(truth, np.array([ANY_LABEL, 0]), np.zeros(2, bool), found, scores, np.array([0, 1, 0]))
    known = Scene(truth, np.array([2, 0]), np.zeros(2, bool), found, scores, np.array([0, 1, 0]))
    ap_unknown, ap_known = (ap_of([scene], 3, np.ones((1, 1)))[0, 0, :, 0] for scene in (unknown, known))
    np.testing.assert_allclose(ap_unknown, [1.0, np.nan, np.nan], equal_nan=True)
    np.testing.assert_allclose(ap_known, [0.5, np.nan, 0.0], equal_nan=True)


def test_values_have_labels_and_sizes_and_the_mean_leaves_out_labels_without_objects() -> None:
    random = np.random.default_rng(8)
    scenes = [random_scene(random, 3) for _ in range(40)]
    statistics = ApStatistics([scene.match() for scene in scenes], ("a", "b", "c", "never"))
    values = statistics.values(np.ones((1, 40)))
    wanted = reference(scenes, 4).mean(axis=1)
    assert set(values) == {"map50", "map"}
    for metric, rows in (("map50", wanted[:1]), ("map", wanted)):
        assert set(values[metric]) == {"", "a", "b", "c", "never", "@small", "@medium", "@large"}
        for index, size in enumerate(SIZES_PX2):
            assert values[metric][size] == pytest.approx(np.nanmean(rows[:, :, index]), abs=EQUAL)
        assert values[metric]["b"] == pytest.approx(rows[:, 1, 0].mean(), abs=EQUAL)
        assert np.isnan(values[metric]["never"])
    only = statistics.values(np.ones((1, 40)), only={"map50", "recall"})
    assert set(only) == {"map50"}
    np.testing.assert_equal(only["map50"], values["map50"])
    assert statistics.values(np.ones((1, 40)), only={"recall"}) == {}


def test_a_replicate_without_an_object_has_no_value_and_a_model_that_finds_nothing_has_zero() -> None:
    nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
    one = np.array([[0, 0, 40, 40]], np.float32)
    empty = Scene(nothing[0], nothing[2], np.zeros(0, bool), one, np.ones(1, np.float32), np.zeros(1, np.int64))
    blind = Scene(one, np.zeros(1, np.int64), np.zeros(1, bool), *nothing)
    weights = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    values = ApStatistics([empty.match(), blind.match()], ("a",)).values(weights)
    assert values["map"][""].tolist() == pytest.approx([np.nan, 0.0, np.nan], nan_ok=True)
    assert values["map"]["@small"].tolist() == pytest.approx([np.nan] * 3, nan_ok=True)


def test_no_sample_at_all_gives_no_value() -> None:
    values = ApStatistics([], ("a",)).values(np.ones((2, 0)))
    assert np.isnan(values["map"]["a"]).tolist() == [True, True]


def test_weights_of_other_samples_are_refused() -> None:
    random = np.random.default_rng(9)
    matches = ApMatches.collect([random_scene(random, 2).match() for _ in range(3)], 2)
    with pytest.raises(BadInput, match=r"each of 3 samples per row, came shape \(1, 4\)"):
        matches.ap(np.ones((1, 4)))
