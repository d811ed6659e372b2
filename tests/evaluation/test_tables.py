"""The matrix as text says what a number is made of: by the task, the label, and which model knows the label."""

from dataclasses import replace

import pytest

from lakegate.evaluation.matrix import Cell
from lakegate.evaluation.tables import cell_words, flip_rows, image_words, metric_rows

NO_FLIPS: dict[str, dict[str, int]] = {kind: {"": 0, "lemon": 0} for kind in ("negative", "positive", "new_false")}
VALUES = {"recall": {"": 0.8, "lemon": 0.7}}
ALL = Cell("all", "all", "fruit", 10, {"": 8, "lemon": 4}, VALUES, VALUES, NO_FLIPS)  # type: ignore[arg-type]
ALONE = replace(ALL, name="label:lime", kind="label", n_objects={"": 2, "lime": 2}, baseline={})


@pytest.mark.parametrize(
    ("task", "hint"),
    [
        ("detection", "share of the labelled objects that are found"),
        ("classification", "of a label's images, the share that is called so; mean over the labels"),
        ("segmentation", "share of the labelled pixels that are given their label"),
    ],
)
def test_a_hint_fits_the_task(task: str, hint: str) -> None:
    assert [row.hint for row in metric_rows([ALL], task=task)] == [hint]
    assert [row.hint for row in metric_rows([ALL], "lemon", task=task)] == [hint.removesuffix("; mean over the labels")]


def test_a_column_of_one_label_says_which_model_knows_it_and_has_no_flips() -> None:
    assert cell_words(ALONE) == "label lime, known to the candidate only"
    assert cell_words(replace(ALONE, candidate={}, baseline=VALUES)) == "label lime, known to the baseline only"
    assert [row.entries for row in flip_rows([ALL, ALONE])] == [("0 (0.0 %)", "–"), ("0", "–")]


def test_images_that_do_not_count_are_told_where_the_image_is_the_unit() -> None:
    assert image_words(ALL, "image") == "8 of 10 images"
    assert image_words(ALL, "object") == "10 images"
    assert image_words(replace(ALL, n_objects={"": 10}), "image") == "10 images"
