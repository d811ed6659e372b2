"""`lakegate data suggest` on the real lakeFS."""

import tomllib

import pytest

from lakegate.catalog import parse_dataset
from lakegate.errors import VersionNotFound
from lakegate.lifecycle.suggested_limits import suggest_limits
from tests.lifecycle.conftest import Workshop
from tests.squares import write_squares

pytestmark = pytest.mark.services


def test_limits_are_proposed_from_the_newest_version_or_the_one_that_is_named(workshop: Workshop) -> None:
    workshop.publish(write_squares(workshop.folder / "one", range(10)), "v1")
    newest = suggest_limits(workshop.settings, workshop.dataset)
    assert newest == suggest_limits(workshop.settings, workshop.dataset, "v1")
    assert newest.startswith(f"# {workshop.dataset}@v1\n[quality] # proposed from 10 images; every one of them passes\n")
    limits = tomllib.loads(newest)["quality"]
    assert limits["min_side_px"] == 64 and limits["min_objects_per_label"] == 5
    assert parse_dataset("squares", f'task = "detection"\nlabels = ["bright"]\n{newest}').quality.max_side_px == 128


def test_a_dataset_without_a_version_is_said(workshop: Workshop) -> None:
    with pytest.raises(VersionNotFound):
        suggest_limits(workshop.settings, workshop.dataset)
