"""Publishing is write, audit, publish: each step may be killed and run again, and two may publish at once."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lakegate.errors import BadInput, PublishConflict, Unattested, VersionExists
from lakegate.failpoints import reach
from lakegate.lake import publish
from lakegate.lake.client import LakeClient
from lakegate.lake.local import open_version
from lakegate.lake.publish import NeedsRevalidation, VersionNote
from lakegate.lake.versions import list_versions, newest_attested, pin
from lakegate.samples import ImportedSample
from lakegate.settings import Settings
from tests.lake.proxy import Proxy
from tests.lake.story import DECLARATION, ONE_CELL, a_sample, attest, contents, digest_of, publish_version

pytestmark = pytest.mark.services
Colour = Callable[[str, tuple[int, int, int]], Path]
CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def samples(colour: Colour) -> list[ImportedSample]:
    return [a_sample(f"s{number}", colour(f"s{number}", (number * 20, 90, 30))) for number in range(8)]


def write_and_commit(client: LakeClient, settings: Settings, dataset: str, tag: str, items: Sequence[ImportedSample]) -> tuple:
    """Do the first half of publishing: the branch is committed and attested, main is untouched."""
    note = VersionNote(tag, f"Version {tag}", settings.user, digest_of(items))
    branch = publish.prepare_branch(client, dataset, tag, note.source_digest)
    publish.write_changes(client, dataset, branch, items, DECLARATION)
    attest(client, settings, dataset, publish.commit_branch(client, dataset, branch, note))
    return branch, note


def test_only_what_changed_is_sent_and_what_left_is_deleted(
    proxied: LakeClient, proxy: Proxy, settings: Settings, dataset: str, samples: list[ImportedSample], colour: Colour
):
    publish_version(proxied, settings, dataset, "v1", samples)
    assert sum(count for path, count in proxy.uploads.items() if path.startswith(("images/", "annotations/"))) == 16
    proxy.uploads.clear()
    relabelled = replace(samples[1], sample=replace(samples[1].sample, annotations=()))
    added = a_sample("new", colour("new", (1, 2, 3)))
    reimaged = a_sample("s2", colour("s2", (255, 255, 255)))
    publish_version(proxied, settings, dataset, "v2", [relabelled, reimaged, *samples[3:], added])
    sent = {path: count for path, count in proxy.uploads.items() if not path.startswith(("reports/", "attestations/"))}
    assert sent == {"annotations/s1.json": 1, "images/s2.png": 1, "annotations/new.json": 1, "images/new.png": 1}
    kept = contents(proxied, dataset, "v2")
    assert "images/s0.png" not in kept and "annotations/s0.json" not in kept
    assert "images/s0.png" in contents(proxied, dataset, "v1")


def test_publishing_the_same_again_is_the_same_version_and_sends_nothing(
    proxied: LakeClient, proxy: Proxy, settings: Settings, dataset: str, samples: list[ImportedSample]
):
    first = publish_version(proxied, settings, dataset, "v1", samples)
    later = publish_version(proxied, settings, dataset, "v2", samples[:3])
    before = proxied.branches(dataset)
    proxy.uploads.clear()
    assert publish_version(proxied, settings, dataset, "v1", samples) == first
    assert not proxy.uploads
    assert proxied.branches(dataset) == before
    assert proxied.head(dataset, "main").id == later.commit


def test_equal_content_from_another_export_is_the_same_version(
    client: LakeClient, settings: Settings, dataset: str, samples: list[ImportedSample]
):
    first = publish_version(client, settings, dataset, "v1", samples)
    note = VersionNote("v1", "again", settings.user, "f" * 64)
    branch = publish.prepare_branch(client, dataset, "v1", note.source_digest)
    publish.write_changes(client, dataset, branch, samples, DECLARATION)
    publish.commit_branch(client, dataset, branch, note)
    merged = publish.merge_version(client, settings, dataset, branch, note)
    assert isinstance(merged, str)
    assert publish.tag_version(client, dataset, "v1", merged) == first


def test_a_tag_that_other_content_has_is_refused_before_main_is_touched(
    client: LakeClient, settings: Settings, dataset: str, samples: list[ImportedSample]
):
    publish_version(client, settings, dataset, "v1", samples)
    head = client.head(dataset, "main").id
    with pytest.raises(VersionExists, match="choose another version name"):
        publish_version(client, settings, dataset, "v1", samples[:2])
    assert client.head(dataset, "main").id == head
    with pytest.raises(VersionExists):
        publish.tag_version(client, dataset, "v1", client.head(dataset, "version-v1-" + digest_of(samples[:2])[:12]).id)


def test_nothing_unattested_is_merged(client: LakeClient, settings: Settings, dataset: str, samples: list[ImportedSample]):
    branch, note = write_and_commit(client, settings, dataset, "v1", samples)
    client.upload(dataset, branch, "images/s0.png", b"changed after the validation")
    client.commit(dataset, branch, "sneak in", {})
    with pytest.raises(Unattested):
        publish.merge_version(client, settings, dataset, branch, note)
    assert contents(client, dataset, "main") == {}


def test_a_branch_without_the_hooks_merges_by_hand_and_is_refused_by_every_consumer(
    client: LakeClient, settings: Settings, dataset: str, samples: list[ImportedSample]
):
    good = publish_version(client, settings, dataset, "v1", samples)
    client.create_branch(dataset, "evil", "main")
    client.delete_many(dataset, "evil", [entry.path for entry in client.list_objects(dataset, "evil", "_lakefs_actions/")])
    client.upload(dataset, "evil", "images/s0.png", b"evil")
    client.commit(dataset, "evil", "evil", {})
    client.create_tag(dataset, "v2", client.merge(dataset, "evil", "main", "evil", {}))
    with pytest.raises(Unattested):
        open_version(client, settings, pin(client, f"{dataset}@v2"))
    assert newest_attested(client, settings, dataset) == good
    client.ensure_repository(dataset)
    assert len(client.list_objects(dataset, "main", "_lakefs_actions/")) == 3, "the next publisher puts the hooks back"
    repaired = publish_version(client, settings, dataset, "v3", samples)
    assert repaired.content_digest == good.content_digest, "a bad version is repaired by a new one"


def test_a_publisher_who_finds_main_moved_validates_the_union_again(
    client: LakeClient, settings: Settings, dataset: str, samples: list[ImportedSample]
):
    publish_version(client, settings, dataset, "v1", samples[:2])
    ours, ours_note = write_and_commit(client, settings, dataset, "v2", samples[:4])
    theirs = publish_version(client, settings, dataset, "v3", [*samples[:2], *samples[6:]])
    moved = publish.merge_version(client, settings, dataset, ours, ours_note)
    assert isinstance(moved, NeedsRevalidation)
    with pytest.raises(Unattested):
        publish.merge_version(client, settings, dataset, ours, ours_note)
    assert client.head(dataset, "main").id == theirs.commit
    again = publish.write_changes(client, dataset, ours, samples[:4], DECLARATION)
    assert (again.uploaded, again.deleted) == (0, 0), "a rerun keeps what the other publisher added"
    attest(client, settings, dataset, moved.commit)
    merged = publish.merge_version(client, settings, dataset, ours, ours_note)
    assert isinstance(merged, str)
    version = publish.tag_version(client, dataset, "v2", merged)
    assert {sample.id for sample in open_version(client, settings, version).samples} == {"s0", "s1", "s2", "s3", "s6", "s7"}
    assert list_versions(client, dataset)[0].n_samples == 6


def test_two_publishers_who_changed_the_same_sample_conflict_by_name(
    client: LakeClient, settings: Settings, dataset: str, samples: list[ImportedSample]
):
    publish_version(client, settings, dataset, "v1", samples)
    first, second = (
        [a_sample("s0", samples[0].image, ((label, (1.0, 1.0, 9.0, 9.0)),)), *samples[1:]] for label in ("WBC", "Platelets")
    )
    branch, note = write_and_commit(client, settings, dataset, "v2", first)
    theirs = publish_version(client, settings, dataset, "v3", second)
    with pytest.raises(PublishConflict, match=r"1 samples or files .*: s0; bring both changes together"):
        publish.merge_version(client, settings, dataset, branch, note)
    assert client.head(dataset, "main").id == theirs.commit
    assert "v2" not in client.tags(dataset)


def test_two_images_of_one_sample_are_refused(client: LakeClient, dataset: str, colour: Colour):
    twins = [a_sample("a", colour("a", (1, 1, 1))), a_sample("a", colour("b", (2, 2, 2)))]
    branch = publish.prepare_branch(client, dataset, "v1", "0" * 64)
    with pytest.raises(BadInput, match="two images are the sample 'a'"):
        publish.write_changes(client, dataset, branch, twins, DECLARATION)


def publisher(dataset: str, tag: str, folder: Path, failpoint: str = "") -> subprocess.Popen[str]:
    environment = {**os.environ, "LAKEGATE_FAILPOINT": failpoint}
    command = [sys.executable, "-m", "tests.lake.publisher_process", dataset, tag, str(folder)]
    return subprocess.Popen(
        command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("failpoint", ["uploading", "committed", "attested", "merged", "tagged"])
def test_a_publisher_killed_anywhere_leaves_nothing_half_and_a_rerun_makes_one_version(
    client: LakeClient, settings: Settings, dataset: str, samples: list[ImportedSample], failpoint: str
):
    folder = samples[0].image.parent
    killed = publisher(dataset, "v1", folder, failpoint)
    _, words = killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL, words
    whole = {path for item in samples for path in (item.image_object, item.annotation_object)} | {"dataset.toml"}
    on_main = set(contents(client, dataset, "main"))
    assert on_main == (whole if failpoint in ("merged", "tagged") else set()), "main is either untouched or whole"
    assert set(client.tags(dataset)) == ({"v1"} if failpoint == "tagged" else set())
    again = publish_version(LakeClient(settings), settings, dataset, "v1", samples)
    assert client.tags(dataset) == {"v1": again.commit}
    assert set(contents(client, dataset, "v1")) == whole
    assert len(client.branches(dataset, "version-")) == 1
    assert [entry.message for entry in client.log(dataset, "main")].count("Version v1") == 1
    opened = open_version(client, settings, pin(client, f"{dataset}@v1"))
    assert [sample.to_json() for sample in opened.samples] == [item.sample.to_json() for item in samples]


def test_two_processes_that_publish_one_dataset_at_once_are_both_right(
    client: LakeClient, settings: Settings, dataset: str, colour: Colour, tmp_path: Path
):
    folders = []
    for tag in ("v1", "v2"):
        folder = tmp_path / tag
        folder.mkdir()
        for number in range(20):
            colour(f"{tag}-{number}", (number, 0, 0)).rename(folder / f"{tag}-{number}.png")
        folders.append(folder)
    running = [publisher(dataset, folder.name, folder) for folder in folders]
    for process in running:
        _, words = process.communicate(timeout=120)
        assert process.returncode == 0, words
    versions = {row.tag: open_version(client, settings, pin(client, row.reference)) for row in list_versions(client, dataset)}
    assert set(versions) == {"v1", "v2"}
    for tag, opened in versions.items():
        assert {f"{tag}-{number}" for number in range(20)} <= {sample.id for sample in opened.samples}
    assert client.content_digest(dataset, "main") in {opened.version.content_digest for opened in versions.values()}


def test_two_processes_that_publish_the_same_version_at_once_make_one(
    client: LakeClient, dataset: str, samples: list[ImportedSample]
):
    running = [publisher(dataset, "v1", samples[0].image.parent) for _ in range(2)]
    commits = set()
    for process in running:
        commit, words = process.communicate(timeout=120)
        assert process.returncode == 0, words
        commits.add(commit)
    assert len(commits) == 1
    assert [entry.message for entry in client.log(dataset, "main")].count("Version v1") == 1


def test_an_unknown_failpoint_is_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LAKEGATE_FAILPOINT", "upload")
    with pytest.raises(BadInput, match="did you mean 'uploading'"):
        reach("committed")


def test_a_name_below_a_folder_keeps_its_folder(client: LakeClient, settings: Settings, dataset: str, colour: Colour):
    item = a_sample("north/ä b+1", colour("plain", (8, 8, 8)), ONE_CELL)
    version = publish_version(client, settings, dataset, "v1", [item])
    assert [sample.id for sample in open_version(client, settings, version).samples] == ["north/ä b+1"]
