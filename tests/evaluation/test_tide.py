"""Each planted error is named as what it is, and only taking out that kind of error mends the average precision."""

import numpy as np
import pytest

from lakegate.evaluation.average_precision import ApStatistics
from lakegate.evaluation.coco_matching import ANY_LABEL
from lakegate.evaluation.tide import ERRORS, NOBODY, SampleErrors, TideStatistics, find_errors
from tests.evaluation.coco_reference import Scene, random_scene

Box = tuple[float, float, float, float]
LABELS = ("cell", "plate")
HERE: Box = (0, 0, 100, 100)
SHIFTED: Box = (0, 50, 100, 150)  # IoU 1/3
FAR: Box = (300, 300, 360, 360)


def errors_of(truth: list[tuple[Box, int]], found: list[tuple[Box, float, int]], ignored: int = 0) -> SampleErrors:
    """Truth as (box, label), the last ones ignored; predictions as (box, score, label)."""
    return find_errors(
        np.array([box for box, _ in truth], np.float32).reshape(-1, 4),
        np.array([label for _, label in truth], np.int64),
        np.arange(len(truth)) >= len(truth) - ignored,
        np.array([box for box, _, _ in found], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in found], np.float32),
        np.array([label for _, _, label in found], np.int64),
    )


def gains(*samples: SampleErrors) -> dict[str, float]:
    values = TideStatistics(samples, LABELS).values(np.ones((1, len(samples))))
    return {error: values[f"tide_{error}"][""].item() for error in ERRORS}


PLANTED = {
    "class": ([(HERE, 0)], [(HERE, 0.9, 1)]),
    "location": ([(HERE, 0)], [(SHIFTED, 0.9, 0)]),
    "both": ([(HERE, 0)], [(SHIFTED, 0.9, 1)]),
    "duplicate": ([(HERE, 0)], [(HERE, 0.9, 0), (HERE, 0.8, 0)]),
    "background": ([(HERE, 0)], [(HERE, 0.9, 0), (FAR, 0.95, 0)]),
    "missed": ([(HERE, 0), (FAR, 0)], [(HERE, 0.9, 0)]),
}


@pytest.mark.parametrize("error", ERRORS)
def test_a_planted_error_is_named(error: str) -> None:
    sample = errors_of(*PLANTED[error])
    statistics = TideStatistics([sample], LABELS)
    counts = {name: statistics.count(name) for name in ERRORS}
    also = {"missed": 1} if error == "both" else {}  # a wrong label in a wrong place corrects no object
    assert counts == {**dict.fromkeys(ERRORS, 0), **also, error: 1}


def test_what_is_gained_is_what_average_precision_lacks() -> None:
    assert gains(errors_of(*PLANTED["location"])) == pytest.approx({**dict.fromkeys(ERRORS, 0.0), "location": 1.0})
    assert gains(errors_of(*PLANTED["class"])) == pytest.approx({**dict.fromkeys(ERRORS, 0.0), "class": 1.0})
    assert gains(errors_of(*PLANTED["background"])) == pytest.approx({**dict.fromkeys(ERRORS, 0.0), "background": 0.5})
    assert gains(errors_of(*PLANTED["missed"])) == pytest.approx({**dict.fromkeys(ERRORS, 0.0), "missed": 50 / 101})
    assert gains(errors_of(*PLANTED["duplicate"])) == pytest.approx(dict.fromkeys(ERRORS, 0.0))  # it comes last
    late = errors_of([(HERE, 0), (FAR, 0)], [(HERE, 0.9, 0), (HERE, 0.8, 0), (FAR, 0.7, 0)])
    assert gains(late) == pytest.approx({**dict.fromkeys(ERRORS, 0.0), "duplicate": 50 / 101 / 3})


def test_of_two_that_would_find_an_object_the_better_one_is_corrected_and_the_other_taken_out() -> None:
    sample = errors_of([(HERE, 0)], [(SHIFTED, 0.8, 0), (HERE, 0.9, 1)])
    assert sample.kinds == ("class", "location")
    assert sample.places.tolist() == [1, 0]
    assert sample.corrected.tolist() == [0, NOBODY]
    assert gains(sample) == pytest.approx({**dict.fromkeys(ERRORS, 0.0), "class": 1.0})


def test_an_ignored_object_is_no_error_and_corrects_none() -> None:
    sample = errors_of([(HERE, 0), (FAR, ANY_LABEL)], [(HERE, 0.9, 0), (FAR, 0.95, 0), (FAR, 0.8, 1), (SHIFTED, 0.7, 1)], 1)
    assert sample.kinds == ("ignored", "right", "ignored", "both")
    assert not sample.is_missed.any()


def test_nothing_found_is_missed_and_something_shown_on_an_empty_scene_is_background() -> None:
    assert errors_of([(HERE, 0)], []).is_missed.tolist() == [True]
    assert errors_of([], [(HERE, 0.9, 0)]).kinds == ("background",)
    assert np.isnan(list(gains(errors_of([], [(HERE, 0.9, 0)])).values())).all()


def errors_of_scene(scene: Scene) -> SampleErrors:
    truth = scene.truth_boxes, scene.truth_labels, scene.truth_ignored
    return find_errors(*truth, scene.boxes, scene.scores, scene.labels)


def test_without_a_change_the_average_precision_is_cocos() -> None:
    random = np.random.default_rng(0)
    scenes = [random_scene(random, 2) for _ in range(40)]
    scenes += [Scene(s.truth_boxes, np.full(len(s.truth_labels), ANY_LABEL), *list(vars(s).values())[2:]) for s in scenes[:5]]
    weights = random.multinomial(45, np.full(45, 1 / 45), size=3).astype(float)
    statistics = TideStatistics([errors_of_scene(scene) for scene in scenes], LABELS)
    coco = ApStatistics([scene.match() for scene in scenes], LABELS).values(weights)["map50"]
    before = statistics._ap50("", weights)
    np.testing.assert_array_equal(before, np.stack([coco[label] for label in LABELS], axis=1))


def test_every_prediction_has_one_kind_and_taking_an_error_out_makes_nothing_worse() -> None:
    random = np.random.default_rng(1)
    samples = [errors_of_scene(random_scene(random, 2)) for _ in range(60)]
    statistics = TideStatistics(samples, LABELS)
    counts = {error: statistics.count(error) for error in ERRORS}
    assert min(counts.values()) > 0
    named = [kind for sample in samples for kind in sample.kinds]
    n_errors = sum(counts.values()) - counts["missed"]
    assert n_errors + named.count("right") + named.count("ignored") == len(named)
    values = statistics.values(np.ones((1, 60)))
    assert all(values[f"tide_{error}"][""].item() >= 0 for error in ERRORS)
    assert set(statistics.values(np.ones((1, 60)), only={"tide_both"})) == {"tide_both"}
