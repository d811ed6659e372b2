from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lakegate.declarations import OperatingTable
from lakegate.errors import BadInput, UnknownLabel
from lakegate.evaluation.judged import Flip, JudgedSample
from lakegate.evaluation.regions import JudgedRegions, RegionTruth, judge_regions, pixel_confusion, pixel_statistics
from lakegate.label_map import LabelMap
from lakegate.lake.local_version import LocalImage
from lakegate.masks import box_of_rle, rle_of_mask
from lakegate.samples import Annotation, Sample
from lakegate.task_types.protocol import ALL_LABELS, LabelView, point_values
from lakegate.task_types.registry import task_type

LABELS = ("cell", "plate")
EVERY_LABEL = LabelView.of(LABELS, LABELS)
SIZE_PX = (40, 60)
OPERATING = OperatingTable()
SEGMENTATION = task_type("segmentation")
Place = tuple[int, int, int, int]  # x, y, width, height in px


def painted(*places: tuple[int, Place]) -> np.ndarray:
    """A map in which each place holds its number; later ones lie on top."""
    numbers_HW = np.zeros(SIZE_PX, np.int32)
    for number, (x, y, width, height) in places:
        numbers_HW[y : y + height, x : x + width] = number
    return numbers_HW


def region(label: str, place: Place, author: str = "") -> Annotation:
    mask = rle_of_mask(painted((1, place)))
    return Annotation(label, box_of_rle(mask), rle=mask, author=author)


def sample_of(*annotations: Annotation) -> Sample:
    return Sample("s", SIZE_PX[1], SIZE_PX[0], annotations, split="test")


def judged(truth: RegionTruth, numbers_HW: np.ndarray, view: LabelView = EVERY_LABEL) -> JudgedRegions:
    return SEGMENTATION.judge(LabelMap.of(numbers_HW), truth, view, OPERATING)


def both(sample: Sample, candidate: np.ndarray, baseline: np.ndarray | None, labels: Sequence[str] = LABELS) -> JudgedSample:
    truth = SEGMENTATION.truth_of(sample, labels)
    before = None if baseline is None else judged(truth, baseline)
    return JudgedSample("d", sample, LocalImage(Path("absent.png"), ""), truth, judged(truth, candidate), before)


def flips_of(item: JudgedSample) -> list[Flip]:
    return SEGMENTATION.find_flips(item, LABELS, ("all",))


def measured(*rows: JudgedRegions) -> dict[str, dict[str, float | None]]:
    return point_values(pixel_statistics(rows, LABELS), len(rows))


MAPS = arrays(np.int32, (4, 5), elements=st.integers(0, 2))


def from_map(true_HW: np.ndarray) -> RegionTruth:
    """One region for each label of a map."""
    here = [number for number in (1, 2) if (true_HW == number).any()]
    masks = [rle_of_mask(true_HW == number) for number in here]
    items = [Annotation(LABELS[number - 1], box_of_rle(mask), rle=mask) for number, mask in zip(here, masks, strict=True)]
    return SEGMENTATION.truth_of(Sample("s", 5, 4, tuple(items)), LABELS)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(MAPS, MAPS), min_size=1, max_size=4))
def test_the_metrics_are_those_that_numpy_counts_pixel_by_pixel(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    rows = [judged(from_map(true_HW), shown_HW) for true_HW, shown_HW in pairs]
    true_P, shown_P = (np.concatenate([pair[side].ravel() for pair in pairs]) for side in (0, 1))
    found, ious, dices = measured(*rows), [], []
    for number, label in enumerate(LABELS, start=1):
        is_true_P, is_shown_P = true_P == number, shown_P == number
        if not is_true_P.any():
            assert all(by_label[label] is None for by_label in found.values())
            continue
        common, union = (is_true_P & is_shown_P).sum(), (is_true_P | is_shown_P).sum()
        ious.append(common / union)
        dices.append(2 * common / (is_true_P.sum() + is_shown_P.sum()))
        assert (found["miou"][label], found["dice"][label]) == (pytest.approx(ious[-1]), pytest.approx(dices[-1]))
        assert found["recall"][label] == pytest.approx(common / is_true_P.sum())
        assert found["precision"][label] == (pytest.approx(common / is_shown_P.sum()) if is_shown_P.any() else None)
    assert found["miou"][ALL_LABELS] == (pytest.approx(np.mean(ious)) if ious else None)
    assert found["dice"][ALL_LABELS] == (pytest.approx(np.mean(dices)) if dices else None)
    n_right, n_true = ((true_P == shown_P) & (true_P > 0)).sum(), (true_P > 0).sum()
    assert found["recall"][ALL_LABELS] == (pytest.approx(n_right / n_true) if n_true else None)
    expected = np.bincount(true_P * 3 + shown_P, minlength=9).reshape(3, 3)
    assert pixel_confusion(rows, 2).tolist() == expected.tolist()


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(MAPS, MAPS, st.integers(0, 3)), min_size=1, max_size=4))
def test_a_weight_counts_a_sample_as_often_as_it_says(rows: list[tuple[np.ndarray, np.ndarray, int]]) -> None:
    once = [judged(from_map(true_HW), shown_HW) for true_HW, shown_HW, _ in rows]
    repeated = [item for item, (_, _, weight) in zip(once, rows, strict=True) for _ in range(weight)]
    weighted = pixel_statistics(once, LABELS).values(np.array([[row[2] for row in rows]], np.float64), only=("miou", "recall"))
    assert set(weighted) == {"miou", "recall"}
    for metric, by_label in weighted.items():
        for label, value in by_label.items():
            expected = measured(*repeated)[metric][label]
            assert value[0] == pytest.approx(np.nan if expected is None else expected, nan_ok=True)


def test_a_smaller_object_lies_on_top_of_a_larger_one_in_whatever_order_they_come() -> None:
    large, small, copy = region("cell", (0, 0, 20, 20)), region("plate", (5, 5, 4, 4)), region("plate", (5, 5, 4, 4), "ann")
    truth = SEGMENTATION.truth_of(sample_of(small, large, copy), LABELS)
    assert truth.areas_px.tolist() == [0, 400 - 16, 16]
    assert truth.label_map.pixels.tolist() == painted((1, (0, 0, 20, 20)), (2, (5, 5, 4, 4))).tolist()
    assert SEGMENTATION.count_units(truth, 2).tolist() == [1, 1]
    assert truth.authors == ("", "", "ann")


def test_polygons_are_regions_too() -> None:
    sample = sample_of(Annotation("cell", (10, 10, 20, 10), polygons_px=((10, 10, 30, 10, 30, 20, 10, 20),)))
    truth = SEGMENTATION.truth_of(sample, LABELS)
    assert truth.label_map.pixels.tolist() == painted((1, (10, 10, 20, 10))).tolist()


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Annotation("cell", (0, 0, 5, 5)), "came neither for 'cell'"),
        (Annotation("cell", (0, 0, 5, 5), rle=rle_of_mask(np.ones((5, 5)))), "came a mask of 5 x 5 px"),
    ],
)
def test_an_object_without_a_mask_of_the_images_size_is_refused(annotation: Annotation, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        SEGMENTATION.truth_of(sample_of(annotation), LABELS)


def test_a_label_that_no_model_knows_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownLabel, match="did you mean 'cell'"):
        SEGMENTATION.truth_of(sample_of(region("cello", (0, 0, 5, 5))), LABELS)


def test_a_prediction_about_another_size_or_other_labels_is_refused() -> None:
    truth = SEGMENTATION.truth_of(sample_of(), LABELS)
    for numbers_HW in (np.zeros((4, 4), np.int32), painted((3, (0, 0, 4, 4)))):
        with pytest.raises(BadInput, match="with 2 labels, came size"):
            judge_regions(LabelMap.of(numbers_HW), truth, EVERY_LABEL)


def test_pixels_and_regions_of_a_label_that_the_model_does_not_know_are_never_its_errors() -> None:
    sample = sample_of(region("cell", (0, 0, 10, 10)), region("plate", (20, 0, 10, 10)))
    truth = SEGMENTATION.truth_of(sample, LABELS)
    cells_only = LabelView.of(("cell",), LABELS)
    shown = painted((1, (0, 0, 10, 10)), (1, (20, 0, 10, 10)))  # the plate is taken for a cell
    before = judged(truth, shown, cells_only)
    assert {metric: by_label[ALL_LABELS] for metric, by_label in measured(before).items()} == dict.fromkeys(
        ("miou", "dice", "precision", "recall"), 1.0
    )
    assert (before.is_judged.tolist(), before.is_found.tolist()) == ([True, False], [True, False])
    after = judged(truth, painted((1, (0, 0, 10, 10)), (2, (20, 0, 10, 10))))
    item = JudgedSample("d", sample, LocalImage(Path("absent.png"), ""), truth, after, before)
    assert flips_of(item) == []
    turned = JudgedSample("d", sample, LocalImage(Path("absent.png"), ""), truth, before, after)
    assert flips_of(turned) == []


@pytest.mark.parametrize(("width", "kinds"), [(5, []), (4, ["negative"])])
def test_a_region_is_found_from_half_of_its_pixels(width: int, kinds: list[str]) -> None:
    item = both(sample_of(region("cell", (0, 0, 10, 10), "ann")), painted((1, (0, 0, width, 10))), painted((1, (0, 0, 10, 10))))
    flips = flips_of(item)
    assert [flip.kind for flip in flips] == kinds
    for flip in flips:
        assert (flip.label, flip.author, flip.cells, flip.box_xyxy_px) == ("cell", "ann", ("all",), (0, 0, 10, 10))
        assert SEGMENTATION.flip_words(flip, item, LABELS) == (
            "the baseline found it: it labels 100 % of its pixels cell; "
            "the candidate missed it: it labels only 40 % of its pixels cell"
        )


def test_a_region_that_gets_another_label_says_which() -> None:
    sample = sample_of(region("cell", (0, 0, 10, 10)))
    found = both(sample, painted((1, (0, 0, 10, 10))), painted((2, (0, 0, 7, 10)), (1, (7, 0, 2, 10))))
    (flip,) = flips_of(found)
    assert flip.kind == "positive" and flip.baseline is not None and flip.candidate is not None
    assert (flip.baseline.label, flip.baseline.score, flip.baseline.iou) == ("plate", 0.7, 0.7)
    assert (flip.candidate.label, flip.candidate.score, flip.candidate.why_not) == ("cell", 1.0, "")
    assert SEGMENTATION.flip_words(flip, found, LABELS).startswith(
        "the baseline missed it: it labels 70 % of its pixels plate (20 % of its pixels are labelled cell); the candidate found"
    )


@pytest.mark.parametrize(
    ("candidate", "baseline", "n_false"),
    [
        ((1, (30, 20, 5, 5)), None, 1),
        ((1, (30, 20, 4, 6)), None, 0),  # 24 px: a speck
        ((1, (30, 20, 5, 5)), (1, (30, 20, 5, 3)), 0),  # more than half of it was there before
        ((1, (30, 20, 5, 5)), (1, (30, 20, 5, 2)), 1),
        ((1, (30, 20, 5, 5)), (2, (30, 20, 5, 5)), 1),  # with another label
        ((1, (9, 0, 10, 10)), None, 0),  # a tenth lies on the cell
        ((1, (9, 0, 11, 10)), None, 1),
        ((2, (0, 0, 10, 10)), None, 1),  # the cell taken for a plate
    ],
)
def test_a_false_shape_that_the_baseline_does_not_show_is_a_new_false_one(
    candidate: tuple[int, Place], baseline: tuple[int, Place] | None, n_false: int
) -> None:
    before = painted(*([baseline] if baseline else []))
    flips = flips_of(both(sample_of(region("cell", (0, 0, 10, 10))), painted(candidate), before))
    assert [flip.kind for flip in flips] == ["new_false"] * n_false
    number, (x, y, width, height) = candidate
    for flip in flips:
        assert (flip.label, flip.box_xyxy_px) == (LABELS[number - 1], (x, y, x + width, y + height))


def test_a_new_false_shape_says_what_lies_there() -> None:
    sample = sample_of(region("cell", (0, 0, 10, 10)))
    item = both(sample, painted((2, (0, 0, 10, 10)), (1, (30, 20, 9, 9))), painted((1, (0, 0, 2, 10)), (2, (30, 20, 9, 4))))
    words = [SEGMENTATION.flip_words(flip, item, LABELS) for flip in flips_of(item)]
    assert words == [
        "the candidate labels a shape there cell, but nothing is labelled there; "
        "the baseline labels 44 % of its pixels plate",
        "the candidate labels a shape there plate, but most of it is cell; "
        "the baseline labels 20 % of its pixels cell",
    ]


def test_a_first_release_has_panels_and_no_flips() -> None:
    item = both(sample_of(region("cell", (0, 0, 10, 10))), painted((1, (0, 0, 10, 10))), None)
    assert flips_of(item) == []
    assert [panel.title for panel in SEGMENTATION.panels(item, LABELS)] == ["truth", "candidate"]


def test_panels_draw_outlines_of_true_regions_and_of_what_each_model_shows() -> None:
    covered = region("cell", (2, 2, 3, 3))
    sample = sample_of(region("cell", (0, 0, 10, 10)), region("plate", (20, 0, 10, 10)), covered, covered)
    shown = painted((1, (0, 0, 10, 10)), (1, (40, 20, 6, 6)), (2, (50, 35, 2, 2)))
    truth, baseline, candidate = SEGMENTATION.panels(both(sample, shown, painted()), LABELS)
    assert (truth.caption, [box.kind for box in truth.boxes]) == (
        "3 regions; 1 region covered by others, not judged",
        ["truth"] * 3,
    )
    assert (baseline.caption, [(box.kind, box.label) for box in baseline.boxes]) == (
        "found 0 of 3 regions",
        [("missed", "cell"), ("missed", "plate"), ("missed", "cell")],
    )
    assert candidate.caption == "found 2 of 3 regions; 1 false speck under 25 px not drawn"
    assert [(box.kind, box.label) for box in candidate.boxes] == [("hit", "cell"), ("false", "cell"), ("missed", "plate")]
    false = candidate.boxes[1]
    assert (false.xyxy_px, false.outlines_px) == ((40, 20, 46, 26), ((40.5, 20.5, 40.5, 25.5, 45.5, 25.5, 45.5, 20.5),))


def test_predictions_pass_through_the_cache_unchanged() -> None:
    prediction = LabelMap.of(painted((1, (3, 4, 20, 9)), (2, (30, 4, 20, 9))))
    again: Any = SEGMENTATION.unpack(SEGMENTATION.pack(prediction))
    assert (again.size_px, again.pixels.tolist()) == (SIZE_PX, prediction.pixels.tolist())
    assert SEGMENTATION.processing_digest(OPERATING) != SEGMENTATION.processing_digest(OperatingTable(score_threshold=0.9))
