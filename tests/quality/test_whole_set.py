"""What only the whole set shows: leaks, empty splits, and facts that inform."""

import shutil

import pytest

from lakegate.gate_rules import Outcome
from lakegate.quality.validation import screen, validate
from lakegate.samples import ImportedSample
from lakegate.settings import Settings
from tests.quality.building import a_declaration, a_sample, good_imports, write_jpeg


@pytest.fixture
def here(tmp_path):
    return Settings(home=tmp_path / "home", threads=2)


def line_of(imported, declaration, here, name):
    result = validate([i.sample for i in imported], {i.sample.id: i.image for i in imported}, declaration, (), here)
    return next(line for line in result.rules if line.name == name)


def twin_of(item, split, folder):
    path = shutil.copy(item.image, folder / f"twin-{split}.jpg")
    return ImportedSample(a_sample(f"twin-{split}", split=split), path)


def test_an_image_in_train_and_test_is_a_leak_and_the_train_copy_goes(tmp_path, here):
    imported = good_imports(tmp_path)
    leaked = twin_of(imported[1], "train", tmp_path)
    screening = screen([*imported, leaked], a_declaration(), [], here)
    (problem,) = screening.quarantined
    assert (problem.sample_id, problem.rule) == ("twin-train", "no_leak_between_splits")
    assert "sample 'good1' in split test" in problem.reason
    assert screening.good == imported


def test_an_image_twice_in_one_split_informs_and_does_not_fail(tmp_path, here):
    imported = good_imports(tmp_path)
    line = line_of([*imported, twin_of(imported[1], "test", tmp_path)], a_declaration(), here, "images_twice_in_split")
    assert (line.failed, line.sample_ids, line.outcome) == (2, ("good1", "twin-test"), Outcome.PASS)


def test_a_set_without_a_test_sample_fails_and_says_what_to_do(tmp_path, here):
    imported = [item for item in good_imports(tmp_path) if item.sample.split == "train"]
    line = line_of(imported, a_declaration(), here, "splits_filled")
    assert line.outcome is Outcome.FAIL
    assert line.details == ("no sample is in split test, of 2; deliver more groups, or change [split] test = 0.2",)


def test_a_set_that_is_declared_for_judging_only_needs_no_train_sample(tmp_path, here):
    imported = [item for item in good_imports(tmp_path) if item.sample.split == "test"]
    assert line_of(imported, a_declaration(more="[split]\ntest = 1.0\n"), here, "splits_filled").outcome is Outcome.PASS


def test_lists_that_an_export_gives_must_hold_both_splits(tmp_path, here):
    imported = [item for item in good_imports(tmp_path) if item.sample.split == "test"]
    assert "split train" in line_of(imported, a_declaration(more='[split]\nfrom = "given"\n'), here, "splits_filled").details[0]


def test_a_declared_label_that_does_not_occur_is_said_and_does_not_fail(tmp_path, here):
    line = line_of(good_imports(tmp_path), a_declaration(), here, "labels_occur")
    assert (line.details, line.outcome) == (("no object is labelled 'dog'",), Outcome.PASS)


def test_a_sample_without_objects_is_background_and_counted(tmp_path, here):
    empty = ImportedSample(a_sample("empty", annotations=()), write_jpeg(tmp_path / "empty.jpg", 70))
    line = line_of([*good_imports(tmp_path), empty], a_declaration(), here, "samples_without_objects")
    assert (line.failed, line.sample_ids) == (1, ("empty",))
