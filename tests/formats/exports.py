"""Writers of small exports, each from its format's own specification and without any code of ours."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from lakegate.catalog import parse_dataset
from lakegate.declarations import DatasetDeclaration

Box = tuple[float, float, float, float]  # x, y, width, height in px
Scene = tuple[tuple[int, int], Sequence[tuple[str, Box]]]  # (width, height), objects
LABELS = ("car", "person", "stop sign")

SCENES: Mapping[str, Scene] = {
    "north/0001": ((128, 96), [("car", (10, 20, 30, 40)), ("person", (0, 0, 128, 96)), ("car", (10, 20, 30, 40))]),
    "north/0002": ((64, 64), []),
    "south/ä 0001": ((100, 50), [("stop sign", (99, 49, 1, 1)), ("person", (7, 5, 0, 12))]),
}


def declare(**changes: object) -> DatasetDeclaration:
    """A declaration with the labels of SCENES; ``changes`` are further TOML lines by key."""
    lines = [f'task = "{changes.pop("task", "detection")}"', f"labels = {json.dumps(changes.pop('labels', LABELS))}"]
    return parse_dataset("traffic", "\n".join([*lines, *(f"{key} = {value}" for key, value in changes.items())]))


def write_image(path: Path, size_px: tuple[int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size_px, (90, 120, 150)).save(path)


def voc_xml(name: str, size_px: tuple[int, int], objects: Sequence[tuple[str, Box]], extra: str = "") -> str:
    boxes = "".join(
        f"<object><name>{label}</name>{extra}<bndbox><xmin>{x}</xmin><ymin>{y}</ymin><xmax>{x + w}</xmax><ymax>{y + h}</ymax>"
        "</bndbox></object>"
        for label, (x, y, w, h) in objects
    )
    return (
        f"<annotation><filename>{name}</filename><size><width>{size_px[0]}</width><height>{size_px[1]}</height>"
        f"<depth>3</depth></size>{boxes}</annotation>"
    )


def write_voc(folder: Path, scenes: Mapping[str, Scene] = SCENES) -> Path:
    for name, (size_px, objects) in scenes.items():
        write_image(folder / "JPEGImages" / f"{name}.jpg", size_px)
        label = folder / "Annotations" / f"{name}.xml"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text(voc_xml(f"{Path(name).name}.jpg", size_px, objects), encoding="utf-8")
    return folder


def coco_content(scenes: Mapping[str, Scene] = SCENES) -> dict[str, list[dict[str, object]]]:
    """Ids with gaps and in no order, as real tools write them."""
    numbers = {label: 10 - 3 * index for index, label in enumerate(LABELS)}
    images, annotations = [], []
    for index, (name, ((width, height), objects)) in enumerate(scenes.items()):
        images.append({"id": 900 - index, "file_name": f"{name}.jpg", "width": width, "height": height})
        annotations += [
            {"id": 70 + len(annotations) + k, "image_id": 900 - index, "category_id": numbers[label], "bbox": list(box)}
            for k, (label, box) in enumerate(objects)
        ]
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": label} for label, number in numbers.items()],
    }


def write_coco(folder: Path, scenes: Mapping[str, Scene] = SCENES) -> Path:
    for name, (size_px, _) in scenes.items():
        write_image(folder / "images" / f"{name}.jpg", size_px)
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    (folder / "annotations" / "instances_default.json").write_text(json.dumps(coco_content(scenes)))
    return folder


def yolo_text(size_px: tuple[int, int], objects: Sequence[tuple[str, Box]]) -> str:
    width, height = size_px
    return "".join(
        f"{LABELS.index(label)} {(x + w / 2) / width:.9f} {(y + h / 2) / height:.9f} {w / width:.9f} {h / height:.9f}\n"
        for label, (x, y, w, h) in objects
    )


def write_yolo(folder: Path, scenes: Mapping[str, Scene] = SCENES, names: str = "data.yaml") -> Path:
    for name, (size_px, objects) in scenes.items():
        write_image(folder / "images" / f"{name}.jpg", size_px)
        label = folder / "labels" / f"{name}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text(yolo_text(size_px, objects))
    if names == "data.yaml":
        pairs = "".join(f"  {index}: {label}\n" for index, label in reversed(list(enumerate(LABELS))))
        (folder / names).write_text(f"path: ../datasets/traffic\ntrain: images\nnames:\n{pairs}")
    else:
        (folder / names).write_text("\n".join(LABELS) + "\n")
    return folder
