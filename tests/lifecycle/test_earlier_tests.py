"""What was in a test split is never learned from later: collected from the versions in lakeFS."""

import shutil
from pathlib import Path

import pytest

from lakegate.errors import ValidationFailed
from lakegate.lake.local import open_version
from lakegate.lake.versions import pin
from lakegate.lifecycle.earlier_tests import collect_earlier_tests, collect_parent
from tests.lifecycle.conftest import Workshop
from tests.squares import write_squares

pytestmark = pytest.mark.services
NUMBERS = range(12)


def redeclare(workshop: Workshop, old: str, new: str) -> None:
    path = workshop.checkout / "datasets" / workshop.dataset / "dataset.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_the_test_images_of_all_earlier_versions_are_collected_once_per_commit_and_need_no_server_image_again(
    workshop: Workshop,
) -> None:
    client, settings = workshop.client, workshop.settings
    assert collect_earlier_tests(client, settings, workshop.dataset).images == ()
    assert collect_parent(client, settings, workshop.dataset) is None
    workshop.publish(write_squares(workshop.folder / "one", NUMBERS), "v1")
    workshop.publish(write_squares(workshop.folder / "two", range(16)), "v2")

    v1, v2 = (open_version(client, settings, pin(client, f"{workshop.dataset}@{tag}")) for tag in ("v1", "v2"))
    found = collect_earlier_tests(client, settings, workshop.dataset)
    assert found.versions == ("v2", "v1")
    assert {image.sample_id for image in found.images} == {sample.id for sample in v2.samples_in(split="test")}
    assert {(image.sha256, len(image.phash)) for image in found.images} == {
        (v2.images[sample.id].sha256, 16) for sample in v2.samples_in(split="test")
    }
    assert collect_earlier_tests(client, settings, workshop.dataset, before="v2").versions == ("v1",)

    parent = collect_parent(client, settings, workshop.dataset, before="v2")
    assert parent is not None and parent.version == "v1" and len(parent.metrics) == len(v1.samples)
    assert parent.objects_per_label == {"bright": len(NUMBERS), "dark": len(NUMBERS)}

    shutil.rmtree(settings.cache_dir)
    assert collect_earlier_tests(client, settings, workshop.dataset) == found, "everything is found again without the cache"


def test_a_version_that_learns_from_an_earlier_test_image_is_refused_and_names_it(workshop: Workshop) -> None:
    source = write_squares(workshop.folder / "one", NUMBERS)
    workshop.publish(source, "v1")
    (v1,) = [open_version(workshop.client, workshop.settings, pin(workshop.client, f"{workshop.dataset}@v1"))]
    tested = {sample.id for sample in v1.samples_in(split="test")}
    redeclare(workshop, "test = 0.3", "test = 0.01\nval = 0.29")
    with pytest.raises(ValidationFailed, match=r"moved from test to (train|val) since v1") as raised:
        workshop.publish(write_squares(workshop.folder / "two", range(200, 260)).parent / "one", "v2")
    assert all(name in str(raised.value) for name in tested)


def test_publishing_the_same_version_again_does_not_hold_its_own_test_images_against_it(workshop: Workshop) -> None:
    source = write_squares(workshop.folder / "one", NUMBERS)
    workshop.publish(source, "v1")
    workshop.publish(source, "v1")
    assert any("all 15 rules" in line or "pass all" in line for line in workshop.lines)


def test_a_picture_that_looks_like_an_earlier_test_image_is_refused_under_any_name(workshop: Workshop) -> None:
    source = write_squares(workshop.folder / "one", NUMBERS)
    workshop.publish(source, "v1")
    local = open_version(workshop.client, workshop.settings, pin(workshop.client, f"{workshop.dataset}@v1"))
    tested = local.samples_in(split="test")[0]
    taken_out = copy_under_train_name(workshop.folder, source, tested.id)
    with pytest.raises(ValidationFailed, match=rf"looks like sample '{tested.id}' in the test split of v1"):
        workshop.publish(taken_out, "v2")


def copy_under_train_name(folder: Path, source: Path, tested: str) -> Path:
    """Return the export without a test sample, whose picture comes back in other bytes under a name of the train split."""
    from PIL import Image

    from lakegate.samples import draw_split

    target = folder / "two"
    shutil.copytree(source, target)
    name = next(f"square-{number}" for number in range(500, 999) if draw_split(f"square-{number}", 0.3) == "train")
    (image,) = (path for path in target.rglob(f"{tested}.*") if path.suffix != ".xml")
    (labels,) = target.rglob(f"{tested}.xml")
    with Image.open(image) as picture:
        picture.convert("RGB").save(image.with_name(f"{name}.png"))
    labels.with_name(f"{name}.xml").write_text(labels.read_text().replace(image.name, f"{name}.png").replace(tested, name))
    image.unlink()
    labels.unlink()
    return target
