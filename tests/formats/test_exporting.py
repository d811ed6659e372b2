"""What is exported comes in again as the same samples; what a format cannot hold is counted."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakegate.errors import BadInput
from lakegate.formats.export_set import ExportItem, ExportSet
from lakegate.formats.exporting import ExportFormat, ExportSummary, check_export_format, write_export
from lakegate.formats.importing import ImportResult, import_export
from lakegate.formats.outlines import join_polygons, outlines_of_mask
from lakegate.geometry import Keypoint, Polygon
from lakegate.masks import area_px, box_of_points, box_of_rle, mask_of_rle, rle_of_mask, rle_of_polygons
from lakegate.samples import Annotation, Sample, Split
from tests.formats.exports import LABELS, declare, write_image

TASKS = ("detection", "segmentation", "keypoints", "classification")
PAIRS = [(known, task) for known in ("coco", "yolo", "cvat") for task in TASKS if (known, task) != ("yolo", "classification")]
POINTS = {"car": ("front", "rear"), "person": ("head", "left hand", "right hand"), "stop sign": ("centre",)}
WIDE, HIGH = 64, 48
QUICKLY = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
words = st.text(st.characters(whitelist_categories=("L", "N", "P", "S"), whitelist_characters=" "), max_size=8).map(str.strip)
places = st.integers(0, WIDE * 1000).map(lambda number: number / 1000)
splits: st.SearchStrategy[Split] = st.sampled_from(["train", "val", "test"])


@st.composite
def boxes(draw: st.DrawFn) -> tuple[float, float, float, float]:
    x, y = draw(st.integers(0, 50_000)), draw(st.integers(0, 40_000))
    width, height = draw(st.integers(1, 64_000 - x)), draw(st.integers(1, 48_000 - y))
    return x / 1000, y / 1000, width / 1000, height / 1000


@st.composite
def polygons(draw: st.DrawFn) -> Polygon:
    """A star around a centre: at least three different points."""
    x, y = draw(st.integers(20, 40)), draw(st.integers(15, 30))
    radii = draw(st.lists(st.integers(1000, 14_000), min_size=3, max_size=7))
    angles = np.arange(len(radii)) * 2 * np.pi / len(radii)
    pairs = [(x + r / 1000 * np.cos(a), y + r / 1000 * np.sin(a)) for r, a in zip(radii, angles, strict=True)]
    return tuple(round(float(number), 3) for pair in pairs for number in pair)


@st.composite
def objects(draw: st.DrawFn, task: str, known: ExportFormat) -> Annotation:
    label = draw(st.sampled_from(LABELS))
    has_words = known != "yolo"
    attributes = draw(st.dictionaries(st.sampled_from(["colour", "occluded_by"]), words.filter(bool), max_size=2))
    extra = {"attributes": attributes if has_words else {}, "track_id": draw(st.sampled_from(["", "7"])) if has_words else ""}
    if known == "cvat":
        extra["origin"] = draw(st.sampled_from(["", "manual", "auto"]))
    if task == "classification":
        return Annotation(label, attributes=extra["attributes"], origin=extra.get("origin", ""))
    if task == "detection":
        return Annotation(label, draw(boxes()), **extra)
    if task == "keypoints":
        points = tuple(_point(draw, name) for name in POINTS[label if known != "yolo" else "person"])
        seen = [number for point in points if point.visibility for number in (point.x_px, point.y_px)]
        if not seen:
            points = (Keypoint(points[0].name, 3.5, 4.25, 2), *points[1:])
            seen = [3.5, 4.25]
        return Annotation(label, box_of_points(seen), keypoints=points, **extra)
    if known != "yolo" and draw(st.booleans()):
        x, y, width, height = (int(side) for side in box_of_points(draw(polygons())))
        mask = mask_of_rle(rle_of_polygons([draw(polygons())], HIGH, WIDE))
        mask[y : y + height + 1, x : x + width + 1] = True
        rle = rle_of_mask(mask)
        return Annotation(label, box_of_rle(rle), rle=rle, **extra)
    parts = draw(st.lists(polygons(), min_size=1, max_size=2 if known == "coco" else 1))
    around = box_of_points([number for part in parts for number in part])
    box = tuple(round(side, 3) for side in around)
    return Annotation(label, box, polygons_px=tuple(parts), **extra)  # type: ignore[arg-type]


def _point(draw: st.DrawFn, name: str) -> Keypoint:
    visibility = draw(st.sampled_from([0, 1, 2]))
    if not visibility:
        return Keypoint(name, 0, 0, 0)
    return Keypoint(name, draw(places), draw(st.integers(0, 48_000)) / 1000, visibility)


@st.composite
def samples(draw: st.DrawFn, task: str, known: ExportFormat) -> list[Sample]:
    names = draw(st.lists(st.sampled_from(["a", "b c", "north/1", "north/ä", "süd/x.y"]), min_size=1, unique=True))
    return [
        Sample(name, WIDE, HIGH, tuple(draw(st.lists(objects(task, known), max_size=4))), split=draw(splits), group=name)
        for name in names
    ]


def export(folder: Path, known: ExportFormat, task: str, exported: Sequence[Sample]) -> ExportSummary:
    image = folder / "picture.png"
    if not image.exists():
        write_image(image, (WIDE, HIGH))
    items = [ExportItem(sample, image, ".png") for sample in exported]
    return write_export(known, ExportSet("traffic@v1", task, LABELS, items), folder / "export")  # type: ignore[arg-type]


def come_in(folder: Path, task: str) -> ImportResult:
    return import_export(folder / "export", None, declare(split='{ from = "given" }').model_copy(update={"task": task}))


def canonical(item: Sample) -> dict[str, object]:
    content: dict[str, object] = json.loads(item.to_json())
    return {key: value for key, value in content.items() if key != "source"}


@pytest.mark.parametrize(("known", "task"), PAIRS)
@QUICKLY
@given(data=st.data())
def test_what_is_exported_comes_in_again_as_the_same_samples(tmp_path_factory, known, task, data):
    folder = tmp_path_factory.mktemp(f"{known}-{task}")
    given_samples = data.draw(samples(task, known))
    summary = export(folder, known, task, given_samples)
    assert summary.n_objects == sum(len(sample.annotations) for sample in given_samples)
    assert [note for note in summary.notes if "not in" in note] == []
    result = come_in(folder, task)
    assert result.format == known
    assert result.problems == []
    assert [canonical(item.sample) for item in result.samples] == [
        canonical(sample) for sample in sorted(given_samples, key=lambda sample: sample.id)
    ]


def test_a_licence_and_the_time_of_capture_go_into_coco_and_come_back(tmp_path):
    box = Annotation("car", (1.0, 2.0, 3.0, 4.0))
    sample = Sample("a", WIDE, HIGH, (box,), group="a", source={"licence": "CC0-1.0"}, captured_at="2026-01-02")
    export(tmp_path, "coco", "detection", [sample])
    (found,) = come_in(tmp_path, "detection").samples
    assert (found.sample.source["licence"], found.sample.captured_at) == ("CC0-1.0", "2026-01-02")


def test_tags_of_samples_come_back_from_cvat_where_the_dataset_labels_objects(tmp_path):
    sample = Sample("a", WIDE, HIGH, (Annotation("car", (1.0, 2.0, 3.0, 4.0)),), group="a", tags=("night", "rain"))
    assert export(tmp_path, "cvat", "detection", [sample]).notes == ()
    (found,) = come_in(tmp_path, "detection").samples
    assert (found.sample.tags, len(found.sample.annotations)) == (("night", "rain"), 1)


RICH = Sample(
    "a",
    WIDE,
    HIGH,
    (
        Annotation("car", (1.0, 1.0, 20.0, 20.0), {"colour": "red"}, author="ada", origin="manual", track_id="3"),
        Annotation("car", (2.0, 2.0, 8.0, 8.0), polygons_px=((2, 2, 6, 2, 2, 6), (8, 8, 10, 8, 10, 10))),
        Annotation("person", (0.0, 0.0, 30.0, 30.0), keypoints=(Keypoint("head", 5, 6), Keypoint("left hand", 0, 0, 0))),
        Annotation("stop sign"),
    ),
    tags=("night",),
)


@pytest.mark.parametrize(
    ("known", "notes"),
    [
        ("coco", {"1 authors of objects", "1 origins of objects", "1 labels of whole images of a dataset for detection",
                  "1 tags of samples"}),
        ("yolo", {"1 authors of objects", "1 origins of objects", "1 attributes of objects", "1 track ids of objects",
                  "1 labels of whole images", "1 sets of keypoints", "1 tags of samples"}),
        ("cvat", {"1 authors of objects", "1 boxes of skeletons that are not the box around their points"}),
    ],
)  # fmt: skip
def test_what_a_format_cannot_hold_is_counted(tmp_path, known, notes):
    summary = export(tmp_path, known, "detection", [RICH])
    left_out = {note.split(" export: ")[1] for note in summary.notes if note.startswith("not in")}
    assert left_out == notes
    changed = [note for note in summary.notes if not note.startswith("not in")]
    expected = {
        "coco": [],
        "yolo": ["1 masks or polygons written as the box around them",
                 "no split 'val' is there: Ultralytics demands one, name its list in data.yaml"],
        "cvat": ["1 objects of several polygons written as shapes of one group"],
    }  # fmt: skip
    assert changed == expected[known]


def test_masks_boxes_and_several_parts_become_one_outline_in_yolo(tmp_path):
    mask = np.zeros((HIGH, WIDE), bool)
    mask[10:20, 10:30] = True
    ring = mask.copy()
    ring[13:16, 15:20] = False
    two = mask.copy()
    two[30:40, 40:50] = True
    shapes = [rle_of_mask(item) for item in (mask, ring, two)]
    annotations = [Annotation("car", box_of_rle(rle), rle=rle) for rle in shapes]
    sample = Sample("a", WIDE, HIGH, (*annotations, Annotation("car", (1.0, 1.0, 5.0, 5.0))), split="val", group="a")
    assert export(tmp_path, "yolo", "segmentation", [sample]).notes == (
        "1 boxes written as polygons of four points",
        "2 masks written as outlines",
        "1 masks written as outlines (their holes are filled)",
        "1 objects of several parts joined to one outline",
    )
    lines = (tmp_path / "export" / "labels" / "a.txt").read_text().splitlines()
    assert [len(line.split()) for line in lines] == [9, 9, 21, 9]


def test_a_mask_without_a_pixel_is_counted_where_cvat_cannot_hold_it(tmp_path):
    empty = Annotation("car", (0.0, 0.0, 0.0, 0.0), rle=rle_of_mask(np.zeros((HIGH, WIDE), bool)))
    summary = export(tmp_path, "cvat", "segmentation", [Sample("a", WIDE, HIGH, (empty,), group="a")])
    assert (summary.n_objects, summary.notes) == (0, ("not in the CVAT export: 1 masks without a pixel",))


def test_the_outline_of_a_mask_fills_the_mask_and_joined_parts_fill_their_areas():
    mask = np.zeros((HIGH, WIDE), bool)
    mask[5:25, 8:40] = True
    mask[30:32, 50:51] = True
    outlines = outlines_of_mask(rle_of_mask(mask))
    assert len(outlines) == 2 and all(len(outline) >= 6 for outline in outlines)
    parts = [(5.0, 5.0, 25.0, 5.0, 25.0, 25.0, 5.0, 25.0), (40.0, 30.0, 60.0, 30.0, 60.0, 40.0, 40.0, 40.0)]
    joined, apart = rle_of_polygons([join_polygons(parts)], HIGH, WIDE), rle_of_polygons(parts, HIGH, WIDE)
    bridge = np.count_nonzero(mask_of_rle(joined) != mask_of_rle(apart))
    assert area_px(apart) == 600 and bridge <= 40


def test_an_export_goes_into_a_new_folder_or_nowhere(tmp_path):
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "mine.txt").write_text("kept")
    with pytest.raises(BadInput, match="not an empty folder; nothing was written"):
        export(tmp_path, "coco", "detection", [RICH])
    assert [path.name for path in (tmp_path / "export").iterdir()] == ["mine.txt"]
    with pytest.raises(BadInput, match="YOLO's label files hold objects; export it as coco or cvat"):
        export(tmp_path / "other", "yolo", "classification", [RICH])
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["picture.png"]
    with pytest.raises(BadInput, match="did you mean 'coco'"):
        check_export_format("cocoo")


def real(folder: Path, images: Path, labels: Sequence[str], into: Path, known: ExportFormat) -> tuple[int, int]:
    """Import real Pascal VOC files, export them, import that; returns the numbers of samples and objects that came back."""
    declaration = declare(labels=list(labels))
    read = import_export(folder, images, declaration)
    items = [ExportItem(item.sample, item.image, item.suffix) for item in read.samples]
    write_export(known, ExportSet("real@v1", "detection", declaration.labels, items), into)
    came = import_export(into, None, declaration)
    assert came.problems == []
    assert [canonical(item.sample) for item in came.samples] == [canonical(item.sample) for item in read.samples]
    return len(came.samples), sum(len(item.sample.annotations) for item in came.samples)


def test_real_blood_cells_come_back_from_coco(samples_dir, tmp_path):
    folder = samples_dir / "bccd"
    came = real(folder / "v3_shenggan_2019_voc", folder / "images", ["RBC", "WBC", "Platelets"], tmp_path / "out", "coco")
    assert came == (292, 3943)


def test_real_helmets_come_back_from_yolo_and_from_cvat(samples_dir, tmp_path):
    folder, labels = samples_dir / "hardhat", ["helmet", "head", "person"]
    for known in ("yolo", "cvat"):
        came = real(folder / "v1_kaggle_voc", folder / "images", labels, tmp_path / known, known)
        assert came == (341, 1610)
