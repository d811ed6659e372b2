"""The diff of two published versions, as a person and as a publication asks for it, on the real lakeFS."""

import time
from pathlib import Path

import pytest

from lakegate.demo_export import stage_blood_cells
from lakegate.errors import Unattested, VersionNotFound
from lakegate.lifecycle.data_diff import diff_references, show_diff, version_before
from lakegate.lifecycle.diff_words import describe_diff
from tests.lifecycle.conftest import Workshop
from tests.squares import write_squares

pytestmark = pytest.mark.services
REPOSITORY = Path(__file__).resolve().parents[2]
KNOWN = {
    "samples": {"added": 92, "removed": 0, "relabelled": 30, "reimaged": 0},
    "objects": {"added": 88, "removed": 4, "moved": 47, "reclassified": 0},
    "labels": {"added": [], "removed": [], "renamed": {}, "suggested": {}},
}


def test_the_blood_cells_of_the_demo_differ_as_is_known_and_their_page_shows_it(workshop: Workshop, samples_dir: Path) -> None:
    declaration = REPOSITORY / "datasets" / "blood-cells" / "dataset.toml"
    (workshop.checkout / "datasets" / workshop.dataset / "dataset.toml").write_text(declaration.read_text())
    for version in ("v1", "v2"):
        source = stage_blood_cells(samples_dir / "bccd", workshop.folder / version, version)
        publication = workshop.publish(source, version)
        shown = publication.show_diff()
        assert (shown is None) == (version == "v1")

    difference = diff_references(workshop.client, workshop.settings, workshop.dataset, "v1", "v2")
    assert difference.to_json() == KNOWN
    assert shown is not None and shown.difference == difference
    html = shown.page.path.read_text()
    assert shown.page.path.name == "diff-v1-v2.html"
    assert "122 samples differ" in html and "Brightness of the images" in html and "were not measured" not in html
    assert "| number | 92 | 0 | 30 | 0 |" in shown.markdown
    assert "objects on the common samples: 88 added, 4 removed, 47 moved, 0 reclassified" in describe_diff(difference, "a", "b")


def test_a_page_is_made_where_the_images_were_never_fetched(workshop: Workshop) -> None:
    workshop.publish(write_squares(workshop.folder / "one", range(12)), "v1")
    workshop.publish(write_squares(workshop.folder / "two", [0, *range(2, 14)], unfinished=[2]), "v2")
    elsewhere = workshop.settings.model_copy(update={"home": workshop.folder / "elsewhere"})
    (elsewhere.home / "keys").parent.mkdir(parents=True)
    (elsewhere.home / "keys").symlink_to(workshop.settings.home / "keys")

    shown = show_diff(workshop.client, elsewhere, workshop.dataset, "v1", "v2")

    assert shown.difference.to_json()["samples"] == {"added": 2, "removed": 1, "relabelled": 1, "reimaged": 0}
    assert "25 images were not measured on this machine and are left out" in shown.page.path.read_text()
    fetched = [path for path in (elsewhere.cache_dir / "objects").rglob("*") if path.is_file()]
    assert sum(path.read_bytes().startswith(b"\xff\xd8") for path in fetched) == 4, "the images of the changed samples only"


def test_a_version_that_is_not_there_or_not_attested_is_refused(workshop: Workshop) -> None:
    workshop.publish(write_squares(workshop.folder / "one", range(6)), "v1")
    with pytest.raises(VersionNotFound, match="v1"):
        diff_references(workshop.client, workshop.settings, workshop.dataset, "v1", "v11")
    workshop.client.create_branch(workshop.dataset, "by-hand", "v1")
    workshop.client.upload(workshop.dataset, "by-hand", "annotations/square-1.json", b"{}")
    workshop.client.commit(workshop.dataset, "by-hand", "changed by hand", {})
    with pytest.raises(Unattested):
        diff_references(workshop.client, workshop.settings, workshop.dataset, "v1", "by-hand")
    assert version_before(workshop.client, workshop.dataset, "v1") is None
    assert version_before(workshop.client, workshop.dataset, "v2") == "v1"
    assert version_before(workshop.client, "nowhere-at-all", "v1") is None


def test_a_damaged_version_before_does_not_keep_the_next_one_from_being_published(workshop: Workshop) -> None:
    workshop.publish(write_squares(workshop.folder / "one", range(6)), "v1")
    workshop.client.create_branch(workshop.dataset, "by-hand", "v1")
    workshop.client.upload(workshop.dataset, "by-hand", "annotations/square-1.json", b"{}")
    time.sleep(1.1)  # lakeFS dates commits by the second, and the newest is compared with
    workshop.client.create_tag(
        workshop.dataset, "v2", workshop.client.commit(workshop.dataset, "by-hand", "changed by hand", {})
    )
    publication = workshop.publish(write_squares(workshop.folder / "two", range(8)), "v3")
    assert publication.show_diff() is None
    assert any(line.startswith("v2 cannot be compared with: ") for line in workshop.lines)
    assert any("there is no page of what changed since v2" in line for line in workshop.lines)
