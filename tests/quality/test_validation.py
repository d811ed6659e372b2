"""Validating a version and screening an import."""

from dataclasses import replace

import pytest

from lakegate.errors import ValidationFailed
from lakegate.gate_rules import Outcome
from lakegate.quality.problems import SampleProblem
from lakegate.quality.rules import rules_of_task
from lakegate.quality.validation import screen, validate
from lakegate.samples import ImportedSample
from lakegate.settings import Settings
from tests.quality.building import a_box, a_declaration, a_sample, good_imports, write_jpeg

MISSING = SampleProblem("gone", "Annotations/gone.xml", "image_exists", "no image is called gone.jpg")


@pytest.fixture
def here(tmp_path):
    return Settings(home=tmp_path / "home", threads=2)


def one_bad_of_each(folder):
    """Return imports that break one rule each, by rule."""
    (folder / "page.jpg").write_text("<!DOCTYPE html>")
    whole = write_jpeg(folder / "whole.jpg", 50, size_px=(320, 240)).read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    outside = a_sample("outside", annotations=(a_box(x=60, width=20),))
    flat = a_sample("flat", annotations=(a_box(width=0, height=12),))
    return {
        "page": ("image_is_whole", ImportedSample(a_sample("page"), folder / "page.jpg")),
        "cut": ("image_is_whole", ImportedSample(a_sample("cut", width_px=320, height_px=240), folder / "cut.jpg")),
        "outside": ("box_inside_image", ImportedSample(outside, write_jpeg(folder / "outside.jpg", 51))),
        "flat": ("box_has_area", ImportedSample(flat, write_jpeg(folder / "flat.jpg", 52))),
    }


def images_of(imported):
    return {item.sample.id: item.image for item in imported}


def test_a_good_set_passes_every_rule_with_a_sentence_that_counts_them(tmp_path, here):
    imported = good_imports(tmp_path)
    result = validate([item.sample for item in imported], images_of(imported), a_declaration(), (), here)
    assert result.outcome is Outcome.PASS and not result.problems
    assert result.sentence == "4 samples pass all 15 rules."
    leaks = {"no_leak_between_splits", "no_group_in_two_splits", "no_near_leak_between_splits"}
    assert {line.name for line in result.judging_rules} == {*rules_of_task("detection"), *leaks, "splits_filled"}
    assert list(result.metrics["sample_id"]) == ["good0", "good1", "good2", "good3"]


def test_a_dataset_that_quarantines_keeps_the_good_samples_and_names_each_bad_one_with_its_reason(tmp_path, here):
    good, bad = good_imports(tmp_path), one_bad_of_each(tmp_path)
    screening = screen([*good, *(item for _, item in bad.values())], a_declaration("quarantine"), [MISSING], here)
    assert screening.good == good
    assert {item.sample_id: item.rule for item in screening.quarantined} == {
        "gone": "image_exists", **{name: rule for name, (rule, _) in bad.items()}
    }  # fmt: skip
    assert {item.sample.id for item in screening.set_aside} == set(bad)
    assert screening.sentence == "4 samples good, 5 quarantined."


def test_what_is_left_after_the_quarantine_passes_and_measures_nothing_twice(tmp_path, here):
    imported = [*good_imports(tmp_path), *(item for _, item in one_bad_of_each(tmp_path).values())]
    screening = screen(imported, a_declaration(), [MISSING], here)
    samples = [item.sample for item in screening.good]
    result = validate(samples, images_of(screening.good), a_declaration(), (), here)
    assert (result.outcome, result.n_samples, result.n_measured) == (Outcome.PASS, 4, 0)


def test_a_dataset_that_refuses_names_files_and_reasons_and_counts_the_rest(tmp_path, here):
    flat = [
        ImportedSample(
            a_sample(f"flat{number:02}", annotations=(a_box(width=0, height=12),)), write_jpeg(tmp_path / "f.jpg", 9)
        )
        for number in range(13)
    ]
    with pytest.raises(ValidationFailed) as raised:
        screen([*good_imports(tmp_path), *flat], a_declaration("refuse"), [], here)
    message = str(raised.value)
    assert message.startswith("animals: 13 of 17 samples cannot be published")
    assert "flat00.jpg: box 1 'cat' has no area: width 0 px, height 12 px [box_has_area]" in message
    assert "flat09" in message and "flat10" not in message and "and 3 problems more" in message
    assert "main was not touched" in message


def test_a_problem_of_the_import_alone_makes_a_refusing_dataset_refuse(tmp_path, here):
    with pytest.raises(ValidationFailed, match=r"gone\.xml: no image is called gone\.jpg"):
        screen(good_imports(tmp_path), a_declaration("refuse"), [MISSING], here)


def test_a_problem_that_the_import_and_the_validation_both_found_is_told_once(tmp_path, here):
    odd = ImportedSample(a_sample("odd", width_px=1), write_jpeg(tmp_path / "odd.jpg", 77))
    told = SampleProblem("odd", "Annotations/odd.xml", "size_matches", "the label file says 1 × 48 px")
    assert screen([*good_imports(tmp_path), odd], a_declaration(), [told], here).quarantined == [told]


def test_a_rule_that_only_the_import_knows_gets_its_own_line(tmp_path, here):
    told = SampleProblem("../up", "voc/up.xml", "file_name_is_inside", "'../up.jpg' leads out of the export")
    result = screen(good_imports(tmp_path), a_declaration(), [told], here).result
    (line,) = [line for line in result.rules if line.name == "file_name_is_inside"]
    assert (line.failed, line.sample_ids, line.outcome) == (1, ("../up",), Outcome.FAIL)


def test_nothing_good_left_is_refused_even_where_bad_samples_are_quarantined(tmp_path, here):
    (tmp_path / "page.jpg").write_text("<html>")
    with pytest.raises(ValidationFailed, match="no good sample is left of 1"):
        screen([ImportedSample(a_sample("page"), tmp_path / "page.jpg")], a_declaration(), [], here)


def test_a_split_that_the_quarantine_empties_is_refused(tmp_path, here):
    imported = good_imports(tmp_path, 3)
    imported[1] = replace(imported[1], sample=a_sample("good1", split="test", width_px=1))
    with pytest.raises(ValidationFailed, match="no sample is in split test, of 2"):
        screen(imported, a_declaration(), [], here)


def test_quality_limits_make_problems_with_the_measured_value(tmp_path, here):
    dark = ImportedSample(a_sample("dark"), write_jpeg(tmp_path / "dark.jpg", 60, low=0, high=9))
    screening = screen([*good_imports(tmp_path), dark], a_declaration(more="[quality]\nbrightness = [20, 235]\n"), [], here)
    (problem,) = screening.quarantined
    assert (problem.sample_id, problem.file, problem.rule) == ("dark", "dark.jpg", "brightness")
    assert "allowed is 20 to 235" in problem.reason


def test_the_rules_digest_follows_the_limits_and_not_the_samples(tmp_path, here):
    def digest(imported, more=""):
        return validate([i.sample for i in imported], images_of(imported), a_declaration(more=more), (), here).rules_digest

    four, limit = good_imports(tmp_path), "[quality]\nmin_side_px = 8\n"
    assert digest(four) == digest(four[:2]) != digest(four, limit)
    assert digest(four, limit) != digest(four, "[quality]\nmin_side_px = 9\n")


def test_no_sample_at_all_is_not_enough_data(here):
    result = validate([], {}, a_declaration(more="[split]\ntest = 0.0\nval = 0.0\n"), (), here)
    assert result.outcome is not Outcome.PASS
