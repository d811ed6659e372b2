"""A version on this machine: verified once, named by checksum, fetched once."""

import hashlib
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from lakegate.errors import BadInput, ChecksumMismatch, LakeError, Unattested
from lakegate.lake.client import LakeClient
from lakegate.lake.local import cache_path, open_version, seed, seed_samples
from lakegate.lake.versions import pin
from lakegate.settings import Settings
from tests.lake.proxy import Proxy
from tests.lake.story import DECLARATION, a_sample, attest, publish_version
from tests.lake.test_content import upload_by_hand

pytestmark = pytest.mark.services
Colour = Callable[[str, tuple[int, int, int]], Path]


def test_a_version_is_opened_with_its_samples_images_and_declaration(
    client: LakeClient, fresh: Settings, dataset: str, colour: Colour
):
    samples = [a_sample(name, colour(name, (n, 0, 0))) for n, name in enumerate(("b", "a"))]
    version = publish_version(client, fresh, dataset, "v1", samples)
    steps: list[tuple[int, int]] = []
    opened = open_version(client, fresh, version, progress=lambda done, total: steps.append((done, total)))
    assert [sample.id for sample in opened.samples] == ["a", "b"]
    assert opened.samples[1].to_json() == samples[0].sample.to_json()
    assert opened.images["b"].path.read_bytes() == samples[0].image.read_bytes()
    assert hashlib.sha256(samples[0].image.read_bytes()).hexdigest() == opened.images["b"].sha256
    assert opened.declaration.labels == ("RBC", "WBC", "Platelets")
    assert steps[-1] == (5, 5)


def test_the_second_time_nothing_is_fetched(
    client: LakeClient, proxied: LakeClient, proxy: Proxy, fresh: Settings, dataset: str, colour: Colour
):
    version = publish_version(client, fresh, dataset, "v1", [a_sample("a", colour("a", (1, 2, 3)))])
    open_version(proxied, fresh, version)
    assert {path for path in proxy.reads if not path.startswith("attestations/")} == {
        "images/a.png",
        "annotations/a.json",
        "dataset.toml",
    }
    proxy.reads.clear()
    open_version(proxied, fresh, version)
    assert all(path.startswith("attestations/") for path in proxy.reads)


def test_a_publisher_does_not_download_what_it_seeded(
    client: LakeClient, proxied: LakeClient, proxy: Proxy, fresh: Settings, dataset: str, colour: Colour
):
    samples = [a_sample("a", colour("a", (1, 2, 4)))]
    version = publish_version(client, fresh, dataset, "v1", samples)
    seed_samples(fresh, samples)
    open_version(proxied, fresh, version)
    assert {path for path in proxy.reads if not path.startswith("attestations/")} == {"dataset.toml"}


def test_a_file_that_is_not_what_it_claims_is_not_seeded(fresh: Settings, colour: Colour):
    with pytest.raises(ChecksumMismatch):
        seed(fresh, colour("a", (1, 1, 1)), "0" * 64)
    assert not cache_path(fresh, "0" * 64).exists()


def test_bytes_that_are_not_those_that_were_attested_are_refused(client: LakeClient, fresh: Settings, dataset: str):
    """Anybody with the key may write metadata: a claimed SHA-256 gets past the digest, and not past the first read."""
    client.ensure_repository(dataset)
    client.create_branch(dataset, "evil", "main")
    good, evil = b"the image that was looked at", b"another image"
    client.upload_many(dataset, "evil", {"dataset.toml": DECLARATION.encode(), "annotations/a.json": b"{}"})
    upload_by_hand(fresh, dataset, "evil", "images/a.png", evil, sha256=hashlib.sha256(good).hexdigest())
    commit = client.commit(dataset, "evil", "evil", {})
    attest(client, fresh, dataset, commit)
    with pytest.raises(ChecksumMismatch, match=r"images/a\.png: expected SHA-256"):
        open_version(client, fresh, pin(client, f"{dataset}@evil"))
    assert not cache_path(fresh, hashlib.sha256(good).hexdigest()).exists()


def test_a_truncated_file_in_the_cache_is_fetched_again(client: LakeClient, fresh: Settings, dataset: str, colour: Colour):
    version = publish_version(client, fresh, dataset, "v1", [a_sample("a", colour("a", (5, 5, 5)))])
    path = open_version(client, fresh, version).images["a"].path
    whole = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(whole[:10])
    assert open_version(client, fresh, version).images["a"].path.read_bytes() == whole


def test_an_unattested_version_opens_only_for_its_publisher(client: LakeClient, fresh: Settings, dataset: str):
    client.ensure_repository(dataset)
    client.create_branch(dataset, "work", "main")
    client.upload(dataset, "work", "dataset.toml", DECLARATION.encode())
    client.commit(dataset, "work", "work", {})
    version = pin(client, f"{dataset}@work")
    with pytest.raises(Unattested):
        open_version(client, fresh, version)
    assert open_version(client, fresh, version, attested=False).samples == ()


def test_images_and_annotations_that_do_not_pair_are_named(client: LakeClient, fresh: Settings, dataset: str):
    client.ensure_repository(dataset)
    for branch, files, words in (
        ("no-labels", {"images/a.png": b"x"}, "1 samples have no annotation file: a"),
        ("no-image", {"annotations/a.json": b"{}"}, "1 samples have no image: a"),
        ("twins", {"images/a.png": b"x", "images/a.jpg": b"x"}, "are one sample"),
        ("no-declaration", {}, r"has no dataset\.toml"),
    ):
        client.create_branch(dataset, branch, "main")
        client.upload_many(dataset, branch, files if branch == "no-declaration" else {**files, "dataset.toml": b""})
        client.commit(dataset, branch, branch, {})
        with pytest.raises((LakeError, BadInput), match=words):
            open_version(client, fresh, pin(client, f"{dataset}@{branch}"), attested=False)


def test_a_sweep_of_another_process_takes_nothing_of_a_version_that_is_being_opened(
    client: LakeClient, fresh: Settings, dataset: str, colour: Colour, monkeypatch: pytest.MonkeyPatch
):
    samples = [a_sample(name, colour(name, (9, n, 0))) for n, name in enumerate("ab")]
    version = publish_version(client, fresh, dataset, "v1", samples)
    seed_samples(fresh, samples)  # all but dataset.toml is here, and used longest ago
    small = fresh.model_copy(update={"cache_gib": 1e-9})
    fill = (
        "import sys; from pathlib import Path; from lakegate.lake.cache import ObjectCache\n"
        "cache = ObjectCache(Path(sys.argv[1]), 1e-9)\n"
        "cache.store(b'other', sys.argv[2], 'a test'); cache.used([], [sys.argv[2]])"
    )
    read, one_at_a_time = client.read, threading.Lock()

    def read_meanwhile(repository: str, ref: str, path: str) -> bytes:
        other = hashlib.sha256(b"other").hexdigest()
        with one_at_a_time:  # several objects are read at once
            subprocess.run([sys.executable, "-c", fill, str(fresh.cache_dir), other], check=True)
            assert not cache_path(fresh, other).exists(), "the other process swept"
        return read(repository, ref, path)

    monkeypatch.setattr(client, "read", read_meanwhile)
    opened = open_version(client, small, version)
    for item in samples:
        assert opened.images[item.sample.id].path.read_bytes() == item.image.read_bytes()
