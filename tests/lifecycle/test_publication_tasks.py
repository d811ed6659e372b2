"""Datasets of every task are published on the real lakeFS, from the formats that carry them, and come back as they went in."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lakegate.catalog import load_dataset
from lakegate.formats.importing import import_export
from lakegate.lake.local import open_version
from lakegate.lake.versions import pin
from lakegate.samples import Sample
from tests.lifecycle.conftest import Workshop

pytestmark = pytest.mark.services
SIDE_PX = 64
NUMBERS = range(12)


def photograph(path: Path, number: int) -> None:
    """Noise of its own for each number, so that no image is near another."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([5, number]).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC).save(path)


def instance_maps(folder: Path) -> Path:
    for number in NUMBERS:
        photograph(folder / "images" / f"{number}.png", number)
        map_HW = np.zeros((SIDE_PX, SIDE_PX), np.uint16)
        map_HW[4:20, 4 + number : 24 + number] = 1
        map_HW[40:50, 30:45] = 700
        (folder / "masks").mkdir(exist_ok=True)
        Image.fromarray(map_HW).save(folder / "masks" / f"{number}.png")
    return folder


def class_folders(folder: Path) -> Path:
    for number in NUMBERS:
        photograph(folder / ("cat" if number % 2 else "dog") / f"{number}.png", number)
    return folder


def coco_keypoints(folder: Path) -> Path:
    images, annotations = [], []
    for number in NUMBERS:
        photograph(folder / "images" / f"{number}.png", number)
        images.append({"id": number, "file_name": f"{number}.png", "width": SIDE_PX, "height": SIDE_PX})
        points = [12 + number, 14, 2, 0, 0, 0]
        annotations.append(
            {"id": number, "image_id": number, "category_id": 1, "bbox": [10, 10, 30, 20], "keypoints": points}
        )
    content = {"images": images, "annotations": annotations}
    categories = [{"id": 1, "name": "cat", "keypoints": ["nose", "tail"]}]
    (folder / "person_keypoints_default.json").write_text(json.dumps(content | {"categories": categories}))
    return folder


def declare(workshop: Workshop, task: str, labels: list[str]) -> None:
    path = workshop.checkout / "datasets" / workshop.dataset / "dataset.toml"
    path.write_text(f'task = "{task}"\nlabels = {json.dumps(labels)}\n[split]\ntest = 0.4\n')


@pytest.mark.parametrize(
    ("task", "labels", "write"),
    [
        ("segmentation", ["cell"], instance_maps),
        ("classification", ["cat", "dog"], class_folders),
        ("keypoints", ["cat"], coco_keypoints),
    ],
)
def test_a_dataset_of_each_task_is_published_and_read_back(workshop: Workshop, task, labels, write) -> None:
    declare(workshop, task, labels)
    source = write(workshop.folder / "export")
    workshop.publish(source, "v1")
    local = open_version(workshop.client, workshop.settings, pin(workshop.client, f"{workshop.dataset}@v1"))
    imported = import_export(source, None, load_dataset(workshop.settings, workshop.dataset))
    expected = [Sample.from_json(item.sample.id, item.sample.to_json()) for item in imported.samples]
    assert sorted(local.samples, key=lambda sample: sample.id) == expected
    shapes = {(bool(one.rle), bool(one.keypoints), one.is_image_level) for sample in expected for one in sample.annotations}
    assert shapes == {(task == "segmentation", task == "keypoints", task == "classification")}
