"""What is drawn of classification and segmentation, from judgements whose answers are known."""

from pathlib import Path

import numpy as np
import pytest

from lakegate.declarations import OperatingTable
from lakegate.evaluation.class_plots import class_plots, confusion_of, region_plots
from lakegate.evaluation.judged import JudgedSample
from lakegate.label_map import LabelMap
from lakegate.lake.local_version import LocalImage
from lakegate.masks import box_of_rle, rle_of_mask
from lakegate.samples import Annotation, Sample
from lakegate.task_types.protocol import LabelView
from lakegate.task_types.registry import task_type

LABELS = ("lemon", "pear", "kiwi")
EVERY_LABEL = LabelView.of(LABELS, LABELS)
OPERATING = OperatingTable()


def image(label: str, candidate: list[float], baseline: list[float]) -> JudgedSample:
    """One image with the probabilities that both models gave."""
    task, sample = task_type("classification"), Sample("s", 8, 8, (Annotation(label),), split="test")
    truth = task.truth_of(sample, LABELS)
    sides = [task.judge(np.array(side, np.float32), truth, EVERY_LABEL, OPERATING) for side in (candidate, baseline)]
    return JudgedSample("fruit", sample, LocalImage(Path("absent.png"), ""), truth, *sides)


def test_calibration_and_confusion_of_images() -> None:
    sure, wrong = [0.9, 0.1, 0.0], [0.1, 0.9, 0.0]
    judged = [image("lemon", sure, sure), image("lemon", sure, sure), image("lemon", wrong, sure), image("kiwi", wrong, wrong)]
    plots = class_plots(judged, LABELS, LABELS)
    assert plots.confusion is not None and plots.confusion.baseline is not None
    assert plots.confusion.candidate.tolist() == [[2, 1, 0], [0, 0, 0], [0, 1, 0]]
    assert plots.confusion.baseline.tolist() == [[3, 0, 0], [0, 0, 0], [0, 1, 0]]
    points = {curve.row: curve.points for curve in plots.charts[0].curves}
    assert points["candidate"] == (pytest.approx((0.9, 0.5)),) and points["baseline"] == (pytest.approx((0.9, 0.75)),)


def test_a_label_that_one_model_does_not_know_is_told_without_its_name() -> None:
    judged = [image("lemon", [0.2, 0.8, 0.0], [1, 0, 0]), image("lemon", [0.2, 0.0, 0.8], [1, 0, 0])]
    confusion = class_plots(judged, LABELS, ("lemon", "pear")).confusion
    assert confusion is not None and confusion.truths == ("lemon", "pear")
    assert confusion.answers == ("lemon", "pear", "another label")
    assert confusion.candidate.tolist() == [[0, 1, 1], [0, 0, 0]]


def test_confusion_of_pixels_has_the_background_first() -> None:
    task, mask = task_type("segmentation"), np.zeros((4, 5), np.int32)
    mask[:2, :3] = 1
    run = rle_of_mask(mask == 1)
    sample = Sample("s", 5, 4, (Annotation("lemon", box_of_rle(run), rle=run),), split="test")
    truth = task.truth_of(sample, LABELS)
    shown = mask.copy()
    shown[0, 0], shown[3, 4], shown[0, 1] = 0, 1, 2
    sides = [task.judge(LabelMap.of(side), truth, EVERY_LABEL, OPERATING) for side in (shown, mask)]
    item = JudgedSample("fruit", sample, LocalImage(Path("absent.png"), ""), truth, *sides)
    confusion = region_plots([item], LABELS, ("lemon", "pear")).confusion
    assert confusion is not None and confusion.baseline is not None
    assert confusion.truths == ("background", "lemon", "pear")
    assert confusion.candidate.tolist() == [[13, 1, 0], [1, 4, 1], [0, 0, 0]]
    assert confusion.baseline.tolist() == [[14, 0, 0], [0, 6, 0], [0, 0, 0]]


def test_what_is_taken_for_a_label_of_one_model_only_stands_in_a_last_column() -> None:
    grid = np.array([[5, 1, 2], [0, 4, 0], [0, 0, 9]])
    found = confusion_of("image", [grid, np.diag([8, 4, 9])], ("lemon", "lime", "melon"), [0, 1])
    assert (found.truths, found.answers) == (("lemon", "lime"), ("lemon", "lime", "another label"))
    assert found.candidate.tolist() == [[5, 1, 2], [0, 4, 0]]
    assert found.baseline is not None and found.baseline.tolist() == [[8, 0, 0], [0, 4, 0]]
    assert found.most_frequent() == [("lemon", "another label", 2, 0), ("lemon", "lime", 1, 0)]
