"""Streams of real images for the drift tests: blood cells as they are, changed on purpose, and other scenes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from lakegate.imaging import ByteArray, read_image
from lakegate.monitoring.drift import Column, DriftVerdict, judge, make_columns
from lakegate.monitoring.frames import SeenObject
from lakegate.monitoring.measures import (
    IMAGE_WORDS,
    MeasuredImages,
    measure_images,
    prediction_table,
    prediction_words,
)

LABELS = ("RBC", "WBC", "Platelets")
Objects = list[list[SeenObject]]


class Stream(NamedTuple):
    """Measured images with an answer for each: its labels, as a model without mistakes would give them."""

    images: MeasuredImages
    objects: Objects

    def part(self, rows: Sequence[int]) -> "Stream":
        table = {name: values[list(rows)] for name, values in self.images.table.items()}
        keys = tuple(self.images.keys[row] for row in rows)
        images = MeasuredImages(keys, table, self.images.embeddings[list(rows)], {})
        return Stream(images, [self.objects[row] for row in rows])


def blood_cells(samples: Path, count: int) -> list[Path]:
    """Images of the set in an order that does not follow the slides that they were taken from."""
    labelled = sorted((samples / "bccd" / "v3_shenggan_2019_voc").glob("*.xml"))
    chosen = np.random.default_rng(0).permutation(len(labelled))[:count]
    return [samples / "bccd" / "images" / f"{labelled[number].stem}.jpg" for number in chosen]


def labels_of(image: Path) -> list[SeenObject]:
    """The labels of an image as detections with scores that only its name decides."""
    tree = ElementTree.parse(image.parents[1] / "v3_shenggan_2019_voc" / f"{image.stem}.xml")
    scores = np.random.default_rng([int(image.stem.rpartition("_")[2])]).beta(8, 3, 100)
    names = [item.findtext("name", "") for item in tree.iter("object")]
    return [SeenObject(label=name, score=score, box_xyxy_px=(0, 0, 9, 9)) for name, score in zip(names, scores, strict=False)]


def changed(images: Sequence[Path], change: Callable[[ByteArray], ByteArray], folder: Path) -> list[Path]:
    """Write each image with ``change`` applied."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in images:
        Image.fromarray(change(read_image(path))).save(folder / path.name, quality=95)
    return [folder / path.name for path in images]


def measured(images: Sequence[Path], objects: Objects) -> Stream:
    return Stream(measure_images(((str(path), path) for path in images), threads=2), objects)


def columns_of(reference: Stream, frames: Stream) -> list[Column]:
    images = make_columns(IMAGE_WORDS, reference.images.table, frames.images.table, "training images")
    answers = [prediction_table(side.objects, LABELS) for side in (reference, frames)]
    return images + make_columns(prediction_words(LABELS), *answers, "held-out images")


def compare(reference: Stream, frames: Stream, with_html: bool = False) -> DriftVerdict:
    groups = list(reference.images.keys)
    return judge(columns_of(reference, frames), reference.images.embeddings, groups, frames.images.embeddings, with_html)
