"""Every rule of the schema has a sample that breaks it and is found by name."""

import numpy as np
import pandas as pd
import pytest

from lakegate.geometry import Keypoint, Rle
from lakegate.masks import rle_of_mask
from lakegate.quality.images import measure_many
from lakegate.quality.rules import OBJECT_RULES, SAMPLE_RULES, rules_of_task
from lakegate.quality.schema import find_problems
from lakegate.quality.tables import Tables, build_tables
from lakegate.samples import Annotation
from tests.quality.building import a_box, a_sample, write_jpeg

NAN = float("nan")
BROKEN = {
    "size_matches": ({"width_px": 48, "height_px": 64}, "the labels say 48 x 64 px, the image has 64 x 48 px"),
    "split_valid": ({"split": "tset"}, "split 'tset' is none of train, val, test; did you mean 'test'?"),
    "annotation_ids_unique": ({"annotations": (a_box(id="a"), a_box(x=9, id="a"))}, "box 1 'cat' shares its id 'a' with 1"),
    "label_is_declared": (
        {"annotations": (a_box(), a_box(label="dgo"))},
        "box 2 'dgo': label 'dgo' is not declared; did you mean 'dog'?",
    ),
    "box_present": ({"annotations": (Annotation("cat"),)}, "object 1 'cat' has no box"),
    "box_has_area": (
        {"annotations": (a_box(), a_box(width=0, height=12))},
        "box 2 'cat' has no area: width 0 px, height 12 px",
    ),
    "box_inside_image": (
        {"annotations": (a_box(x=50, width=20),)},
        "box 1 'cat' reaches 6 px outside: x 50 to 70 px, y 4 to 14 px, the image has 64 x 48 px",
    ),
}  # fmt: skip


EMPTY, FULL = rle_of_mask(np.zeros((48, 64))), rle_of_mask(np.ones((48, 64)))


def a_shape(**shape) -> Annotation:
    return Annotation("cat", (0, 0, 9, 9), **shape)


TRIANGLE = (0, 0, 9, 0, 9, 9)
BROKEN_SHAPES = {
    "one_label_per_image": (
        "classification", (Annotation("cat"), Annotation("dog")), "the image has 2 labels (cat, dog); expected",
    ),
    "label_of_whole_image": ("classification", (Annotation("cat"), a_box()), "object 2 'cat' has a shape"),
    "mask_present": ("segmentation", (a_box(),), "object 1 'cat' has neither polygon nor mask"),
    "keypoints_present": ("keypoints", (a_box(),), "object 1 'cat' has no keypoints"),
    "polygon_has_area": (
        "segmentation", (a_shape(polygons_px=(TRIANGLE, (1, 1, 5, 5, 9, 9))),), "object 1 'cat': polygon 2 has no area",
    ),
    "polygon_inside_image": (
        "segmentation", (a_shape(polygons_px=((0, 0, 70, 0, 9, 9),)),),
        "object 1 'cat': its polygon reaches 6 px outside; the image has 64 x 48 px",
    ),
    "mask_fits_image": (
        "segmentation", (a_shape(rle=rle_of_mask(np.ones((64, 48)))),),
        "object 1 'cat' has a mask of 48 x 64 px, the image has 64 x 48 px",
    ),
    "mask_not_empty": ("segmentation", (a_shape(rle=EMPTY),), "object 1 'cat' has a mask without a pixel"),
    "keypoints_valid": (
        "keypoints", (a_shape(keypoints=(Keypoint("eye", 3, 3), Keypoint("eye", 4, 4))),),
        "object 1 'cat': keypoint 'eye' stands 2 times",
    ),
    "keypoints_inside_image": (
        "keypoints", (a_shape(keypoints=(Keypoint("eye", 3, 58), Keypoint("ear", 0, 0, 0))),),
        "object 1 'cat': a keypoint lies 10 px outside",
    ),
}  # fmt: skip
GOOD_SHAPES = {
    "classification": Annotation("cat"),
    "detection": a_box(),
    "segmentation": a_shape(polygons_px=(TRIANGLE,)),
    "keypoints": a_shape(keypoints=(Keypoint("eye", 3, 3), Keypoint("ear", 0, 0, 0))),
}


def problems_of(tmp_path, samples, images=None, task="detection"):
    images = {s.id: write_jpeg(tmp_path / f"{s.id}.jpg", i) for i, s in enumerate(samples)} if images is None else images
    tables = build_tables(samples, images, measure_many(images.items(), 2))
    return find_problems(tables, ("cat", "dog"), task)


def test_good_samples_have_no_problem(tmp_path):
    assert problems_of(tmp_path, [a_sample("one"), a_sample("two", annotations=())]) == []


@pytest.mark.parametrize("rule", sorted(BROKEN))
def test_a_sample_that_breaks_one_rule_is_found_by_name_with_the_numbers(tmp_path, rule):
    changes, reason = BROKEN[rule]
    (problem,) = problems_of(tmp_path, [a_sample("one"), a_sample("bad", **changes), a_sample("two")])
    assert (problem.sample_id, problem.file, problem.rule) == ("bad", "bad.jpg", rule)
    assert problem.reason.startswith(reason)


def test_every_rule_of_the_schema_is_broken_by_a_test():
    elsewhere = {"sample_ids_unique", "image_exists", "image_is_whole", "annotation_has_sample"}
    assert set(BROKEN) | set(BROKEN_SHAPES) | elsewhere == {*SAMPLE_RULES, *OBJECT_RULES}


@pytest.mark.parametrize("task", sorted(GOOD_SHAPES))
def test_a_good_object_of_each_task_has_no_problem(tmp_path, task):
    assert problems_of(tmp_path, [a_sample("one", annotations=(GOOD_SHAPES[task],))], task=task) == []


@pytest.mark.parametrize("rule", sorted(BROKEN_SHAPES))
def test_a_shape_that_breaks_one_rule_of_its_task_is_found_by_name(tmp_path, rule):
    task, annotations, reason = BROKEN_SHAPES[rule]
    good = a_sample("one", annotations=(GOOD_SHAPES[task],))
    (problem,) = problems_of(tmp_path, [good, a_sample("bad", annotations=annotations)], task=task)
    assert (problem.sample_id, problem.rule) == ("bad", rule) and problem.reason.startswith(reason)


def test_an_image_without_its_label_breaks_a_classification_dataset(tmp_path):
    (problem,) = problems_of(tmp_path, [a_sample("bare", annotations=())], task="classification")
    assert problem.rule == "one_label_per_image" and "has no label" in problem.reason


@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_broken_polygons_are_found_in_a_dataset_of_another_task_too(tmp_path, task):
    bad = a_sample("bad", annotations=(a_shape(polygons_px=((0, 0, 5, 5),)),))
    assert [problem.rule for problem in problems_of(tmp_path, [bad], task=task)] == ["polygon_has_area"]


@pytest.mark.parametrize(
    ("counts", "words"),
    [("", "be read"), ("P", "be read"), ("é1", "be read"), ("oooooo0", "be read"), ("4", "run lengths cover 4 of 3072 pixels")],
)
def test_damaged_run_lengths_are_a_problem_and_never_reach_the_decoder(tmp_path, counts, words):
    bad = a_sample("bad", annotations=(a_shape(rle=Rle(48, 64, counts)),))
    (problem,) = problems_of(tmp_path, [bad], task="segmentation")
    assert problem.rule == "mask_fits_image" and words in problem.reason


def test_a_mask_and_polygons_at_once_are_a_problem(tmp_path):
    bad = a_sample("bad", annotations=(a_shape(rle=FULL, polygons_px=(TRIANGLE,)),))
    assert "one of the two" in problems_of(tmp_path, [bad], task="segmentation")[0].reason


def test_a_box_around_a_single_keypoint_needs_no_area(tmp_path):
    point = Annotation("cat", (3, 3, 0, 0), keypoints=(Keypoint("eye", 3, 3),))
    assert problems_of(tmp_path, [a_sample("one", annotations=(point,))], task="keypoints") == []


def test_a_task_names_only_its_own_rules():
    assert "mask_present" not in rules_of_task("detection") and "box_present" not in rules_of_task("classification")
    assert len(rules_of_task("detection")) == 11


def test_an_id_that_stands_twice_is_one_problem(tmp_path):
    (problem,) = problems_of(tmp_path, [a_sample("one"), a_sample("one")])
    assert (problem.rule, problem.sample_id) == ("sample_ids_unique", "one")
    assert "stands 2 times" in problem.reason


def test_labels_without_an_image_and_an_image_that_is_broken_are_told_apart(tmp_path):
    (tmp_path / "page.jpg").write_text("<html>not found</html>")
    problems = problems_of(tmp_path, [a_sample("gone"), a_sample("page")], {"page": tmp_path / "page.jpg"})
    assert [(item.sample_id, item.rule) for item in problems] == [("gone", "image_exists"), ("page", "image_is_whole")]
    assert "a web page" in problems[1].reason


def test_an_annotation_of_a_sample_that_is_not_in_the_version_is_found(tmp_path):
    images = {"one": write_jpeg(tmp_path / "one.jpg")}
    tables = build_tables([a_sample("one")], images, measure_many(images.items(), 1))
    stray = pd.concat([tables.annotations, tables.annotations.assign(sample_id="gone")], ignore_index=True)
    (problem,) = find_problems(Tables(tables.samples, stray), ("cat",))
    assert (problem.sample_id, problem.rule) == ("gone", "annotation_has_sample")


@pytest.mark.parametrize(
    ("box", "is_inside"), [((-1, 0, 65, 49), True), ((0, 0, 65, 49), True), ((-1.5, 0, 9, 9), False), ((0, 40, 9, 9.5), False)]
)
def test_one_pixel_beyond_the_border_is_tolerated_and_more_is_not(tmp_path, box, is_inside):
    rules = {problem.rule for problem in problems_of(tmp_path, [a_sample("one", annotations=(Annotation("cat", box),))])}
    assert rules == (set() if is_inside else {"box_inside_image"})


def test_a_side_that_is_no_number_is_a_box_without_area(tmp_path):
    problems = problems_of(tmp_path, [a_sample("one", annotations=(a_box(width=NAN),))])
    assert {problem.rule for problem in problems} == {"box_has_area", "box_inside_image"}


def test_many_bad_boxes_of_one_sample_are_one_problem_that_numbers_them_all_and_words_three(tmp_path):
    boxes = tuple(a_box(x=number, width=0) for number in range(5))
    (problem,) = problems_of(tmp_path, [a_sample("one", annotations=boxes)])
    assert problem.boxes == (1, 2, 3, 4, 5)
    assert problem.reason.count("no area") == 3 and problem.reason.endswith("and 2 more")


def test_the_label_file_is_named_where_it_is_what_a_person_has_to_correct(tmp_path):
    sample = a_sample("one", annotations=(a_box(width=0),), source={"file": "Annotations/one.xml"})
    assert problems_of(tmp_path, [sample])[0].file == "Annotations/one.xml"
