"""Proposed limits: what they were proposed from passes them."""

import tomllib

import pytest

from lakegate.catalog import parse_dataset
from lakegate.formats.importing import import_export
from lakegate.gate_rules import Outcome
from lakegate.quality.suggesting import suggest_quality
from lakegate.quality.validation import screen, validate
from lakegate.settings import Settings
from tests.quality.building import a_declaration, good_imports

BLOOD_CELLS = 'task = "detection"\nlabels = ["RBC", "WBC", "Platelets"]\non_bad_sample = "quarantine"\n'


@pytest.fixture
def here(tmp_path):
    return Settings(home=tmp_path / "home", threads=2)


def test_the_version_passes_the_limits_that_were_proposed_from_it_and_each_has_a_reason(samples_dir, here):
    folder = samples_dir / "bccd"
    declaration = parse_dataset("blood-cells", BLOOD_CELLS)
    found = import_export(folder / "v3_shenggan_2019_voc", folder / "images", declaration, "voc")
    good = screen(found.samples, declaration, found.problems, here).good
    samples, images = [item.sample for item in good], {item.sample.id: item.image for item in good}
    text = suggest_quality(samples, validate(samples, images, declaration, (), here), declaration)

    proposed = tomllib.loads(text)["quality"]
    assert proposed["min_side_px"] == 352 and proposed["max_side_px"] == 800
    assert proposed["brightness"][0] < 165 < 193 < proposed["brightness"][1]
    assert proposed["near_duplicate_bits"] == 4 and "2 images look like another" in text
    assert all("#" in line for line in text.splitlines())
    judged = validate(samples, images, parse_dataset("blood-cells", BLOOD_CELLS + text), (), here)
    assert judged.outcome is Outcome.PASS and not judged.problems
    assert sum(not line.informs for line in judged.rules) > 20


def test_a_tiny_set_gets_limits_that_can_be_declared(tmp_path, here):
    imported = good_imports(tmp_path)
    samples, images = [item.sample for item in imported], {item.sample.id: item.image for item in imported}
    declaration = a_declaration()
    text = suggest_quality(samples, validate(samples, images, declaration, (), here), declaration)
    assert validate(samples, images, a_declaration(more=text), (), here).outcome is Outcome.PASS
