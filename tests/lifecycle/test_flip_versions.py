"""Each flip names the version of its dataset that last changed what it is about, on the real lakeFS."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lakegate.declarations import ModelTask
from lakegate.evaluation.comparing import compare
from lakegate.evaluation.gate import judge
from lakegate.evaluation.judged import Flip
from lakegate.evaluation.matrix import Matrix
from lakegate.evaluation.predictions import ModelUnderTest
from lakegate.evaluation.report import render_matrix_html
from lakegate.gate_rules import parse_rule
from lakegate.lake.client import LakeClient
from lakegate.lake.local import open_version
from lakegate.lake.local_version import LocalVersion
from lakegate.lifecycle.blame import blame_sample
from lakegate.lifecycle.flip_versions import last_changes, name_versions
from lakegate.samples import Annotation, ImportedSample
from lakegate.settings import Settings
from tests.evaluation.planted import LABELS, World, found, object_at
from tests.evaluation.planted_tasks import lookup_model
from tests.evaluation.test_matrix_browser import CHROMIUM, opened, with_script
from tests.evaluation.test_planted_tasks import masked, probability_map
from tests.lake.proxy import Proxy
from tests.lake.story import publish_version

pytestmark = pytest.mark.services
NEGATIVE, POSITIVE, NEW_FALSE = {3, 50, 120, 333, 401, 402, 499}, set(range(200, 211)), {7, 8, 121, 480}
REMOVED = 390  # a positive flip, too, on the old labels
RELABELLED = {"v2": {50, 205, 210}, "v3": {333}}  # the object of the flip was a plate before
GREW = {"v2": {120, 121}, "v3": {7, 210, 300}}  # another object was added, which both models find
Objects = Mapping[int, Sequence[Annotation]]
CHOOSE = """
setTimeout(() => {
  const select = document.querySelector('[data-filter="version"]');
  const told = [...select.options].map(option => option.text).slice(1).map(words => {
    select.value = [...select.options].find(option => option.text === words).value;
    select.dispatchEvent(new Event("input"));
    return `${words}: ${document.querySelector(".said").textContent}`;
  });
  document.title = told.join(" | ");
}, 300);
"""


def published(
    client: LakeClient, settings: Settings, world: World, dataset: str, versions: Mapping[str, Objects], task: str = "detection"
) -> dict[str, LocalVersion]:
    """Publish these versions one after the other, and open them as a comparison does."""
    declaration = f'task = "{task}"\nlabels = ["cell", "plate"]\n'
    found = {}
    for tag, objects in versions.items():
        planted = world.version(objects)
        samples = [ImportedSample(sample, planted.images[sample.id].path) for sample in planted.samples]
        found[tag] = open_version(client, settings, publish_version(client, settings, dataset, tag, samples, declaration))
    return found


def objects_of(tag: str) -> Objects:
    """v1 has 400 samples, v2 and v3 change labels, v3 adds 100 and lacks one."""
    order = ("v1", "v2", "v3")
    later = order[order.index(tag) + 1 :]
    planted: dict[int, Sequence[Annotation]] = {}
    for number in range(500 if tag == "v3" else 400):
        was_plate = any(number in RELABELLED.get(other, ()) for other in later)
        grew = any(number in numbers for other, numbers in GREW.items() if other not in later)
        first = object_at(number % 9, "plate" if was_plate else "cell")
        planted[number] = [first, object_at((number + 2) % 9)] if grew else [first]
    if tag == "v3":
        del planted[REMOVED]
    return planted


@dataclass
class Story:
    client: LakeClient
    settings: Settings
    versions: dict[str, LocalVersion]
    further: dict[str, LocalVersion]
    matrix: Matrix

    def kind(self, kind: str) -> dict[int, str]:
        """The versions of the flips of one kind on the judged dataset, by the number of the sample."""
        dataset = self.versions["v3"].version.dataset
        flips = [flip for flip in self.matrix.flips if (flip.kind, flip.dataset) == (kind, dataset)]
        assert len({flip.sample_id for flip in flips}) == len(flips)
        return {int(flip.sample_id[1:]): flip.version for flip in flips}


@pytest.fixture(scope="module")
def story(lakefs_stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The baseline was released on v2, the candidate is judged on v3 and on a further dataset of two versions."""
    settings, world = lakefs_stack, World(tmp_path_factory.mktemp("flips"), [])
    client = LakeClient(settings)
    dataset, other = f"planted-{secrets.token_hex(4)}", f"open-{secrets.token_hex(4)}"
    versions = published(client, settings, world, dataset, {tag: objects_of(tag) for tag in ("v1", "v2", "v3")})
    fields = {"spring": {3: [object_at(3)]}, "summer": {3: [object_at(3)], 50: [object_at(50 % 9)]}}
    further = published(client, settings, world, other, fields)
    grown = set.union(*GREW.values())
    answers, old_answers = {}, {}
    for number in range(500):
        extra = [found((number + 2) % 9)] if number in grown else []
        answers[number] = extra if number in NEGATIVE else [found(number % 9), *extra]
        answers[number] = [*answers[number], found((number + 1) % 9)] if number in NEW_FALSE else answers[number]
        old_answers[number] = [found(number % 9, 0.2 if number in {*POSITIVE, REMOVED} else 0.9), *extra]
    candidate, baseline = world.model("new", answers), world.model("old", old_answers)
    matrix = compare(
        candidate, baseline, versions["v3"], versions["v2"], world.settings, {other: further["summer"]}, n_latency_images=0
    )
    judged = [further["summer"], versions["v3"]]
    return Story(client, settings, versions, further, name_versions(client, settings, matrix, judged, versions["v2"]))


def test_planted_flips_among_500_images_have_the_right_cell_and_version(story: Story) -> None:
    """7 negative and 11 positive flips, 4 new false objects, in three versions of a dataset."""
    assert story.kind("negative") == {3: "v1", 50: "v2", 120: "v1", 333: "v3", 401: "v3", 402: "v3", 499: "v3"}
    assert story.kind("positive") == dict.fromkeys(POSITIVE, "v1") | {205: "v2", 210: "v2"}
    assert story.kind("new_false") == {7: "v3", 8: "v1", 121: "v2", 480: "v3"}
    for flip in story.matrix.flips:
        if flip.dataset == story.versions["v3"].version.dataset:
            number = int(flip.sample_id[1:])
            is_new = number >= 400 or number in (333, 7, 210)
            assert flip.cells == ("all", "diff" if is_new else "old_data")


def test_a_superseded_flip_has_a_version_of_its_old_labels_and_a_further_dataset_its_own(story: Story) -> None:
    old = {(flip.kind, flip.sample_id, flip.version, flip.cells) for flip in story.matrix.superseded_flips}
    assert old == {
        ("positive", "s0390", "v1", ("superseded",)),
        ("positive", "s0210", "v2", ("superseded",)),
        ("new_false", "s0007", "v1", ("superseded",)),
    }
    other = story.further["summer"].version.dataset
    assert {(flip.sample_id, flip.version) for flip in story.matrix.flips if flip.dataset == other} == {
        ("s0003", "spring"),
        ("s0050", "summer"),
    }


def test_blame_names_the_same_versions(story: Story) -> None:
    flips = [flip for flip in (*story.matrix.flips, *story.matrix.superseded_flips) if flip.object_index is not None]
    for flip in flips:
        dataset, ref = flip.dataset.split("@")[0], "v2" if "superseded" in flip.cells else ""
        blamed = blame_sample(story.client, story.settings, dataset, flip.sample_id, ref or "main")
        assert flip.object_index is not None and blamed[flip.object_index].version == flip.version
    assert len(flips) == 7 + 11 + 2 + 2


def test_what_it_costs_follows_the_versions_and_what_changed_in_them(story: Story, tmp_path: Path) -> None:
    """With an empty cache: one diff per version for any number of flips, and each earlier label file is read once."""
    home = tmp_path / "fresh"
    home.mkdir()
    for name in ("keys", "secrets"):
        (home / name).symlink_to(story.settings.home / name)
    proxy = Proxy(story.settings.lakefs_endpoint)
    settings = story.settings.model_copy(update={"home": home, "lakefs_endpoint": proxy.endpoint})
    judged, dataset = story.versions["v3"], story.versions["v3"].version.dataset
    flips = [flip for flip in story.matrix.flips if flip.dataset == dataset]

    def n_requests(asked: Sequence[Flip]) -> int:
        before = proxy.n_requests
        last_changes(LakeClient(settings), settings, judged, asked)
        return proxy.n_requests - before

    try:
        alone, together = n_requests([flip for flip in flips if flip.sample_id == "s0003"]), n_requests(flips)
        assert together - alone == sum(proxy.reads.values())
        changed = {7: 1, 50: 1, 120: 1, 121: 1, 205: 1, 210: 2, 333: 1}
        assert dict(proxy.reads) == {f"annotations/s{number:04d}.json": count for number, count in changed.items()}
        assert n_requests([]) == 0
    finally:
        proxy.stop()


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is absent: the page cannot be tried")
def test_the_page_narrows_to_the_flips_that_a_version_last_changed(story: Story, tmp_path: Path) -> None:
    html = render_matrix_html(story.matrix, judge([parse_rule("recall.all.min", 0.5)], story.matrix))
    told = opened(with_script(html, CHOOSE, tmp_path)).split(" | ")
    counted = {words.split(" (")[0]: words.split(": ")[1] for words in told}
    n_images = len({flip.sample_key for flip in (*story.matrix.flips, *story.matrix.superseded_flips)})
    expected = {}
    for version in ("v1", "v2", "v3", "spring", "summer"):
        own = [flip for flip in story.matrix.flips if flip.version == version]
        old = [flip for flip in story.matrix.superseded_flips if flip.version == version]
        images = len({flip.sample_key for flip in (*own, *old)})
        expected[version] = f"{images} image{'s' * (images != 1)} of {n_images}, {len(own)} flip{'s' * (len(own) != 1)}"
        expected[version] += f", and {len(old)} on superseded images" if old else ""
    assert counted == expected and list(counted) == ["spring", "summer", "v1", "v2", "v3"]


def test_a_broken_label_file_in_a_tag_past_the_rules_stops_nothing(settings: Settings, tmp_path: Path) -> None:
    client, world, dataset = LakeClient(settings), World(tmp_path, []), f"broken-{secrets.token_hex(4)}"
    objects = {0: [object_at(0)], 1: [object_at(1)]}
    published(client, settings, world, dataset, {"v1": objects})
    client.create_branch(dataset, "by-hand", "main")
    client.upload(dataset, "by-hand", "annotations/s0001.json", b"no sample")
    client.commit(dataset, "by-hand", "a slip", {})
    client.create_tag(dataset, "slip", client.merge(dataset, "by-hand", "main", "merged by hand", {"audit": "later"}))
    now = published(client, settings, world, dataset, {"v2": objects})["v2"]
    planted = [Flip("negative", dataset, f"s000{number}", "cell", (0, 0, 1, 1), (), None, None, "", 0) for number in objects]
    assert last_changes(client, settings, now, planted) == {("s0000", 0): "v1", ("s0001", 0): "v2"}


def model_of(world: World, task: ModelTask, run_id: str, finds: bool) -> ModelUnderTest:
    """A model that finds the cell on every image, or a plate instead of it."""
    label = 0 if finds else 1
    if task == "detection":
        return world.model(run_id, {number: [found(0, label=label)] for number in range(4)})
    answer = [0.9 - 0.8 * label, 0.1 + 0.8 * label] if task == "classification" else probability_map((0, label))
    return lookup_model(world, run_id, task, {number: answer for number in range(4)}, LABELS)  # type: ignore[misc]


@pytest.mark.parametrize("task", ["detection", "classification", "segmentation"])
def test_every_task_type_names_version_and_author(settings: Settings, tmp_path: Path, task: ModelTask) -> None:
    client, world = LakeClient(settings), World(tmp_path, [])

    def labelled(label: str, author: str) -> Sequence[Annotation]:
        shape = {"classification": Annotation("cell"), "detection": object_at(0), "segmentation": masked(object_at(0))}[task]
        return [replace(shape, label=label, author=author)]

    first = {0: labelled("cell", "ann"), 1: labelled("plate", "ann")}
    relabelled = {0: labelled("cell", "ann"), 1: labelled("cell", "bob")}
    added = {**relabelled, 2: labelled("cell", "cid")}
    tags = {"v1": first, "v2": relabelled, "v3": added}
    now = published(client, settings, world, f"{task}-{secrets.token_hex(4)}", tags, task)["v3"]
    finder, other = model_of(world, task, "finder", finds=True), model_of(world, task, "other", finds=False)
    matrix = compare(other, finder, now, None, world.settings, n_latency_images=0)
    named = name_versions(client, settings, matrix, [now], None)
    negative = [flip for flip in named.flips if flip.kind == "negative"]
    assert [(flip.sample_id, flip.version, flip.author) for flip in negative] == [
        ("s0000", "v1", "ann"),
        ("s0001", "v2", "bob"),
        ("s0002", "v3", "cid"),
    ]


def test_a_new_name_of_a_label_is_no_change_of_what_carries_it(settings: Settings, tmp_path: Path) -> None:
    """v2 renames blob to cell on all images, and moves one object; v3 relabels another, which is a change."""
    client, world, dataset = LakeClient(settings), World(tmp_path, []), f"renamed-{secrets.token_hex(4)}"
    versions = {
        "v1": ({0: [object_at(0, "blob")], 1: [object_at(1, "blob")], 2: [object_at(2, "plate")]}, '["blob", "plate"]', ""),
        "v2": ({0: [object_at(0)], 1: [object_at(5)], 2: [object_at(2, "plate")]}, '["cell", "plate"]', 'blob = "cell"'),
        "v3": ({0: [object_at(0)], 1: [object_at(5)], 2: [object_at(2)]}, '["cell", "plate"]', 'blob = "cell"'),
    }
    opened_versions = {}
    for tag, (objects, labels, rename) in versions.items():
        planted = world.version(objects, labels=("blob", *LABELS))
        samples = [ImportedSample(sample, planted.images[sample.id].path) for sample in planted.samples]
        declaration = f'task = "detection"\nlabels = {labels}\n' + (f"[rename]\n{rename}\n" if rename else "")
        version = publish_version(client, settings, dataset, tag, samples, declaration)
        opened_versions[tag] = open_version(client, settings, version)
    answers = {number: [found(place)] for number, place in enumerate((0, 5, 2))}
    finder = world.model("finder", answers, ("blob", "plate"))
    blind = world.model("blind", {0: [], 1: [], 2: [found(7)]})
    matrix = compare(blind, finder, opened_versions["v3"], opened_versions["v1"], world.settings, n_latency_images=0)
    named = name_versions(client, settings, matrix, [opened_versions["v3"]], opened_versions["v1"])
    assert {(flip.kind, flip.sample_id, flip.version, flip.cells[-1]) for flip in named.flips} == {
        ("negative", "s0000", "v1", "old_data"),
        ("negative", "s0001", "v2", "diff"),
        ("negative", "s0002", "v3", "diff"),
        ("new_false", "s0002", "v3", "diff"),
    }
    blamed = blame_sample(client, settings, dataset, "s0000", "v3")
    assert [(item.version, item.change) for item in blamed] == [("v2", "reclassified")]
