"""Versions are pinned by name, listed newest first, and unknown ones name the nearest."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lakegate.errors import BadInput, VersionNotFound
from lakegate.lake.client import LakeClient
from lakegate.lake.versions import list_versions, newest_attested, pin
from lakegate.settings import Settings
from tests.lake.story import a_sample, publish_version

pytestmark = pytest.mark.services
Colour = Callable[[str, tuple[int, int, int]], Path]


def test_the_log_says_who_published_what_and_when_newest_first(
    client: LakeClient, settings: Settings, dataset: str, colour: Colour
):
    samples = [a_sample(name, colour(name, (3, 3, 3))) for name in ("a", "b")]
    for tag, part in (("v1", samples[:1]), ("v2", samples), ("v10", samples[1:])):
        publish_version(client, settings, dataset, tag, part, message=f"Say {tag}")
    rows = list_versions(client, dataset)
    said = [(row.tag, row.n_samples, row.message) for row in rows]
    assert said == [("v10", 1, "Say v10"), ("v2", 2, "Say v2"), ("v1", 1, "Say v1")]
    assert {row.publisher for row in rows} == {settings.user}
    assert rows[0].created_at >= rows[-1].created_at
    assert len(rows[0].source_digest) == 64


def test_a_tag_a_branch_and_a_commit_pin_the_same_content(
    client: LakeClient, settings: Settings, dataset: str, colour: Colour
):
    version = publish_version(client, settings, dataset, "v1", [a_sample("a", colour("a", (3, 3, 3)))])
    pinned = [pin(client, f"{dataset}@{ref}") for ref in ("v1", "main", version.commit)]
    assert {item.commit for item in pinned} == {version.commit}
    assert {item.content_digest for item in pinned} == {version.content_digest}
    assert pinned[0] == version and pinned[0].reference == f"{dataset}@v1"


def test_an_unknown_version_or_dataset_names_the_nearest(client: LakeClient, settings: Settings, dataset: str, colour: Colour):
    publish_version(client, settings, dataset, "version-1", [a_sample("a", colour("a", (3, 3, 3)))])
    with pytest.raises(VersionNotFound, match="did you mean 'version-1'"):
        pin(client, f"{dataset}@version-2")
    with pytest.raises(VersionNotFound, match=f"did you mean '{dataset}'"):
        pin(client, f"{dataset}s@version-1")
    with pytest.raises(BadInput, match="expected dataset@version"):
        pin(client, dataset)


def test_a_dataset_without_a_version_says_how_to_make_one(client: LakeClient, settings: Settings, dataset: str):
    client.ensure_repository(dataset)
    assert list_versions(client, dataset) == []
    with pytest.raises(VersionNotFound, match="lakegate data publish"):
        newest_attested(client, settings, dataset)
    with pytest.raises(VersionNotFound):
        list_versions(client, "no-such-dataset")
