"""The content digest depends on paths, bytes and sizes, and on nothing else."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from lakegate.errors import LakeError
from lakegate.lake.client import LakeClient
from lakegate.lake.content import content_digest
from lakegate.lake.objects import ObjectEntry
from lakegate.settings import Settings


def test_the_digest_is_over_sorted_lines_of_path_sha256_and_size():
    a, b = ObjectEntry("a", "m", 1, "1" * 64), ObjectEntry("b", "m", 2, "2" * 64)
    lines = f"a\t{'1' * 64}\t1\nb\t{'2' * 64}\t2\n"
    assert content_digest([b, a]) == hashlib.sha256(lines.encode()).hexdigest() == content_digest([a, b])


def test_an_entry_without_sha256_is_refused():
    with pytest.raises(LakeError, match="complete the listing"):
        content_digest([ObjectEntry("a", "m", 1, None)])


@pytest.mark.services
def test_equal_content_has_an_equal_digest_in_whatever_way_it_was_uploaded(
    client: LakeClient, settings: Settings, dataset: str, colour: Callable[[str, tuple[int, int, int]], Path]
):
    client.ensure_repository(dataset)
    image = colour("one", (200, 10, 10))
    for branch in ("ours", "by-hand", "forged"):
        client.create_branch(dataset, branch, "main")
    client.upload_many(dataset, "ours", {"images/one.png": image, "dataset.toml": b"x"})
    for path, data in (("dataset.toml", b"x"), ("images/one.png", image.read_bytes())):
        upload_by_hand(settings, dataset, "by-hand", path, data)
        upload_by_hand(settings, dataset, "forged", path, data, sha256="../../../etc/passwd")
    commits = [client.commit(dataset, branch, "x", {}) for branch in ("ours", "by-hand", "forged")]
    assert client.list_objects(dataset, commits[1], "images/")[0].sha256 is None
    assert client.list_objects(dataset, commits[2], "images/")[0].sha256 is None, "metadata that is no SHA-256 does not count"
    assert len({client.content_digest(dataset, commit) for commit in commits}) == 1


def upload_by_hand(settings: Settings, dataset: str, branch: str, path: str, data: bytes, sha256: str = "") -> None:
    """Upload as a person does with another tool: no SHA-256 in the metadata, or whatever they write there."""
    response = requests.post(
        f"{settings.lakefs_endpoint}/api/v1/repositories/{dataset}/branches/{branch}/objects",
        params={"path": path},
        data=data,
        headers={"Content-Type": "application/octet-stream"} | ({"X-Lakefs-Meta-Sha256": sha256} if sha256 else {}),
        auth=(settings.lakefs_access_key_id, settings.lakefs_secret_access_key.get_secret_value()),
        timeout=30,
    )
    assert response.ok, response.text
