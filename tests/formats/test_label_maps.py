"""Label maps, drawn here: 8 and 16 bits, palettes, colours with a labelmap.txt, void pixels, and maps that do not fit."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lakegate.catalog import parse_dataset
from lakegate.errors import BadExport
from lakegate.formats.importing import ImportResult, import_export, recognise
from lakegate.formats.proposing import propose_dataset_toml
from lakegate.masks import mask_of_rle

from .exports import declare, voc_xml, write_image

MAP_HW = np.array([[0, 1, 1, 0], [0, 1, 2, 2], [3, 0, 2, 2]])
PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]
TASK = "segmentation"
LABELMAP = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nroad:128,0,0::\nsky:0,128,0::\ntree:128,128,0::\n"


def draw(folder: Path, map_HW=MAP_HW, mode: str = "I;16", name: str = "a", below: str = "masks", suffix: str = ".png") -> Path:
    """An export of one image with its map in this kind of pixels."""
    write_image(folder / "images" / f"{name}.jpg", MAP_HW.shape[::-1])
    if mode == "RGB":
        picture = Image.fromarray(np.array(PALETTE, np.uint8).reshape(-1, 3)[map_HW])
    else:
        picture = Image.fromarray(map_HW.astype(np.uint16 if mode == "I;16" else np.uint8))
    if mode == "P":
        picture.putpalette(PALETTE)
    path = folder / below / f"{name}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
    return folder


def masks_of(result: ImportResult) -> list[tuple[str, object]]:
    assert result.problems == []
    return [(one.label, mask_of_rle(one.rle).tolist()) for item in result.samples for one in item.sample.annotations]


def expected(*names: str) -> list[tuple[str, object]]:
    return [(name, (number == MAP_HW).tolist()) for number, name in enumerate(names, start=1)]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_instances_of_the_single_label(tmp_path, suffix):
    folder = draw(tmp_path, suffix=suffix)
    assert recognise(folder) == "instance-masks"
    assert masks_of(import_export(folder, None, declare(labels=["cell"], task=TASK))) == expected("cell", "cell", "cell")


def test_a_palette_is_classes_in_the_declared_order_and_the_note_says_so(tmp_path):
    folder = draw(tmp_path, mode="P")
    assert recognise(folder) == "semantic-masks"
    result = import_export(folder, None, declare(labels=["road", "sky", "tree"], task=TASK))
    assert masks_of(result) == expected("road", "sky", "tree")
    assert {one.attributes["kind"] for one in result.samples[0].sample.annotations} == {"semantic"}
    assert "read as the order of labels in dataset.toml (road, sky, tree)" in result.notes[0]


def test_eight_grey_bits_may_be_both_and_are_refused_until_one_is_named(tmp_path):
    folder = draw(tmp_path, mode="L")
    declaration = declare(labels=["road", "sky", "tree"], task=TASK)
    with pytest.raises(BadExport, match="looks like instance-masks and semantic-masks"):
        import_export(folder, None, declaration)
    assert masks_of(import_export(folder, None, declaration, "semantic-masks")) == expected("road", "sky", "tree")
    one = declare(labels=["cell"], task=TASK)
    assert masks_of(import_export(folder, None, one, "instance-masks")) == expected("cell", "cell", "cell")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labelmap.txt", LABELMAP),
        ("labelmap.json", '{"0": "background", "1": "road", "2": "sky", "3": "tree"}'),
        ("labels.json", '{"road": 1, "sky": 2, "tree": 3}'),
        ("label_map.json", '[{"id": 1, "name": "road"}, {"id": 2, "name": "sky"}, {"id": 3, "name": "tree"}]'),
    ],
)
@pytest.mark.parametrize("mode", ["L", "P"])
def test_a_list_of_names_beside_the_maps_counts_more_than_the_declared_order(tmp_path, name, text, mode):
    folder = draw(tmp_path, mode=mode)
    (folder / name).write_text(text)
    result = import_export(folder, None, declare(labels=["tree", "sky", "road"], task=TASK))
    assert (result.format, result.notes) == ("semantic-masks", [])
    assert masks_of(result) == sorted(expected("road", "sky", "tree"))


def test_colours_are_classes_by_the_label_map(tmp_path):
    folder = draw(tmp_path, mode="RGB")
    (folder / "labelmap.txt").write_text(LABELMAP)
    assert masks_of(import_export(folder, None, declare(labels=["road", "sky", "tree"], task=TASK))) == expected(
        "road", "sky", "tree"
    )
    (folder / "labelmap.txt").write_text("\n".join(LABELMAP.splitlines()[:-1]))
    (problem,) = import_export(folder, None, declare(labels=["road", "sky"], task=TASK)).problems
    assert (problem.rule, "the first are 128,128,0" in problem.reason) == ("label_is_declared", True)


def test_void_pixels_belong_to_no_object_and_are_counted(tmp_path):
    void_HW = np.where(MAP_HW == 3, 255, MAP_HW)
    result = import_export(draw(tmp_path, void_HW, "L"), None, declare(labels=["road", "sky"], task=TASK), "semantic-masks")
    assert masks_of(result) == expected("road", "sky")
    assert "1 pixels of 1 maps are void (255) and belong to no object; the first map is masks/a.png" in result.notes


def test_a_value_without_a_name_is_named(tmp_path):
    result = import_export(draw(tmp_path, mode="P"), None, declare(labels=["road", "sky"], task=TASK))
    assert [(item.sample_id, item.file, item.rule) for item in result.problems] == [("a", "masks/a.png", "label_is_declared")]
    assert "the value 3 has no name; named are 1 road, 2 sky" in result.problems[0].reason


def test_instances_take_their_class_from_the_maps_of_classes_beside_them(tmp_path):
    classes_HW = np.select([MAP_HW == 1, MAP_HW == 2, MAP_HW == 3], [2, 1, 2], 0)
    folder = draw(tmp_path, mode="P", below="SegmentationObject")
    draw(folder, classes_HW, "P", below="SegmentationClass")
    (folder / "labelmap.txt").write_text(LABELMAP)
    result = import_export(folder, None, declare(labels=["road", "sky", "tree"], task=TASK))
    assert result.format == "instance-masks"
    assert sorted(masks_of(result)) == sorted(expected("sky", "road", "sky"))


def test_instances_without_classes_are_refused_where_several_labels_are_declared(tmp_path):
    with pytest.raises(BadExport, match=r"declares 2 labels \(cell, nucleus\)"):
        import_export(draw(tmp_path), None, declare(labels=["cell", "nucleus"], task=TASK))


def test_maps_that_do_not_fit_or_have_no_image_or_are_no_maps_are_named(tmp_path):
    folder = draw(tmp_path)
    draw(folder, MAP_HW[:2], name="small")
    draw(folder, name="lonely")
    (folder / "images" / "lonely.jpg").unlink()
    draw(folder, name="broken")
    (folder / "masks" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    result = import_export(folder, None, declare(labels=["cell"], task=TASK), "instance-masks")
    assert {item.sample_id: item.rule for item in result.problems} == {
        "small": "mask_fits_image", "lonely": "image_exists", "broken": "label_file_is_whole",
    }  # fmt: skip
    assert [item.sample.id for item in result.samples] == ["a"]


def test_a_map_finds_its_image_by_the_usual_endings_and_lists_give_the_split(tmp_path):
    folder = draw(tmp_path)
    (folder / "masks" / "a.png").rename(folder / "masks" / "a_mask.png")
    (folder / "test.txt").write_text("a\n")
    result = import_export(folder, None, declare(labels=["cell"], task=TASK, split='{ from = "given" }'))
    assert [(item.sample.id, item.sample.split) for item in result.samples] == [("a", "test")]


def test_objects_of_a_pascal_voc_export_have_the_masks_that_number_them(tmp_path):
    folder = draw(tmp_path, mode="P", below="SegmentationObject")
    (folder / "images").rename(folder / "JPEGImages")
    boxes = [("road", (1, 0, 2, 2)), ("sky", (2, 1, 2, 2)), ("tree", (0, 2, 1, 1))]
    (folder / "Annotations").mkdir()
    (folder / "Annotations" / "a.xml").write_text(voc_xml("a.jpg", (4, 3), boxes))
    declaration = declare(labels=["road", "sky", "tree"], task=TASK)
    result = import_export(folder, None, declaration)
    assert (result.format, masks_of(result)) == ("voc", expected("road", "sky", "tree"))
    assert [one.bbox_xywh_px for one in result.samples[0].sample.annotations] == [box for _, box in boxes]
    (folder / "Annotations" / "a.xml").write_text(voc_xml("a.jpg", (4, 3), boxes[:2]))
    assert [item.rule for item in import_export(folder, None, declaration).problems] == ["mask_fits_image"]


def test_maps_of_unnamed_classes_are_proposed_once_they_are_named(tmp_path):
    folder = draw(tmp_path, mode="P")
    with pytest.raises(BadExport, match=r"add a labelmap\.txt"):
        propose_dataset_toml(folder, None)
    (folder / "labelmap.txt").write_text(LABELMAP)
    declaration = parse_dataset("abc", propose_dataset_toml(folder, None))
    assert (declaration.task, declaration.labels) == (TASK, ("road", "sky", "tree"))
