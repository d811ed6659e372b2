"""The sample that needs no download: the same bytes every time, and the same story as the real one."""

from pathlib import Path

import pytest

from lakegate.canonical import sha256_file
from lakegate.catalog import load_dataset, load_model
from lakegate.demo_sample import LABELS, SCENE_PX, make_digits_export, unfinished_scenes
from lakegate.formats.importing import ImportResult, import_export
from lakegate.settings import Settings

CHECKOUT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("digits")
    return {
        "v1": make_digits_export(folder / "v1", "v1"),
        "v2": make_digits_export(folder / "v2", "v2"),
        "v1 again": make_digits_export(folder / "again", "v1"),
    }


@pytest.fixture(scope="module")
def imported(exports: dict[str, Path]) -> dict[str, ImportResult]:
    declaration = load_dataset(Settings(checkout=CHECKOUT), "digits")
    return {version: import_export(folder, None, declaration) for version, folder in exports.items()}


def digests(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in folder.rglob("*") if path.is_file()}


def test_the_same_version_is_the_same_bytes(exports):
    assert digests(exports["v1"]) == digests(exports["v1 again"])


def test_the_second_version_adds_80_scenes_and_keeps_the_images_of_the_first(exports):
    first, second = digests(exports["v1"]), digests(exports["v2"])
    images = [name for name in first if name.startswith("JPEGImages/")]
    assert (len(images), len(second)) == (160, 480)
    assert all(first[name] == second[name] for name in images)


def test_24_scenes_are_relabelled_and_only_gain_objects(imported):
    old = {item.sample.id: item.sample for item in imported["v1"].samples}
    new = {item.sample.id: item.sample for item in imported["v2"].samples}
    relabelled = {key for key in old if old[key].annotations != new[key].annotations}
    assert relabelled == {f"scene_{number:04d}" for number in unfinished_scenes()}
    assert len(relabelled) == 24
    for key in relabelled:
        assert {item.label for item in old[key].annotations} == {LABELS[0]}
        assert len(old[key].annotations) < len(new[key].annotations)
        assert all(one in new[key].annotations for one in old[key].annotations)


def test_each_scene_has_3_to_8_tags_inside_of_it_and_two_scenes_have_a_box_without_area(imported):
    flat = []
    for item in imported["v2"].samples:
        boxes = [one.box_xyxy_px for one in item.sample.annotations]
        solid = [box for box in boxes if box[2] > box[0]]
        flat += [item.sample.id] * (len(boxes) - len(solid))
        assert 3 <= len(solid) <= 8
        assert all(32 <= x2 - x1 <= 72 for x1, _, x2, _ in solid)
        assert all(x1 >= 0 and y1 >= 0 and x2 <= SCENE_PX[0] and y2 <= SCENE_PX[1] for x1, y1, x2, y2 in solid)
    assert flat == ["scene_0017", "scene_0093"]


def test_the_export_comes_in_without_a_problem_and_fills_both_splits(imported):
    for version, n_samples in {"v1": 160, "v2": 240}.items():
        assert imported[version].problems == []
        assert len(imported[version].samples) == n_samples
        assert sum(item.sample.split == "test" for item in imported[version].samples) >= 0.15 * n_samples


def test_dataset_and_model_of_the_sample_fit_together():
    model = load_model(Settings(checkout=CHECKOUT), "digits")
    assert model.data.train == ("digits",)
    assert load_dataset(Settings(checkout=CHECKOUT), "digits").labels == tuple(LABELS.values())
