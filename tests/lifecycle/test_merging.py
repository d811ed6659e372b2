"""Two branches of a dataset on the real lakeFS: what both changed is merged object by object, or listed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from lakegate.errors import BadInput, PublishConflict, UnknownName, ValidationFailed
from lakegate.lake.local import open_version
from lakegate.lake.versions import pin
from lakegate.lifecycle.merging import DatasetMerge, MergeRequest
from lakegate.samples import Sample
from tests.lifecycle.conftest import Workshop
from tests.lifecycle.test_ref_publication import REPOSITORY, a_picture, added_sample, edit, name_in, publish_ref
from tests.squares import write_squares

pytestmark = pytest.mark.services
Change = Callable[[dict], object]


@pytest.fixture
def published(workshop: Workshop) -> Workshop:
    """A workshop whose dataset has the version v1 of 12 samples with 2 objects each."""
    workshop.publish(write_squares(workshop.folder / "export", range(12)), "v1")
    workshop.lines.clear()
    return workshop


def relabel(workshop: Workshop, branch: str, name: str, change: Change, ref: str = "v1") -> str:
    """Change one annotation file on a branch by hand."""
    path = f"annotations/{name}.json"
    content = json.loads(workshop.client.read(workshop.dataset, ref, path))
    change(content)
    return edit(workshop, branch, {path: json.dumps(content).encode()}, source="v1")


def turn_dark(number: int) -> Change:
    return lambda content: content["annotations"][number].update(label="dark")


def shift(number: int, by_px: float) -> Change:
    def act(content: dict) -> None:
        content["annotations"][number]["bbox"][0] += by_px

    return act


def merge(workshop: Workshop, source: str, into: str = "main", *resolve: str) -> DatasetMerge:
    request = MergeRequest.from_words(workshop.settings, workshop.dataset, source, into, resolve)
    merging = DatasetMerge(workshop.client, workshop.settings, request, workshop.lines.append)
    merging.plan()
    merging.write()
    merging.check()
    merging.finish()
    return merging


def sample_at(workshop: Workshop, ref: str, name: str) -> Sample:
    return Sample.from_json(name, workshop.client.read(workshop.dataset, ref, f"annotations/{name}.json"))


def test_edits_of_different_objects_of_one_sample_merge_and_become_a_version(published: Workshop) -> None:
    relabel(published, "shift-a", "square-3", turn_dark(0))
    relabel(published, "shift-b", "square-3", shift(1, 1.0))
    edit(published, "shift-b", added_sample("extra", a_picture(1)))
    publish_ref(published, "shift-a", "v2")
    with pytest.raises(PublishConflict, match=r"square-3; bring both changes together with `lakegate data merge"):
        publish_ref(published, "shift-b", "v3")

    merging = merge(published, "shift-b")
    publish_ref(published, merging.branch, "v3")

    before, after = sample_at(published, "v1", "square-3"), sample_at(published, "v3", "square-3")
    boxes = [[item.bbox_xywh_px for item in sample.annotations] for sample in (before, after)]
    assert {item.label for item in after.annotations} == {"dark"}
    assert boxes[1][0] == boxes[0][0] or boxes[1][1] == boxes[0][0], "shift-a left the box of the first object"
    assert sorted(box[0] for box in boxes[1] if box) == sorted(
        box[0] + shift_px for box, shift_px in zip(boxes[0], (0.0, 1.0), strict=True) if box
    )
    local = open_version(published.client, published.settings, pin(published.client, f"{published.dataset}@v3"))
    assert "extra" in local.images
    history = [commit.message for commit in published.client.log(published.dataset, "v3", first_parent=False)]
    assert {"edit shift-a", "edit shift-b", "Merge shift-b into main"} <= set(history)
    assert "1 sample changed on both, merged object by object: square-3" in published.lines


def test_different_edits_of_one_object_are_listed_with_both_sides_and_nothing_is_merged(published: Workshop) -> None:
    relabel(published, "shift-a", "square-3", turn_dark(0))
    relabel(published, "shift-b", "square-3", shift(0, 2.0))
    relabel(published, "shift-b", "square-4", turn_dark(0))
    publish_ref(published, "shift-a", "v2")
    branches = published.client.branches(published.dataset)
    with pytest.raises(PublishConflict) as refusal:
        merge(published, "shift-b")
    first = sample_at(published, "v1", "square-3").annotations[0]
    x, y, *_ = first.bbox_xywh_px or (0, 0)
    assert f"square-3: object {first.id}: was 'bright' at x {x:g}, y {y:g}" in str(refusal.value)
    assert f"ours: 'dark' at x {x:g}" in str(refusal.value) and f"theirs: 'bright' at x {x + 2:g}" in str(refusal.value)
    assert "--resolve SAMPLE=ours" in str(refusal.value)
    assert published.client.branches(published.dataset) == branches

    for side, label, at in (("ours", "dark", x), ("theirs", "bright", x + 2)):
        merging = merge(published, "shift-b", "main", f"square-3={side}")
        found = next(item for item in sample_at(published, merging.branch, "square-3").annotations if item.id == first.id)
        assert (found.label, (found.bbox_xywh_px or (0,))[0]) == (label, at)
        assert {item.label for item in sample_at(published, merging.branch, "square-4").annotations} == {"dark"}


def test_a_sample_that_one_side_removed_and_the_other_edited_needs_a_word(published: Workshop) -> None:
    gone = ("annotations/square-3.json", "images/square-3.jpg")
    edit(published, "shift-a", {}, delete=gone, source="v1")
    relabel(published, "shift-b", "square-3", turn_dark(0))
    for source, into, removing in (("shift-b", "shift-a", "ours"), ("shift-a", "shift-b", "theirs")):
        with pytest.raises(PublishConflict, match=rf"square-3: sample: was SHA-256 \w+; .*{removing}: removed"):
            merge(published, source, into)
        keeping = "theirs" if removing == "ours" else "ours"
        for side, is_there in ((removing, False), (keeping, True)):
            request = MergeRequest.from_words(published.settings, published.dataset, source, into, [f"square-3={side}"])
            merging = DatasetMerge(published.client, published.settings, request, published.lines.append)
            merging.plan()
            merging.write()
            at = published.client.manifest(published.dataset, merging.commit).by_path
            assert [path in at for path in gone] == [is_there, is_there], (source, side)
            merging.check()


def test_two_images_for_one_sample_and_two_declarations(published: Workshop) -> None:
    for branch, seed in (("shift-a", 1), ("shift-b", 2)):
        toml = f"# {branch}\n".encode() + published.client.read(published.dataset, "v1", "dataset.toml")
        edit(published, branch, {"images/square-3.jpg": a_picture(seed, "JPEG"), "dataset.toml": toml}, source="v1")
    with pytest.raises(PublishConflict, match=r"square-3: image images/square-3\.jpg"):
        merge(published, "shift-b", "shift-a")
    merge(published, "shift-b", "shift-a", "theirs")
    assert published.client.read(published.dataset, "shift-a", "images/square-3.jpg") == a_picture(2, "JPEG")
    declared = (published.checkout / "datasets" / published.dataset / "dataset.toml").read_bytes()
    assert published.client.read(published.dataset, "shift-a", "dataset.toml") == declared


def test_a_merge_that_is_run_again_changes_nothing(published: Workshop) -> None:
    relabel(published, "shift-a", "square-3", turn_dark(0))
    relabel(published, "shift-b", "square-3", shift(1, 1.0))
    first = merge(published, "shift-b", "shift-a")
    head = published.client.head(published.dataset, "shift-a").id
    assert first.commit == head
    with pytest.raises(BadInput, match="there is nothing to merge"):
        merge(published, "shift-b", "shift-a")
    relabel(published, "shift-c", "square-3", turn_dark(1))
    once, again = merge(published, "shift-c"), merge(published, "shift-c")
    assert (once.branch, once.commit) == (again.branch, again.commit)


@pytest.mark.parametrize("failpoint", ["committed", "merged"])
def test_a_merge_that_was_killed_is_finished_by_a_rerun(published: Workshop, failpoint: str) -> None:
    relabel(published, "shift-a", "square-3", turn_dark(0))
    relabel(published, "shift-b", "square-3", shift(1, 1.0))
    words = [str(published.checkout), published.dataset, "shift-b", "shift-a"]
    command = [sys.executable, "-m", "tests.lifecycle.merge_process", *words]
    environment = {**os.environ, "LAKEGATE_FAILPOINT": failpoint}
    killed = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    merging = merge(published, "shift-b", "shift-a")
    assert len(published.client.branches(published.dataset, "merge-")) == 1
    after = sample_at(published, "shift-a", "square-3")
    assert {item.label for item in after.annotations} == {"dark"}
    history = [commit.message for commit in published.client.log(published.dataset, merging.commit, first_parent=False)]
    assert len([message for message in history if message == "Merge shift-b into shift-a"]) == 1


def test_the_merged_result_is_checked(published: Workshop) -> None:
    picture = a_picture(7, "JPEG")
    for branch, split in (("shift-a", "train"), ("shift-b", "test")):
        edit(published, branch, added_sample(name_in(split, branch), picture, ".jpg"), source="v1")
    publish_ref(published, "shift-a", "v2")
    with pytest.raises(ValidationFailed, match=r"shift-a-\d+: the same image.*repair these samples on branch 'merge-shift-b"):
        merge(published, "shift-b")


@pytest.mark.parametrize(
    ("words", "error", "reason"),
    [
        (("shift-a", "main", "square-3"), BadInput, "expected SAMPLE=ours"),
        (("main", "main"), BadInput, "cannot be merged into itself"),
        (("shift-a", "v1"), BadInput, "is no branch"),
        (("shift-z", "main"), UnknownName, "shift-z"),
        (("shift-a", "main", "square-33=ours"), BadInput, "'square-33' is not changed on both sides"),
    ],
)
def test_words_that_cannot_be_meant_are_refused(
    published: Workshop, words: tuple[str, ...], error: type[Exception], reason: str
) -> None:
    relabel(published, "shift-a", "square-3", turn_dark(0))
    with pytest.raises(error, match=reason):
        merge(published, *words)
