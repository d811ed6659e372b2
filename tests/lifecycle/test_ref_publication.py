"""What people merged or edited in lakeFS becomes a version when it is audited, and none where it breaks a rule."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lakegate.errors import BadInput, LakeError, ServiceRefused, Unattested, ValidationFailed, VersionExists, VersionNotFound
from lakegate.lake.local import open_version
from lakegate.lake.versions import list_versions, pin
from lakegate.lifecycle.ref_publication import RefPublication
from lakegate.samples import Annotation, Sample, draw_split
from tests.lifecycle.conftest import Workshop
from tests.lifecycle.ref_process import open_ref
from tests.squares import SIDE_PX, write_squares

pytestmark = pytest.mark.services
NUMBERS = range(12)
REPOSITORY = Path(__file__).resolve().parents[2]
LATER = {"audit": "later"}


@pytest.fixture
def published(workshop: Workshop) -> Workshop:
    """A workshop whose dataset has the version v1."""
    workshop.publish(write_squares(workshop.folder / "export", NUMBERS), "v1")
    workshop.lines.clear()
    return workshop


def publish_ref(workshop: Workshop, ref: str, version: str) -> RefPublication:
    publication = open_ref(workshop.settings, workshop.dataset, ref, version, workshop.lines.append)
    for step in ("read_export", "screen", "write", "audit", "attest", "merge", "tag"):
        getattr(publication, step)()
    return publication


def edit(
    workshop: Workshop, branch: str, files: Mapping[str, bytes], delete: tuple[str, ...] = (), source: str = "main"
) -> str:
    """Commit files on a branch as a person does in the lakeFS UI, and return the commit."""
    workshop.client.create_branch(workshop.dataset, branch, source, exist_ok=True)
    workshop.client.upload_many(workshop.dataset, branch, files)
    workshop.client.delete_many(workshop.dataset, branch, list(delete))
    return workshop.client.commit(workshop.dataset, branch, f"edit {branch}", {})


def label_file(workshop: Workshop, name: str, ref: str = "v1") -> dict:
    return json.loads(workshop.client.read(workshop.dataset, ref, f"annotations/{name}.json"))


def added_sample(name: str, image: bytes, suffix: str = ".png") -> dict[str, bytes]:
    """Return both files of a sample as an importer would make them, the split drawn by the name."""
    sample = Sample(name, SIDE_PX, SIDE_PX, (Annotation("bright", (4, 4, 28, 28)),), draw_split(name, 0.3), name)
    return {f"annotations/{name}.json": sample.to_json(), f"images/{name}{suffix}": image}


def a_picture(seed: int, form: str = "PNG", **options: int) -> bytes:
    """Return a picture with structure: smooth blobs, which survive another compression."""
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(coarse).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC).save(file, form, **options)
    return file.getvalue()


def name_in(split: str, stem: str) -> str:
    return next(name for name in (f"{stem}-{number}" for number in range(100)) if draw_split(name, 0.3) == split)


def test_two_branches_merged_in_lakefs_become_a_version(published: Workshop) -> None:
    first = label_file(published, "square-3")
    first["annotations"] = first["annotations"][:1]
    edit(published, "shift-a", {"annotations/square-3.json": json.dumps(first).encode()})
    edit(published, "shift-b", added_sample("extra", a_picture(1)))
    for branch in ("shift-a", "shift-b"):
        published.client.merge(published.dataset, branch, "main", f"merge {branch} by hand", LATER)
    with pytest.raises(Unattested):
        open_version(published.client, published.settings, pin(published.client, f"{published.dataset}@main"))

    publication = publish_ref(published, "main", "v2")

    newest = list_versions(published.client, published.dataset)[0]
    assert (newest.tag, newest.publisher, newest.n_samples) == ("v2", published.settings.user, 13)
    local = open_version(published.client, published.settings, pin(published.client, f"{published.dataset}@v2"))
    counts = {sample.id: len(sample.annotations) for sample in local.samples}
    assert (counts["square-3"], counts["extra"]) == (1, 1)
    assert published.client.head(published.dataset, "main").id == newest.commit
    assert "13 samples pass all" in publication.summary_markdown()
    assert any("1 annotation file not in canonical form" in line and "square-3" in line for line in published.lines)
    assert "edit shift-a" in [commit.message for commit in published.client.log(published.dataset, "v2", first_parent=False)]


def test_a_merge_in_lakefs_that_says_nothing_is_refused_with_the_way_out(published: Workshop) -> None:
    edit(published, "shift-a", added_sample("extra", a_picture(1)))
    with pytest.raises(ServiceRefused, match=r"--ref BRANCH.*audit = later"):
        published.client.merge(published.dataset, "shift-a", "main", "by hand", {})


def test_a_branch_becomes_a_version_once_however_often_it_is_published(published: Workshop) -> None:
    edit(published, "shift-a", added_sample("extra", a_picture(1)))
    publish_ref(published, "shift-a", "v2")
    first = pin(published.client, f"{published.dataset}@v2")
    for ref in ("shift-a", "main", "v2"):
        publish_ref(published, ref, "v2")
        assert pin(published.client, f"{published.dataset}@v2") == first
    assert [item.tag for item in list_versions(published.client, published.dataset)] == ["v2", "v1"]
    with pytest.raises(BadInput, match="is in main already"):
        edit(published, "shift-b", added_sample("more", a_picture(2)))
        publish_ref(published, "shift-b", "v3")
        publish_ref(published, "shift-a", "v4")
    with pytest.raises(VersionExists, match="choose another version name"):
        publish_ref(published, "main", "v1")


@pytest.mark.parametrize(
    ("ref", "failpoint"), [("shift-a", "uploading"), ("main", "committed"), ("shift-a", "attested"), ("main", "merged")]
)
def test_killed_anywhere_a_rerun_makes_one_version(published: Workshop, ref: str, failpoint: str) -> None:
    edit(published, "shift-a", added_sample("extra", a_picture(1)))
    if ref == "main":
        published.client.merge(published.dataset, "shift-a", "main", "by hand", LATER)
    command = [sys.executable, "-m", "tests.lifecycle.ref_process", str(published.checkout), published.dataset, ref, "v2"]
    environment = {**os.environ, "LAKEGATE_FAILPOINT": failpoint}
    killed = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert "v2" not in published.client.tags(published.dataset)

    publish_ref(published, ref, "v2")

    newest = list_versions(published.client, published.dataset)[0]
    assert (newest.tag, newest.n_samples) == ("v2", 13)
    messages = [commit.message for commit in published.client.log(published.dataset, "main")]
    assert messages.count(newest.message) == 1
    assert len(published.client.branches(published.dataset, "version-v2-")) == 1


def test_what_people_left_half_done_is_named_file_by_file(published: Workshop) -> None:
    odd = label_file(published, "square-5")
    odd["annotations"][0]["label"] = "brigth"
    files = {
        "annotations/square-1.json": b'{"width": 96, ',
        "annotations/square-2.json": b"[" * 100_000,
        "annotations/square-4.json": json.dumps({**label_file(published, "square-4"), "group": 4}).encode(),
        "annotations/square-5.json": json.dumps(odd).encode(),
        "annotations/notes.txt": b"ask Ada",
        "annotations/ghost.json": added_sample("ghost", b"")["annotations/ghost.json"],
        "images/unlabelled.png": a_picture(3),
        "images/square-6.png": a_picture(4),
        "README.md": b"hello",
    }
    edit(published, "shift-a", files, delete=("annotations/square-7.json",))
    main = published.client.head(published.dataset, "main").id
    with pytest.raises(ValidationFailed) as refusal:
        publish_ref(published, "shift-a", "v2")
    words = str(refusal.value)
    for name, reason in {
        "square-1.json": "it is not JSON",
        "square-2.json": "nested too deeply",
        "square-4.json": "group is 4, expected text",
        "sample square-5": "did you mean 'bright'",
        "notes.txt": "rename or delete it",
        "sample ghost": "no image file belongs to these labels",
        "unlabelled.png": "the image has no annotations/unlabelled.json",
        "square-6.png": "is the same sample",
        "square-7.jpg": "the image has no annotations/square-7.json",
    }.items():
        assert name in words and reason in words
    assert "repair these samples on 'shift-a'" in words
    assert any("1 file of no sample" in line and "README.md" in line for line in published.lines)
    assert published.client.head(published.dataset, "main").id == main
    assert "v2" not in published.client.tags(published.dataset)


def test_changes_that_nobody_committed_are_named(published: Workshop) -> None:
    edit(published, "shift-a", added_sample("extra", a_picture(1)))
    published.client.upload(published.dataset, "shift-a", "annotations/square-1.json", b"{}")
    with pytest.raises(LakeError, match=r"nobody committed \(1\): annotations/square-1\.json \(changed\); commit or reset"):
        publish_ref(published, "shift-a", "v2")


def test_hooks_and_declaration_that_a_branch_lost_come_from_this_installation(published: Workshop) -> None:
    relaxed = published.client.read(published.dataset, "v1", "dataset.toml").replace(b"min_side_px = 32", b"min_side_px = 1")
    hooks = [entry.path for entry in published.client.list_objects(published.dataset, "v1", "_lakefs_actions/")]
    small = {**added_sample("tiny", a_picture(1)), "dataset.toml": relaxed}
    edit(published, "shift-a", small, delete=tuple(hooks))
    publish_ref(published, "shift-a", "v2")
    assert len(published.client.list_objects(published.dataset, "v2", "_lakefs_actions/")) == len(hooks) == 3
    assert b"min_side_px = 32" in published.client.read(published.dataset, "v2", "dataset.toml")
    assert any(line.startswith("dataset.toml: the version gets the one of this installation") for line in published.lines)


def test_keys_that_mean_nothing_are_kept_and_said(published: Workshop) -> None:
    noted = json.dumps({**label_file(published, "square-1"), "comment": "blurred"}).encode()
    edit(published, "shift-a", {"annotations/square-1.json": noted})
    publish_ref(published, "shift-a", "v2")
    assert published.client.read(published.dataset, "v2", "annotations/square-1.json") == noted
    assert any("square-1.json (comment)" in line for line in published.lines)


def twins_exact(seed: int) -> tuple[bytes, bytes]:
    return a_picture(seed, "JPEG", quality=95), a_picture(seed, "JPEG", quality=95)


def twins_near(seed: int) -> tuple[bytes, bytes]:
    return a_picture(seed, "JPEG", quality=95), a_picture(seed, "JPEG", quality=80)


@pytest.mark.parametrize("twins", [twins_exact, twins_near])
def test_two_green_branches_that_together_put_twins_on_both_sides_of_the_split_are_refused(
    published: Workshop, twins: Callable[[int], tuple[bytes, bytes]]
) -> None:
    names = [name_in("train", "left"), name_in("test", "right")]
    for branch, name, image in zip(("shift-a", "shift-b"), names, twins(7), strict=True):
        edit(published, branch, added_sample(name, image, ".jpg"))
        alone = open_ref(published.settings, published.dataset, branch, f"only-{branch}", published.lines.append)
        for step in ("read_export", "screen", "write", "audit"):
            getattr(alone, step)()  # green
        published.client.create_branch(published.dataset, "together", "main", exist_ok=True)
        published.client.merge(published.dataset, branch, "together", f"merge {branch}", {})
    main = published.client.head(published.dataset, "main").id
    with pytest.raises(ValidationFailed) as refusal:
        publish_ref(published, "together", "v2")
    assert names[0] in str(refusal.value) and names[1] in str(refusal.value)
    assert published.client.head(published.dataset, "main").id == main and "v2" not in published.client.tags(published.dataset)


def test_two_green_branches_are_refused_also_where_the_first_is_a_version_already(published: Workshop) -> None:
    names = [name_in("train", "left"), name_in("test", "right")]
    for branch, name, image in zip(("shift-a", "shift-b"), names, twins_exact(7), strict=True):
        edit(published, branch, added_sample(name, image, ".jpg"), source="v1")
    publish_ref(published, "shift-b", "v2")
    with pytest.raises(ValidationFailed, match=names[0]):
        publish_ref(published, "shift-a", "v3")
    assert "v3" not in published.client.tags(published.dataset)


def test_a_branch_that_does_not_exist_is_named(published: Workshop) -> None:
    with pytest.raises(VersionNotFound, match="shift-z"):
        publish_ref(published, "shift-z", "v2")


def test_a_branch_is_published_though_main_moved_by_a_version_of_equal_content(published: Workshop) -> None:
    edit(published, "shift-a", added_sample("extra", a_picture(1)))
    published.client.create_branch(published.dataset, "unchanged", "v1")
    publish_ref(published, "unchanged", "v2")

    publish_ref(published, "shift-a", "v3")

    assert [item.tag for item in list_versions(published.client, published.dataset)] == ["v3", "v2", "v1"]
    local = open_version(published.client, published.settings, pin(published.client, f"{published.dataset}@v3"))
    assert "extra" in {sample.id for sample in local.samples}
