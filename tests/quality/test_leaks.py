"""Nothing that models are judged on is learned from: copies, likenesses, groups, earlier test splits."""

import cv2
import numpy as np
import pytest

from lakegate.formats.importing import import_export
from lakegate.imaging import read_image
from lakegate.quality.earlier_test import EarlierTestImage, EarlierTestImages
from lakegate.quality.images import measure_image
from lakegate.quality.validation import screen, validate
from lakegate.samples import ImportedSample
from lakegate.settings import Settings
from tests.quality.building import a_declaration, a_sample, good_imports, write_jpeg


@pytest.fixture
def here(tmp_path):
    return Settings(home=tmp_path / "home", threads=2)


def encoded_again(item, split, folder, group=""):
    """Return the same picture in other bytes."""
    path = folder / f"again-{split}.png"
    cv2.imwrite(str(path), read_image(item.image)[:, :, ::-1])
    name = f"again-{split}"
    return ImportedSample(a_sample(name, split=split, group=group or name), path)


def result_of(imported, declaration, here, **more):
    images = {item.sample.id: item.image for item in imported}
    return validate([item.sample for item in imported], images, declaration, (), here, **more)


def line_named(result, name):
    return next(line for line in result.rules if line.name == name)


def earlier_of(item, version="v1", sample_id="old"):
    metrics = measure_image(item.image)
    return EarlierTestImages((EarlierTestImage(version, sample_id, metrics.sha256, metrics.phash),), (version,))


def test_a_picture_encoded_again_is_a_leak_between_splits_and_the_train_copy_goes(tmp_path, here):
    imported = good_imports(tmp_path)
    leaked = encoded_again(imported[1], "train", tmp_path)
    screening = screen([*imported, leaked], a_declaration(), [], here)
    (problem,) = screening.quarantined
    assert (problem.sample_id, problem.rule) == ("again-train", "no_near_leak_between_splits")
    assert problem.reason.startswith("looks like sample 'good1' in split test (") and "up to 4 count" in problem.reason
    assert screening.good == imported


def test_of_val_and_test_the_val_copy_goes(tmp_path, here):
    imported = good_imports(tmp_path)
    (problem,) = result_of([*imported, encoded_again(imported[1], "val", tmp_path)], a_declaration(), here).problems
    assert (problem.sample_id, problem.rule) == ("again-val", "no_near_leak_between_splits")


def test_a_picture_twice_in_one_split_informs_with_the_pair(tmp_path, here):
    imported = good_imports(tmp_path)
    result = result_of([*imported, encoded_again(imported[1], "test", tmp_path)], a_declaration(), here)
    line = line_named(result, "images_alike_in_split")
    assert result.problems == () and line.informs
    assert (line.failed, line.sample_ids) == (2, ("again-test", "good1"))
    assert line.details[0].startswith("again-test looks like good1 (")


def test_the_limit_can_be_narrowed_and_switched_off(tmp_path, here):
    imported = good_imports(tmp_path)
    leaked = [*imported, encoded_again(imported[1], "train", tmp_path)]
    off = result_of(leaked, a_declaration(more="[quality]\nnear_duplicate_bits = -1\n"), here)
    assert off.problems == () and "no_near_leak_between_splits" not in {line.name for line in off.rules}
    assert line_named(off, "images_alike_in_split").limit == "not compared"
    narrow = result_of(leaked, a_declaration(more="[quality]\nnear_duplicate_bits = 0\n"), here)
    assert line_named(narrow, "no_near_leak_between_splits").limit == "at most 0 of 64 bits differ"


def test_flat_pictures_are_not_compared_and_that_is_said(tmp_path, here):
    imported = good_imports(tmp_path)
    for number, split in enumerate(("train", "test")):
        path = tmp_path / f"flat{number}.png"
        cv2.imwrite(str(path), np.full((48, 64, 3), 100 + number, np.uint8))
        imported.append(ImportedSample(a_sample(f"flat{number}", split=split), path))
    result = result_of(imported, a_declaration(), here)
    assert result.problems == ()
    assert "2 flat images (contrast below 3) were not compared" in line_named(result, "images_alike_in_split").details


def test_a_group_in_two_splits_is_a_leak_and_its_train_samples_go(tmp_path, here):
    imported = good_imports(tmp_path)
    for number, split in ((7, "train"), (8, "test"), (9, "train")):
        path = write_jpeg(tmp_path / f"clip{number}.jpg", number)
        imported.append(ImportedSample(a_sample(f"clip{number}", split=split, group="clip"), path))
    problems = result_of(imported, a_declaration(), here).problems
    assert [(item.sample_id, item.rule) for item in problems] == [
        ("clip7", "no_group_in_two_splits"), ("clip9", "no_group_in_two_splits")
    ]  # fmt: skip
    assert "group 'clip' is in split test (sample 'clip8')" in problems[0].reason


def test_an_image_that_moved_from_an_earlier_test_split_to_train_is_a_problem(tmp_path, here):
    imported = good_imports(tmp_path)
    result = result_of(imported, a_declaration(), here, earlier_test=earlier_of(imported[0]))
    (problem,) = result.problems
    assert (problem.sample_id, problem.rule) == ("good0", "not_in_earlier_test")
    assert problem.reason.startswith("moved from test to train since v1 (there it is sample 'old')")


def test_what_looks_like_an_earlier_test_image_is_a_problem_in_train_and_none_in_test(tmp_path, here):
    imported = good_imports(tmp_path)
    again = encoded_again(imported[1], "train", tmp_path)
    earlier = earlier_of(again)
    (problem,) = result_of([imported[0], imported[2], again], a_declaration(), here, earlier_test=earlier).problems[:1]
    assert (problem.sample_id, problem.rule) == ("again-train", "not_in_earlier_test")
    assert result_of(imported, a_declaration(), here, earlier_test=earlier).problems == ()


def test_without_an_earlier_version_the_rule_about_it_is_not_asked(tmp_path, here):
    names = {line.name for line in result_of(good_imports(tmp_path), a_declaration(), here).rules}
    assert "not_in_earlier_test" not in names


def test_of_the_blood_cells_only_one_field_of_view_that_was_taken_twice_is_found(samples_dir, here):
    bccd = samples_dir / "bccd"
    declaration = a_declaration().model_copy(update={"labels": ("RBC", "WBC", "Platelets")})
    found = import_export(bccd / "v3_shenggan_2019_voc", bccd / "images", declaration, "voc")
    result = result_of(found.samples, declaration, here)
    line = line_named(result, "images_alike_in_split")
    assert line.failed == 2
    assert line.details[0].startswith("BloodImage_00037 looks like BloodImage_00038 (4 of 64 bits")
    assert not {problem.rule for problem in result.problems} & {"no_near_leak_between_splits", "no_leak_between_splits"}
