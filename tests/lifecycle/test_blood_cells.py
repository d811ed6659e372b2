"""The demo's two versions of real blood cells, published for real: the numbers that its README and issue name."""

from pathlib import Path

import pytest

from lakegate.demo_export import stage_blood_cells
from lakegate.lake.diff import diff_versions
from lakegate.lake.local import open_version
from lakegate.lake.versions import pin
from lakegate.lifecycle.publication import Publication
from tests.lifecycle.conftest import Workshop

pytestmark = pytest.mark.services
REPOSITORY = Path(__file__).resolve().parents[2]
WITHOUT_AREA = {"BloodImage_00338", "BloodImage_00343"}


def publish(workshop: Workshop, samples_dir: Path, version: str) -> Publication:
    source = stage_blood_cells(samples_dir / "bccd", workshop.folder / version, version)
    return workshop.publish(source, version)


def test_the_two_versions_of_the_demo_and_what_changed_between_them(workshop: Workshop, samples_dir: Path) -> None:
    declaration = REPOSITORY / "datasets" / "blood-cells" / "dataset.toml"
    (workshop.checkout / "datasets" / workshop.dataset / "dataset.toml").write_text(declaration.read_text())

    reports = {version: publish(workshop, samples_dir, version) for version in ("v1", "v2")}

    old, new = (
        open_version(workshop.client, workshop.settings, pin(workshop.client, f"{workshop.dataset}@{version}"))
        for version in ("v1", "v2")
    )
    assert (len(old.samples), len(new.samples)) == (198, 290)
    for publication in reports.values():
        page = publication.save_page().path.read_text()
        assert all(name in page for name in WITHOUT_AREA) and "no area" in page
        assert "2 samples are quarantined" in publication.summary_markdown()
    assert diff_versions(old, new).to_json() == {
        "samples": {"added": 92, "removed": 0, "relabelled": 30, "reimaged": 0},
        "objects": {"added": 88, "removed": 4, "moved": 47, "reclassified": 0},
        "labels": {"added": [], "removed": [], "renamed": {}, "suggested": {}},
    }


def test_old_data_and_the_diff_both_have_test_images(workshop: Workshop, samples_dir: Path) -> None:
    declaration = REPOSITORY / "datasets" / "blood-cells" / "dataset.toml"
    (workshop.checkout / "datasets" / workshop.dataset / "dataset.toml").write_text(declaration.read_text())
    for version in ("v1", "v2"):
        publish(workshop, samples_dir, version)
    splits = []
    for version in ("v1", "v2"):
        local = open_version(workshop.client, workshop.settings, pin(workshop.client, f"{workshop.dataset}@{version}"))
        splits.append({sample.id: sample.split for sample in local.samples})
    assert all(splits[1][name] == split for name, split in splits[0].items())
    assert sum(split == "test" for split in splits[0].values()) == 38
    assert sum(split == "test" for split in splits[1].values()) == 58
