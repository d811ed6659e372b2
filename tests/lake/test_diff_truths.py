"""The diff of real relabelled data is the one that its SOURCE.md states: hard hats under other names, nuclei as masks."""

from pathlib import Path

import numpy as np
import pytest

from lakegate.catalog import parse_dataset
from lakegate.geometry import Keypoint
from lakegate.lake.diff import DatasetDiff, diff_versions, object_changes
from lakegate.lake.local_version import DatasetVersion, LocalImage, LocalVersion
from lakegate.lifecycle.diff_words import describe_diff
from lakegate.masks import box_of_rle, rle_of_mask
from lakegate.samples import Annotation, Sample
from tests.lake.test_diff import read_voc

OLD_NAMES = 'task = "detection"\nlabels = ["helmet", "head", "person"]\n'
NEW_NAMES = 'task = "detection"\nlabels = ["Safety Helmet", "No Safety Helmet"]\n'
RENAME = '[rename]\nhelmet = "Safety Helmet"\nhead = "No Safety Helmet"\n'
TWO_LABELS = 'task = "detection"\nlabels = ["a", "b"]\n'
NUCLEI = 'task = "segmentation"\nlabels = ["nucleus"]\n'


def version_of(samples: list[Sample], declaration: str) -> LocalVersion:
    files = {sample.id: LocalImage(Path(sample.id), "0" * 64) for sample in samples}
    made = parse_dataset("a-dataset", declaration)
    return LocalVersion(DatasetVersion("a-dataset", "v", "c", "d"), made, tuple(sorted(samples, key=lambda s: s.id)), files)


def hard_hats(folder: Path, copy: str, declaration: str) -> LocalVersion:
    names = sorted(path.stem for path in (folder / "v2_relabel_voc").glob("*.xml"))
    boxes = {name: read_voc(folder / copy / f"{name}.xml") for name in names}
    samples = [Sample(name, 416, 416, tuple(Annotation(*box) for box in boxes[name])) for name in names]
    return version_of(samples, declaration)


def diff_hard_hats(samples_dir: Path, declaration: str) -> DatasetDiff:
    folder = samples_dir / "hardhat"
    return diff_versions(hard_hats(folder, "v1_kaggle_voc", OLD_NAMES), hard_hats(folder, "v2_relabel_voc", declaration))


def test_relabelled_hard_hats_look_renamed_and_not_removed_and_added(samples_dir: Path):
    diff = diff_hard_hats(samples_dir, NEW_NAMES)
    assert diff.to_json()["samples"] == {"added": 0, "removed": 0, "relabelled": 121, "reimaged": 0}
    assert diff.to_json()["objects"] == {"added": 46, "removed": 155, "moved": 0, "reclassified": 406}
    assert diff.to_json()["labels"] == {
        "added": ["Safety Helmet", "No Safety Helmet"],
        "removed": ["helmet", "head", "person"],
        "renamed": {},
        "suggested": {"helmet": "Safety Helmet", "head": "No Safety Helmet"},
    }
    words = describe_diff(diff, "hard-hats@v1", "hard-hats@v2")
    assert "helmet → Safety Helmet: 329 of 470 objects" in words
    assert "head → No Safety Helmet: 72 of 91 objects" in words


def test_with_the_declared_rename_five_hard_hats_are_reclassified(samples_dir: Path):
    diff = diff_hard_hats(samples_dir, NEW_NAMES + RENAME)
    assert diff.objects.reclassified == 5
    assert (diff.objects.removed, diff.objects.added) == (155, 46)
    labels = diff.to_json()["labels"]
    assert labels["renamed"] == {"helmet": "Safety Helmet", "head": "No Safety Helmet"}
    assert (labels["added"], labels["removed"], labels["suggested"]) == ([], ["person"], {})


def test_the_third_copy_of_the_blood_cells_changes_no_box(samples_dir: Path):
    sides = []
    for copy in ("v2_shenggan_2017_voc", "v3_shenggan_2019_voc"):
        files = sorted((samples_dir / "bccd" / copy).glob("*.xml"))
        samples = [Sample(path.stem, 640, 480, tuple(Annotation(*box) for box in read_voc(path))) for path in files]
        sides.append(version_of(samples, 'task = "detection"\nlabels = ["RBC", "WBC", "Platelets"]\n'))
    assert diff_versions(*sides).changed == ()
    assert len(sides[1].samples) == 292


def nuclei(folder: Path) -> LocalVersion:
    import cv2

    samples = []
    for path in sorted(folder.glob("*.png")):
        numbers_HW = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        masks = [rle_of_mask(numbers_HW == number) for number in np.unique(numbers_HW) if number]
        objects = tuple(Annotation("nucleus", box_of_rle(mask), rle=mask) for mask in masks)
        samples.append(Sample(path.stem, numbers_HW.shape[1], numbers_HW.shape[0], objects))
    return version_of(samples, NUCLEI)


def test_the_corrected_nuclei_are_the_known_ones(samples_dir: Path):
    diff = diff_versions(*(nuclei(samples_dir / "nuclei" / name) for name in ("v1_instance16", "v2_instance16")))
    samples = diff.to_json()["samples"]
    assert samples == {"added": 0, "removed": 3, "relabelled": 56, "reimaged": 0}
    counted = {"added": 16, "removed": 12, "moved": 185, "reclassified": 0}  # not stated by SOURCE.md: as counted here
    assert diff.to_json()["objects"] == counted


def one(*annotations: Annotation, declaration: str = TWO_LABELS, **more: object) -> LocalVersion:
    return version_of([Sample("s", 100, 100, annotations, **more)], declaration)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "new",
    [
        Annotation("a", (0, 0, 9, 9), attributes={"occluded": "true"}),
        Annotation("a", (0, 0, 9, 9), track_id="7"),
    ],
    ids=["attribute", "track"],
)
def test_other_attributes_or_another_track_relabel_a_sample_and_move_nothing(new: Annotation):
    diff = diff_versions(one(Annotation("a", (0, 0, 9, 9))), one(new))
    assert diff.relabelled == ("s",)
    assert (diff.objects.edited, sum(diff.to_json()["objects"].values())) == (1, 0)


def test_a_moved_keypoint_moves_its_object():
    sides = [
        one(Annotation("a", (0, 0, 50, 50), keypoints=(Keypoint("nose", x_px, 5.0), Keypoint("tail", 50.0, 50.0))))
        for x_px in (10.0, 11.0)
    ]
    diff = diff_versions(*sides)
    assert (diff.relabelled, diff.objects.moved) == (("s",), 1)


def test_another_class_of_an_image_is_reclassified_and_another_split_is_said():
    old = one(Annotation("a"), declaration='task = "classification"\nlabels = ["a", "b"]\n')
    new = one(Annotation("b"), declaration='task = "classification"\nlabels = ["a", "b"]\n', split="test")
    diff = diff_versions(old, new)
    assert diff.to_json()["objects"] == {"added": 0, "removed": 0, "moved": 0, "reclassified": 1}
    assert (diff.resplit, diff.changed) == (("s",), ("s",))
    assert "1 in another split or group" in describe_diff(diff, "v1", "v2")


def test_ids_authors_and_the_order_of_a_list_change_nothing():
    first, second = Annotation("a", (0, 0, 9, 9), id="1", author="ada"), Annotation("b", (5, 5, 9, 9), id="2")
    again = Annotation("a", (0, 0, 9, 9), id="3", author="grace", origin="cvat")
    assert diff_versions(one(first, second), one(second, again)).changed == ()
    changes = object_changes(one(first).samples[0], one(again).samples[0], {})
    assert [change.kind for change in changes] == ["same"]
