"""The release page speaks of what the model does: objects, images or regions, and the metrics of its task."""

import pytest

from lakegate.declarations import ModelTask
from lakegate.evaluation.judged import Flip, FlipKind, NearPrediction
from lakegate.evaluation.matrix import Cell
from lakegate.gate_rules import METRICS, metrics_of_task
from lakegate.lifecycle.release_words import TASK_WORDS, flip_notes, task_of

WHOLE = (0.0, 0.0, 10.0, 10.0)


def cell(metric: str) -> Cell:
    return Cell("all", "all", "fruit", 1, {"": 1}, {"recall": {"": 1.0}, "of_our_own": {"": 1.0}, metric: {"": 1.0}}, None, {})


def flip(kind: FlipKind, candidate: NearPrediction | None, baseline: NearPrediction | None) -> Flip:
    return Flip(kind, "fruit", "one", "lemon", WHOLE, ("all",), candidate, baseline)


def near(label: str, score: float, why_not: str = "") -> NearPrediction:
    return NearPrediction(label, score, 1.0, WHOLE, why_not)


@pytest.mark.parametrize(("metric", "task"), [("map50", "detection"), ("accuracy", "classification"), ("dice", "segmentation")])
def test_the_task_is_that_of_the_metrics(metric: str, task: ModelTask) -> None:
    assert task_of([cell(metric)]) == task
    assert {*TASK_WORDS[task].shown, *TASK_WORDS[task].watched} <= set(metrics_of_task(task))
    assert all(METRICS[name].higher_is_better for name in TASK_WORDS[task].watched)  # a fall is what is noted


def test_a_flip_of_an_image_names_both_answers() -> None:
    notes = flip_notes([flip("negative", near("orange", 0.6, "the label is lemon"), near("lemon", 0.9))], "classification")
    assert notes == [
        (
            "1 negative flip",
            "labelled lemon. Production calls it lemon (probability 0.90); the candidate orange (probability 0.60).",
        )
    ]


def test_a_flip_of_a_region_tells_shares_of_pixels() -> None:
    flips = [flip("negative", None, near("lemon", 0.8)), flip("new_false", near("lemon", 1.0), None)]
    assert flip_notes(flips, "segmentation") == [
        ("1 negative flip", "1 lemon. Production labels 80 % of its pixels lemon; the candidate none of its pixels."),
        (
            "1 new false region",
            "1 lemon. The candidate labels a shape lemon where it is not; production labels none of its pixels.",
        ),
    ]


def test_a_flip_of_an_object_tells_scores_and_overlap() -> None:
    notes = flip_notes([flip("negative", None, near("lemon", 0.8))] * 2, "detection")
    assert notes == [
        (
            "2 negative flips",
            "2 lemon. The first, lemon: Production found it (score 0.80, IoU 1.00); the candidate missed it: it predicts"
            " nothing there.",
        )
    ]
