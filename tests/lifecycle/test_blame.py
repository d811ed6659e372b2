"""Each object of a sample names the version that changed it last."""

import json

import pytest

from lakegate.errors import UnknownName, VersionNotFound
from lakegate.lifecycle.blame import BlamedObject, blame_sample
from tests.lifecycle.conftest import Workshop
from tests.lifecycle.test_merging import relabel
from tests.lifecycle.test_ref_publication import publish_ref
from tests.squares import write_squares

pytestmark = pytest.mark.services
SAMPLE = "square-3"


@pytest.fixture(scope="module")
def told(lakefs_stack, tmp_path_factory) -> Workshop:
    """Ada publishes v1, Grace relabels an object in v2, Ada adds a third one in v3 and changes another sample in v4."""
    workshop = Workshop(tmp_path_factory.mktemp("blame"), lakefs_stack.model_copy())
    workshop.publish(write_squares(workshop.folder / "export", range(12)), "v1")
    steps = {
        "v2": ("grace", SAMPLE, lambda content: content["annotations"][0].update(label="dark")),
        "v3": ("ada", SAMPLE, lambda content: content["annotations"].append({"label": "bright", "bbox": [1, 2, 9, 9]})),
        "v4": ("ada", "square-4", lambda content: content["annotations"].pop()),
    }
    for tag, (user, name, change) in steps.items():
        workshop.settings.user = user
        path = f"annotations/{name}.json"
        workshop.client.create_branch(workshop.dataset, f"edit-{tag}", "main")
        content = json.loads(workshop.client.read(workshop.dataset, "main", path))
        change(content)
        workshop.client.upload(workshop.dataset, f"edit-{tag}", path, json.dumps(content).encode())
        workshop.client.commit(workshop.dataset, f"edit-{tag}", "edit", {})
        publish_ref(workshop, f"edit-{tag}", tag)
    return workshop


def asked(workshop: Workshop, ref: str = "main", name: str = SAMPLE) -> list[BlamedObject]:
    return blame_sample(workshop.client, workshop.settings, workshop.dataset, name, ref)


def test_each_object_names_who_changed_it_last_and_in_which_version(told: Workshop) -> None:
    lines = {(item.change, item.version, item.by) for item in asked(told)}
    assert lines == {("reclassified", "v2", "grace"), ("added", "v1", "ada"), ("added", "v3", "ada")}
    (changed,) = (item for item in asked(told) if item.version == "v2")
    assert changed.words.startswith("'dark' at x ") and changed.before.startswith("'bright' at x ")
    assert {item.version: item.commit for item in asked(told)}["v3"] == told.client.tags(told.dataset)["v3"]


def test_an_older_version_knows_nothing_of_later_ones(told: Workshop) -> None:
    assert {item.version for item in asked(told, "v2")} == {"v1", "v2"}
    assert {(item.change, item.version) for item in asked(told, "v1")} == {("added", "v1")}


def test_what_no_version_has_yet_is_said_so(told: Workshop) -> None:
    def move(content: dict) -> None:
        content["annotations"][0]["bbox"][0] += 1

    relabel(told, "open-work", SAMPLE, move)
    assert sorted((item.change, item.version) for item in asked(told, "open-work")) == [("added", "v1"), ("moved", "")]


def test_a_sample_or_version_that_is_not_there_is_named(told: Workshop) -> None:
    with pytest.raises(UnknownName, match=r"no sample 'square-33'; did you mean 'square-3'"):
        asked(told, name="square-33")
    with pytest.raises(VersionNotFound, match="v9"):
        asked(told, "v9")
