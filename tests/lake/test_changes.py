"""Reading only what differs gives the same diff as reading everything, and fetches no image."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lakegate.errors import Unattested
from lakegate.lake.attestation import require_attestation
from lakegate.lake.changes import open_changes
from lakegate.lake.client import LakeClient
from lakegate.lake.diff import diff_versions
from lakegate.lake.local import open_version
from lakegate.lake.local_version import DatasetVersion
from lakegate.settings import Settings
from tests.lake.story import a_sample, publish_version

pytestmark = pytest.mark.services
Colour = Callable[[str, tuple[int, int, int]], Path]
TWO_CELLS = (("RBC", (4.0, 5.0, 20.0, 10.0)), ("WBC", (30.0, 5.0, 20.0, 10.0)))


def publish_two(
    client: LakeClient, settings: Settings, dataset: str, colour: Colour
) -> tuple[DatasetVersion, DatasetVersion]:
    before = [a_sample(name, colour(name, (number, 0, 0))) for number, name in enumerate("abcde")]
    old = publish_version(client, settings, dataset, "v1", before)
    relabelled = a_sample("b", colour("b", (1, 0, 0)), TWO_CELLS)
    after = [before[0], relabelled, a_sample("c", colour("c", (9, 9, 9))), before[3], a_sample("f", colour("f", (5, 5, 5)))]
    return old, publish_version(client, settings, dataset, "v2", after)


def test_the_changed_samples_alone_give_the_diff_of_the_whole_versions(
    client: LakeClient, settings: Settings, dataset: str, colour: Colour, tmp_path: Path
) -> None:
    old, new = publish_two(client, settings, dataset, colour)
    elsewhere = settings.model_copy(update={"home": tmp_path / "elsewhere"})
    shutil.copytree(settings.home / "keys", elsewhere.home / "keys")
    sides = open_changes(client, elsewhere, old, new)
    assert [[sample.id for sample in side.samples] for side in sides] == [["b", "c", "e"], ["b", "c", "f"]]
    assert not any(image.path.exists() for side in sides for image in side.images.values())
    whole = [open_version(client, settings, version) for version in (old, new)]
    assert diff_versions(*sides) == diff_versions(*whole)
    assert diff_versions(*sides).to_json()["samples"] == {"added": 1, "removed": 1, "relabelled": 1, "reimaged": 1}


def test_two_equal_versions_differ_in_no_sample(
    client: LakeClient, settings: Settings, dataset: str, colour: Colour
) -> None:
    old, _ = publish_two(client, settings, dataset, colour)
    assert [side.samples for side in open_changes(client, settings, old, old)] == [(), ()]


def test_what_is_not_attested_is_refused(client: LakeClient, settings: Settings, dataset: str, colour: Colour) -> None:
    old, new = publish_two(client, settings, dataset, colour)
    client.create_branch(dataset, "by-hand", new.commit)
    client.upload(dataset, "by-hand", "annotations/f.json", b"{}")
    commit = client.commit(dataset, "by-hand", "changed by hand", {})
    with pytest.raises(Unattested):
        require_attestation(client, settings, dataset, commit)
    with pytest.raises(Unattested):
        open_changes(client, settings, old, DatasetVersion(dataset, "by-hand", commit, ""))
