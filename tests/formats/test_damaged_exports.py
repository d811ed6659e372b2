"""Label files with bytes changed, cut off or doubled: each is read, or refused with a reason, and none stops the program."""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lakegate.errors import BadExport
from lakegate.formats.importing import import_export
from lakegate.formats.registry import FORMATS

from .exports import LABELS, SCENES, declare, write_coco, write_image, write_voc, write_yolo
from .test_datumaro_json import by_hand
from .test_label_maps import LABELMAP, draw
from .test_recognising import write_cvat, write_label_studio, write_labelme

ROUNDS = 12
LABEL_SUFFIXES = (".xml", ".json", ".txt", ".yaml")
ONE = {"0001": SCENES["north/0001"]}


def masks(folder: Path) -> Path:
    draw(folder, mode="P")
    (folder / "labelmap.txt").write_text(LABELMAP)
    return folder


def shapes(folder: Path) -> Path:
    """A COCO file with everything that one can hold."""
    write_image(folder / "images" / "a.png", (10, 8))
    items = [
        {"bbox": [1, 1, 4, 4], "segmentation": [[1, 1, 5, 1, 5, 5]]},
        {"bbox": [1, 1, 4, 4], "segmentation": {"size": [8, 10], "counts": [9, 4, 67]}, "iscrowd": 1},
        {"bbox": [1, 1, 4, 4], "segmentation": {"size": [8, 10], "counts": "94S2"}, "keypoints": [1, 2, 2, 0, 0, 0]},
    ]
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 10, "height": 8, "license": 1}],
        "annotations": [{"id": number, "image_id": 1, "category_id": 1} | item for number, item in enumerate(items)],
        "categories": [{"id": 1, "name": "car", "keypoints": ["nose", "tail"]}],
        "licenses": [{"id": 1, "name": "CC0"}],
    }
    (folder / "instances.json").write_text(json.dumps(content))
    return folder


def datumaro(folder: Path) -> Path:
    polygon = {"type": "polygon", "label_id": 0, "points": [1, 1, 5, 1, 5, 5], "group": 1}
    mask = {"type": "mask", "label_id": 0, "rle": {"size": [8, 10], "counts": "94S2"}, "group": 2}
    points = {"type": "points", "label_id": 1, "points": [1, 2, 3, 4], "visibility": [2, 0]}
    return by_hand(folder, polygon, mask, points, {"type": "bbox", "label_id": 0, "bbox": [1, 1, 2, 2]})


WRITERS: dict[str, Callable[[Path], Path]] = {
    "voc": lambda folder: write_voc(folder, ONE),
    "coco": lambda folder: write_coco(folder, ONE),
    "coco with masks": shapes,
    "yolo": lambda folder: write_yolo(folder, ONE),
    "datumaro": datumaro,
    "semantic-masks": masks,
    "cvat": write_cvat,
    "labelme": write_labelme,
    "label-studio": write_label_studio,
}


def damaged(data: bytes, draw_from: random.Random) -> Iterator[bytes]:
    """Yield the bytes cut off, with bytes changed, with a part doubled, and with a number or a word put in."""
    at, end = sorted(draw_from.randrange(len(data)) for _ in range(2))
    yield data[:at]
    yield bytes(draw_from.randrange(256) if draw_from.random() < 0.02 else byte for byte in data)
    yield data[:end] + data[at:]
    words = [b"-1", b"1e400", b"NaN", b"null", b"[]", b"{}", b'"x"', b"99999999999999999999", b"true", b"&a;", b"\0", b"0"]
    digits = [place for place, byte in enumerate(data) if 48 <= byte < 58] or [0]
    place = draw_from.choice(digits)
    yield data[:place] + draw_from.choice(words) + data[place + 1 :]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WRITERS)
def test_damage_is_a_problem_or_a_refusal_and_never_a_crash(tmp_path, name):
    draw_from = random.Random(name)
    whole = WRITERS[name](tmp_path / "whole")
    task = "detection" if name in ("voc", "yolo", "cvat", "labelme", "label-studio") else "segmentation"
    declaration = declare(labels=[*LABELS, "road", "sky", "tree"], task=task)
    source_format = name.split()[0]
    assert source_format in FORMATS
    labels = [path for path in whole.rglob("*") if path.suffix in LABEL_SUFFIXES or path.parent.name == "masks"]
    ends = {"read": 0, "refused": 0, "problem": 0}
    for number in range(ROUNDS):
        victim = draw_from.choice(labels)
        for variant, data in enumerate(damaged(victim.read_bytes(), draw_from)):
            folder = shutil.copytree(whole, tmp_path / f"{number}-{variant}")
            (folder / victim.relative_to(whole)).write_bytes(data)
            try:
                result = import_export(folder, None, declaration, source_format)
            except BadExport:
                ends["refused"] += 1
            else:
                ends["problem" if result.problems else "read"] += 1
                assert result.problems or result.samples or result.notes
    assert sum(ends.values()) == 4 * ROUNDS
    assert ends["refused"] + ends["problem"] > ROUNDS / 2, ends
