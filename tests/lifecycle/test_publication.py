"""Publishing on the real lakeFS: what is good becomes a version, what is bad is named and main stays as it was."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lakegate.errors import (
    BadExport,
    BadInput,
    ServiceUnavailable,
    UnknownName,
    ValidationFailed,
    VersionExists,
    VersionNotFound,
)
from lakegate.lake.diff import diff_versions
from lakegate.lake.local import open_version
from lakegate.lake.versions import list_versions, pin
from tests.formats.exports import voc_xml
from tests.lifecycle.conftest import Workshop
from tests.squares import SIDE_PX, write_squares

pytestmark = pytest.mark.services
NUMBERS = range(12)


def test_a_version_holds_the_samples_of_its_export_and_is_found_by_its_tag(workshop: Workshop) -> None:
    source = write_squares(workshop.folder / "export", NUMBERS)
    publication = workshop.publish(source, "v1")

    local = open_version(workshop.client, workshop.settings, pin(workshop.client, f"{workshop.dataset}@v1"))
    assert len(local.samples) == len(NUMBERS)
    assert {len(sample.annotations) for sample in local.samples} == {2}
    assert [item.tag for item in list_versions(workshop.client, workshop.dataset)] == ["v1"]
    assert workshop.client.log(workshop.dataset, "v1")[0].metadata["imported_from"] == str(source)
    assert "12 samples pass all" in publication.summary_markdown()
    assert publication.save_page().path.read_text().startswith("<!doctype html>")


def test_publishing_the_same_export_again_sends_nothing_and_is_the_same_version(workshop: Workshop) -> None:
    source = write_squares(workshop.folder / "export", NUMBERS)
    workshop.publish(source, "v1")
    first = pin(workshop.client, f"{workshop.dataset}@v1")

    workshop.lines.clear()
    workshop.publish(source, "v1")

    assert pin(workshop.client, f"{workshop.dataset}@v1") == first
    assert any("0 objects sent" in line for line in workshop.lines)


def test_equal_content_under_another_name_is_said_to_be_that_and_counts_as_the_newest(workshop: Workshop) -> None:
    source = write_squares(workshop.folder / "export", NUMBERS)
    workshop.publish(source, "v9")
    workshop.publish(source, "v10")
    assert workshop.lines[-1] == "nothing changed since v9: v10 is another name of the same content"
    assert [item.tag for item in list_versions(workshop.client, workshop.dataset)] == ["v10", "v9"]


def test_other_content_under_a_taken_name_is_refused(workshop: Workshop) -> None:
    workshop.publish(write_squares(workshop.folder / "one", NUMBERS), "v1")
    with pytest.raises(VersionExists, match="choose another version name"):
        workshop.publish(write_squares(workshop.folder / "two", range(13)), "v1")


def test_the_second_version_is_compared_with_the_first(workshop: Workshop) -> None:
    workshop.publish(write_squares(workshop.folder / "one", NUMBERS, unfinished=[3, 4]), "v1")
    workshop.publish(write_squares(workshop.folder / "two", range(14)), "v2")

    old, new = (
        open_version(workshop.client, workshop.settings, pin(workshop.client, f"{workshop.dataset}@{tag}"))
        for tag in ("v1", "v2")
    )
    difference = diff_versions(old, new).to_json()
    assert difference["samples"] == {"added": 2, "removed": 0, "relabelled": 2, "reimaged": 0}
    assert difference["objects"] == {"added": 2, "removed": 0, "moved": 0, "reclassified": 0}


def test_two_publishers_at_once_leave_two_whole_versions(workshop: Workshop) -> None:
    workshop.publish(write_squares(workshop.folder / "base", NUMBERS), "v1")
    sources = {
        "v2": write_squares(workshop.folder / "two", range(13)),
        "v3": write_squares(workshop.folder / "three", [*NUMBERS, 20]),
    }
    with ThreadPoolExecutor(2) as pool:
        publications = [pool.submit(workshop.publish, source, version) for version, source in sources.items()]
        for publication in publications:
            publication.result()

    for version, own in (("v2", "square-12"), ("v3", "square-20")):
        local = open_version(workshop.client, workshop.settings, pin(workshop.client, f"{workshop.dataset}@{version}"))
        assert own in local.images


def test_a_dataset_that_was_never_published_is_named(workshop: Workshop) -> None:
    with pytest.raises(VersionNotFound, match=workshop.dataset):
        pin(workshop.client, f"{workshop.dataset}@v1")


@pytest.mark.parametrize(
    ("word", "error"), [({"version": "V 1"}, BadInput), ({"dataset": "sqares"}, UnknownName)], ids=["version", "dataset"]
)
def test_unusable_words_of_the_form_are_refused_before_anything_is_read(
    workshop: Workshop, word: dict[str, str], error: type[Exception]
) -> None:
    with pytest.raises(error):
        workshop.open(workshop.folder, word.get("version", "v1"), word.get("dataset", ""))


def test_an_export_without_labels_is_refused(workshop: Workshop) -> None:
    (workshop.folder / "empty").mkdir()
    with pytest.raises(BadExport):
        workshop.publish(workshop.folder / "empty", "v1")


def test_lakefs_that_stops_answering_is_said_in_plain_words(workshop: Workshop) -> None:
    workshop.settings.lakefs_endpoint = "http://127.0.0.1:9"
    publication = Workshop.open(workshop, write_squares(workshop.folder / "export", NUMBERS), "v1")
    publication._client = type(workshop.client)(workshop.settings)
    publication.read_export()
    with pytest.raises(ServiceUnavailable, match=r"127\.0\.0\.1:9"):
        publication.screen()


def _xml(export: Path, name: str) -> Path:
    return export / "Annotations" / f"{name}.xml"


def _image(export: Path, name: str) -> Path:
    return export / "JPEGImages" / f"{name}.jpg"


def _truncate(export: Path) -> None:
    path = _image(export, "square-1")
    path.write_bytes(path.read_bytes()[:-400])


def _html_as_jpeg(export: Path) -> None:
    _image(export, "square-1").write_text("<!doctype html><title>404</title>")


def _label_without_image(export: Path) -> None:
    _image(export, "square-1").unlink()


def _labelled(export: Path, label: str = "bright", box: tuple[float, float, float, float] = (4, 4, 20, 20)) -> None:
    _xml(export, "square-1").write_text(voc_xml("square-1.jpg", (SIDE_PX, SIDE_PX), [(label, box)]))


def _two_of_one_stem(export: Path) -> None:
    _image(export, "square-1").with_suffix(".png").write_bytes(_image(export, "square-2").read_bytes())


def _leads_outside(export: Path) -> None:
    text = voc_xml("../../square-1.jpg", (SIDE_PX, SIDE_PX), [("bright", (4, 4, 20, 20))])
    _xml(export, "square-1").write_text(text)


def _external_entity(export: Path) -> None:
    text = _xml(export, "square-1").read_text()
    declared = '<!DOCTYPE annotation [<!ENTITY secret SYSTEM "file:///etc/hostname">]>'
    _xml(export, "square-1").write_text(declared + text.replace("bright", "&secret;"))


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a truncated JPEG": (_truncate, "square-1.jpg"),
    "an HTML page named .jpg": (_html_as_jpeg, "square-1.jpg"),
    "labels for a missing image": (_label_without_image, "square-1.xml"),
    "an undeclared label": (lambda export: _labelled(export, "brigth"), "did you mean 'bright'"),
    "a box outside the image": (lambda export: _labelled(export, box=(80, 80, 40, 40)), "square-1"),
    "a box without area": (lambda export: _labelled(export, box=(10, 10, 0, 12)), "square-1"),
    "two images with one stem": (_two_of_one_stem, "square-1"),
    "a file name that leads outside": (_leads_outside, "square-1.xml"),
    "an XML with an external entity": (_external_entity, "square-1.xml"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_dataset_that_refuses_names_the_file_and_the_reason_and_leaves_main_alone(workshop: Workshop, fault: str) -> None:
    spoil, words = FAULTS[fault]
    workshop.client.ensure_repository(workshop.dataset)
    before = workshop.client.head(workshop.dataset, "main").id
    export = write_squares(workshop.folder / "export", NUMBERS)
    spoil(export)

    with pytest.raises(ValidationFailed, match="refuses bad samples") as refusal:
        workshop.publish(export, "v1")

    assert words in str(refusal.value)
    assert workshop.client.head(workshop.dataset, "main").id == before
    assert workshop.client.tags(workshop.dataset) == {}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_dataset_that_quarantines_keeps_the_bad_sample_out_and_says_why(workshop: Workshop, fault: str) -> None:
    spoil, words = FAULTS[fault]
    workshop.declare(workshop.dataset, "quarantine")
    export = write_squares(workshop.folder / "export", NUMBERS)
    spoil(export)

    publication = workshop.publish(export, "v1")

    local = open_version(workshop.client, workshop.settings, pin(workshop.client, f"{workshop.dataset}@v1"))
    assert {sample.id for sample in local.samples} == {f"square-{number}" for number in NUMBERS if number != 1}
    assert "quarantined" in publication.summary_markdown()
    assert words in "\n".join(workshop.lines)
