"""A version as a whole: balance, empty images, coverage and shift, judged where a limit is declared."""

import numpy as np
import pytest
from scipy.stats import ks_2samp

from lakegate.errors import ValidationFailed
from lakegate.gate_rules import Outcome
from lakegate.quality.images import measure_many
from lakegate.quality.parent import ParentVersion, largest_distance
from lakegate.quality.validation import screen, validate
from lakegate.samples import ImportedSample
from lakegate.settings import Settings
from tests.quality.building import a_box, a_declaration, a_sample, good_imports, write_jpeg


@pytest.fixture
def here(tmp_path):
    return Settings(home=tmp_path / "home", threads=2)


def with_empty(folder):
    empty = [
        ImportedSample(
            a_sample(f"empty{number}", annotations=(), group="yard"), write_jpeg(folder / f"e{number}.jpg", 70 + number)
        )
        for number in range(2)
    ]
    both = ImportedSample(a_sample("both", annotations=(a_box(), a_box(label="dog"))), write_jpeg(folder / "both.jpg", 80))
    return [*good_imports(folder), *empty, both]


def lines_of(imported, here, limits="", parent=None):
    declaration = a_declaration(more=f"[quality]\n{limits}\n" if limits else "")
    images = {item.sample.id: item.image for item in imported}
    result = validate([item.sample for item in imported], images, declaration, (), here, parent=parent)
    return {line.name: line for line in result.rules}, result


def parent_of(imported, **changes):
    images = [(item.sample.id, item.image) for item in imported]
    fields = {
        "version": "v1",
        "metrics": tuple(measure_many(images, 1).metrics.values()),
        "objects_per_image": (1,) * len(images),
        "objects_per_label": {"cat": len(images)},
        "samples_per_group": {item.sample.group: 1 for item in imported},
    }
    return ParentVersion(**(fields | changes))


def test_without_limits_the_facts_inform_in_sentences(tmp_path, here):
    lines, result = lines_of(with_empty(tmp_path), here)
    assert result.outcome is Outcome.PASS
    assert lines["max_empty_share"].details == ("2 of 7 images have no object",)
    assert lines["min_objects_per_label"].details == ("'dog' is the rarest label, with 1 objects",)
    assert lines["max_label_share"].details == ("'cat' is the commonest label, 5 of 6 objects",)
    assert lines["min_samples_per_group"].details == ("6 groups (cameras, clips); 'both' is the smallest, with 1 images",)
    assert "max_shift" not in lines and all(lines[name].informs for name in ("max_empty_share", "max_label_share"))


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("max_empty_share = 0.2", "2 of 7 images have no object: 0.2857, allowed is at most 0.2"),
        ("min_objects_per_label = 2", "'dog' is the rarest label, with 1 objects: 1, allowed is at least 2"),
        ("max_label_share = 0.8", "'cat' is the commonest label, 5 of 6 objects: 0.8333, allowed is at most 0.8"),
        ("min_samples_per_group = 2", "'both' is the smallest, with 1 images: 1, allowed is at least 2"),
    ],
)
def test_a_declared_limit_fails_the_version_and_refuses_it_before_it_is_written(tmp_path, here, limit, words):
    imported = with_empty(tmp_path)
    lines, result = lines_of(imported, here, limit)
    line = lines[limit.split()[0]]
    assert (line.outcome, line.informs, result.outcome) == (Outcome.FAIL, False, Outcome.FAIL)
    assert words in line.details[0] and words in result.sentence
    with pytest.raises(ValidationFailed, match="allowed is"):
        screen(imported, a_declaration(more=f"[quality]\n{limit}\n"), [], here)


def test_a_limit_that_holds_passes(tmp_path, here):
    limits = "max_empty_share = 0.3\nmin_objects_per_label = 1\nmax_label_share = 0.9"
    lines, result = lines_of(with_empty(tmp_path), here, limits)
    assert result.outcome is Outcome.PASS
    assert all(not lines[name].informs for name in ("max_empty_share", "min_objects_per_label", "max_label_share"))


def test_a_shift_is_measured_against_the_version_before_and_named(tmp_path, here):
    imported = good_imports(tmp_path)
    lines, _ = lines_of(imported, here, "max_shift = 0.4", parent_of(imported))
    assert lines["max_shift"].outcome is Outcome.PASS
    dark = [ImportedSample(i.sample, write_jpeg(tmp_path / f"d{n}.jpg", n, high=90)) for n, i in enumerate(imported)]
    lines, result = lines_of(dark, here, "max_shift = 0.4", parent_of(imported))
    assert result.outcome is Outcome.FAIL
    assert lines["max_shift"].details[0].startswith("brightness moved most since v1: 1.00 (all: ")


def test_a_shift_cannot_be_judged_where_there_is_no_version_before(tmp_path, here):
    lines, result = lines_of(good_imports(tmp_path), here, "max_shift = 0.1")
    assert (lines["max_shift"].outcome, result.outcome) == (Outcome.NOT_ENOUGH_DATA, Outcome.PASS)


def test_a_camera_that_is_gone_is_named(tmp_path, here):
    imported = with_empty(tmp_path)
    parent = parent_of(imported, samples_per_group={"yard": 3, "gate": 5})
    assert lines_of(imported, here, parent=parent)[0]["min_samples_per_group"].details[0].endswith("gone since v1: gate")


def test_the_distance_is_that_of_scipy():
    random = np.random.default_rng(0)
    for _ in range(10):
        old, new = random.integers(0, 9, 40).tolist(), random.integers(2, 12, 30).tolist()
        assert largest_distance(old, new) == pytest.approx(ks_2samp(old, new).statistic)
