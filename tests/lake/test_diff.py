"""The diff of two versions: by hand on a few boxes, and on the real blood cells."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from lakegate.catalog import parse_dataset
from lakegate.lake.diff import diff_versions, match_boxes
from lakegate.lake.local_version import DatasetVersion, LocalImage, LocalVersion
from lakegate.samples import Annotation, Sample
from tests.lake.story import DECLARATION, Boxes

QUARANTINED = {"BloodImage_00338", "BloodImage_00343"}  # one box without area each


def a_version(
    samples: Mapping[str, Boxes], images: Mapping[str, str] | None = None, declaration: str = DECLARATION
) -> LocalVersion:
    made = tuple(
        Sample(name, 640, 480, tuple(Annotation(label, box) for label, box in boxes)) for name, boxes in sorted(samples.items())
    )
    files = {name: LocalImage(Path(name), (images or {}).get(name, "0" * 64)) for name in samples}
    return LocalVersion(DatasetVersion("cells", "v", "c", "d"), parse_dataset("cells", declaration), made, files)


def boxes(*sides: tuple[float, float, float, float], label: str = "RBC") -> list[Annotation]:
    return [Annotation(label, side) for side in sides]


def test_an_identical_box_is_taken_before_a_better_placed_neighbour():
    old = boxes((0, 0, 10, 10), (1, 0, 10, 10))
    new = boxes((1, 0, 10, 10))
    matches = match_boxes(old, new)
    assert matches.pairs == ((1, 0),)
    assert matches.only_old == (0,)


def test_boxes_match_by_falling_overlap_and_one_to_one():
    old = boxes((0, 0, 10, 10))
    new = boxes((0, 0, 10, 6), (0, 0, 10, 9))
    assert match_boxes(old, new).pairs == ((0, 1),)
    assert match_boxes(old, new).only_new == (0,)


def test_half_an_overlap_matches_and_less_does_not():
    assert match_boxes(boxes((0, 0, 10, 10)), boxes((0, 0, 10, 5))).pairs == ((0, 0),)
    assert match_boxes(boxes((0, 0, 10, 10)), boxes((0, 0, 10, 4.9))).pairs == ()


def test_of_two_boxes_in_one_place_the_one_with_the_same_label_matches():
    old = [Annotation("RBC", (0, 0, 10, 10)), Annotation("WBC", (0, 0, 10, 10))]
    new = [Annotation("WBC", (0, 0, 10, 10)), Annotation("RBC", (0, 0, 10, 10))]
    assert match_boxes(old, new).pairs == ((0, 1), (1, 0))


def test_labels_without_boxes_match_by_label_alone():
    matches = match_boxes([Annotation("night"), Annotation("rain")], [Annotation("rain"), Annotation("snow")])
    assert (matches.pairs, matches.only_old, matches.only_new) == (((1, 0),), (0,), (1,))


def test_boxes_without_area_do_not_divide_by_zero():
    assert match_boxes(boxes((5, 5, 0, 0)), boxes((5, 5, 0, 3))).pairs == ()


def test_a_moved_box_a_changed_label_a_new_and_a_lost_object_are_counted_once_each():
    old = a_version({"a": (("RBC", (0, 0, 10, 10)), ("RBC", (50, 0, 10, 10)), ("RBC", (100, 0, 10, 10)))})
    new = a_version({"a": (("RBC", (0, 1, 10, 10)), ("WBC", (50, 0, 10, 10)), ("RBC", (300, 0, 10, 10)))})
    assert diff_versions(old, new).to_json()["objects"] == {"added": 1, "removed": 1, "moved": 1, "reclassified": 1}


def test_samples_are_added_removed_relabelled_and_reimaged():
    cell: Boxes = (("RBC", (0.0, 0.0, 10.0, 10.0)),)
    old = a_version({"a": cell, "b": cell, "c": cell, "d": cell})
    new = a_version({"b": (), "c": cell, "d": cell, "e": cell}, images={"d": "1" * 64})
    diff = diff_versions(old, new)
    assert (diff.added, diff.removed, diff.relabelled, diff.reimaged) == (("e",), ("a",), ("b",), ("d",))
    assert diff.objects.removed == 1, "objects are counted on the common samples only"


def test_equal_versions_have_an_empty_diff():
    version = a_version({"a": (("RBC", (0.0, 0.0, 10.0, 10.0)),)})
    assert diff_versions(version, version).to_json() == {
        "samples": {"added": 0, "removed": 0, "relabelled": 0, "reimaged": 0},
        "objects": {"added": 0, "removed": 0, "moved": 0, "reclassified": 0},
        "labels": {"added": [], "removed": [], "renamed": {}, "suggested": {}},
    }


def test_a_declared_rename_is_no_reclassification():
    old = a_version({"a": (("RBC", (0.0, 0.0, 10.0, 10.0)),)})
    renamed = 'task = "detection"\nlabels = ["red", "WBC", "Platelets"]\n[rename]\nRBC = "red"\n'
    diff = diff_versions(old, a_version({"a": (("red", (0.0, 0.0, 10.0, 10.0)),)}, declaration=renamed))
    assert diff.relabelled == ()
    assert diff.to_json()["labels"] == {"added": [], "removed": [], "renamed": {"RBC": "red"}, "suggested": {}}


def test_a_rename_that_nobody_declared_is_suggested():
    old = a_version({"a": (("RBC", (0.0, 0.0, 10.0, 10.0)),)})
    silent = 'task = "detection"\nlabels = ["red", "WBC", "Platelets"]\n'
    diff = diff_versions(old, a_version({"a": (("red", (0.0, 0.0, 10.0, 10.0)),)}, declaration=silent))
    assert diff.objects.reclassified == 1
    assert diff.to_json()["labels"] == {"added": ["red"], "removed": ["RBC"], "renamed": {}, "suggested": {"RBC": "red"}}


def test_a_rename_is_suggested_also_where_the_old_name_is_still_declared_or_the_new_one_was():
    both = 'task = "detection"\nlabels = ["RBC", "red", "WBC", "Platelets"]\n'
    old, new = ({"a": ((label, (0.0, 0.0, 10.0, 10.0)),)} for label in ("RBC", "red"))
    diff = diff_versions(a_version(old, declaration=both), a_version(new, declaration=both))
    assert diff.to_json()["labels"] == {"added": [], "removed": [], "renamed": {}, "suggested": {"RBC": "red"}}
    mixed = {**new, "b": (("RBC", (0.0, 0.0, 10.0, 10.0)),)}
    assert not diff_versions(a_version(old, declaration=both), a_version(mixed, declaration=both)).labels.suggested, "in use"


def test_the_diff_of_the_real_blood_cells_is_the_known_one(samples_dir: Path):
    bccd = samples_dir / "bccd"
    names_v1 = read_names(bccd / "demo_v1.txt")
    unfinished = read_names(bccd / "demo_v1_unfinished.txt")
    names_v2 = sorted(path.stem for path in (bccd / "v3_shenggan_2019_voc").glob("*.xml"))
    v1 = {
        name: read_voc(bccd / ("v1_cosmicad_voc" if name in unfinished else "v3_shenggan_2019_voc") / f"{name}.xml")
        for name in names_v1
    }
    v2 = {name: read_voc(bccd / "v3_shenggan_2019_voc" / f"{name}.xml") for name in names_v2}
    assert (len(v1), len(v2)) == (200, 292)
    diff = diff_versions(a_version(without_quarantined(v1)), a_version(without_quarantined(v2)))
    assert diff.to_json() == {
        "samples": {"added": 92, "removed": 0, "relabelled": 30, "reimaged": 0},
        "objects": {"added": 88, "removed": 4, "moved": 47, "reclassified": 0},
        "labels": {"added": [], "removed": [], "renamed": {}, "suggested": {}},
    }


def read_names(path: Path) -> list[str]:
    return path.read_text().split()


def without_quarantined(samples: Mapping[str, Boxes]) -> dict[str, Boxes]:
    return {name: content for name, content in samples.items() if name not in QUARANTINED}


def read_voc(path: Path) -> Sequence[tuple[str, tuple[float, float, float, float]]]:
    """Read the boxes of a Pascal VOC file as the test's own truth, apart from the product's importers."""
    from defusedxml.ElementTree import parse

    found = []
    for item in parse(path).iter("object"):
        sides = [float(item.findtext(f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax")]
        found.append((item.findtext("name"), (sides[0], sides[1], sides[2] - sides[0], sides[3] - sides[1])))
    return found


@pytest.mark.parametrize("name", sorted(QUARANTINED))
def test_the_quarantined_blood_cells_have_a_box_without_area(samples_dir: Path, name: str):
    content = read_voc(samples_dir / "bccd" / "v3_shenggan_2019_voc" / f"{name}.xml")
    assert any(box[2] == 0 or box[3] == 0 for _, box in content)
