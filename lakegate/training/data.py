"""Training data: images resized once, then batches with targets, the same for the same seed and epoch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lakegate.declarations import Flip
from lakegate.detections import IntArray
from lakegate.errors import BadInput, UnknownLabel, nearest
from lakegate.imaging import ByteArray, FloatArray, read_image, resize
from lakegate.samples import Sample
from lakegate.training.job import TrainingJob

IMAGES_IN_MEMORY_BYTES = 2 * 1024**3  # above this, images are decoded anew for every batch
CENTRE_SHARE = 0.25  # locations within this share of the side around the centre answer for an object,
CENTRE_STRIDES = 0.75  # but at least within so many strides


@dataclass(frozen=True)
class TrainingImage:
    """One image's file and its objects in input pixels: boxes (N, 4) x1, y1, x2, y2; labels (N,)."""

    name: str
    path: Path
    size_px: tuple[int, int]
    boxes_xyxy_px: FloatArray
    labels: IntArray


@dataclass(frozen=True)
class Batch:
    """Images uint8 (N, H, W, 3) and their targets as :func:`make_targets` returns them, stacked."""

    names: tuple[str, ...]
    images: ByteArray
    classes: FloatArray
    distances: FloatArray
    foreground: FloatArray


class TrainingSet:
    """All images of a job. They are decoded and resized once and kept as uint8 up to ``memory_limit_bytes``."""

    def __init__(self, job: TrainingJob, stride_px: int, memory_limit_bytes: int = IMAGES_IN_MEMORY_BYTES) -> None:
        self.input_px = job.model.architecture.input_px
        self.stride_px = stride_px
        self.n_classes = len(job.labels)
        chosen = job.train_samples()
        self.n_samples: dict[str, int] = {}
        for version, _ in chosen:
            dataset = version.version.dataset
            self.n_samples[dataset] = self.n_samples.get(dataset, 0) + 1
        self.images = [
            _to_training_image(version.version.dataset, sample, version.images[sample.id].path, job.labels, self.input_px)
            for version, sample in chosen
        ]
        self.flips = job.model.training.flips
        height, width = self.input_px
        self.fits_in_memory = len(self.images) * height * width * 3 <= memory_limit_bytes
        self._pixels = [self._decode(item) for item in self.images] if self.fits_in_memory else []

    def __len__(self) -> int:
        return len(self.images)

    def batches(self, seed: int, epoch: int, batch_size: int) -> Iterator[Batch]:
        """Shuffle, flip at random, and cut into batches; the order depends on ``seed`` and ``epoch`` only."""
        random = np.random.default_rng([seed, epoch])
        order = random.permutation(len(self.images))
        for start in range(0, len(order), batch_size):
            yield self._batch(order[start : start + batch_size].tolist(), random)

    def _batch(self, indices: list[int], random: np.random.Generator) -> Batch:
        pixels, targets = [], []
        for index in indices:
            item = self.images[index]
            image, boxes = flip(self._image(index), item.boxes_xyxy_px, random, self.flips)
            pixels.append(image)
            targets.append(make_targets(boxes, item.labels, self.n_classes, self.input_px, self.stride_px))
        classes, distances, foreground = (np.stack(parts) for parts in zip(*targets, strict=True))
        names = tuple(self.images[index].name for index in indices)
        return Batch(names, np.stack(pixels), classes, distances, foreground)

    def _image(self, index: int) -> ByteArray:
        return self._pixels[index] if self._pixels else self._decode(self.images[index])

    def _decode(self, item: TrainingImage) -> ByteArray:
        image = read_image(item.path)
        if image.shape[:2] != item.size_px:
            raise BadInput(
                f"{item.name}: the annotations are for {item.size_px[1]} × {item.size_px[0]} px, the image has "
                f"{image.shape[1]} × {image.shape[0]}; publish the dataset again with images that fit"
            )
        return resize(image, self.input_px)[0]


def _to_training_image(
    dataset: str, sample: Sample, path: Path, labels: tuple[str, ...], input_px: tuple[int, int]
) -> TrainingImage:
    name = f"{dataset}/{sample.id}"
    for item in sample.annotations:
        if item.label not in labels:
            raise UnknownLabel(f"{name}: label '{item.label}' is not declared{nearest(item.label, labels)}")
    height, width = input_px
    factor = np.array([width / sample.width_px, height / sample.height_px] * 2, np.float32)
    boxes = np.array([item.box_xyxy_px for item in sample.annotations], np.float32).reshape(-1, 4) * factor
    indices = np.array([labels.index(item.label) for item in sample.annotations], np.int64)
    return TrainingImage(name, path, (sample.height_px, sample.width_px), boxes, indices)


def flip(
    image_HWC: ByteArray, boxes_xyxy_px: FloatArray, random: np.random.Generator, flips: Sequence[Flip]
) -> tuple[ByteArray, FloatArray]:
    """Mirror left to right, top to bottom and (square images) along the diagonal, as allowed, each in half of the cases."""
    height, width = image_HWC.shape[:2]
    left_right, top_bottom, diagonal = random.random(3) < 0.5
    if left_right and "horizontal" in flips:
        image_HWC = image_HWC[:, ::-1]
        boxes_xyxy_px = boxes_xyxy_px[:, [2, 1, 0, 3]]
        boxes_xyxy_px[:, [0, 2]] = width - boxes_xyxy_px[:, [0, 2]]
    if top_bottom and "vertical" in flips:
        image_HWC = image_HWC[::-1]
        boxes_xyxy_px = boxes_xyxy_px[:, [0, 3, 2, 1]]
        boxes_xyxy_px[:, [1, 3]] = height - boxes_xyxy_px[:, [1, 3]]
    if diagonal and "diagonal" in flips and height == width:
        image_HWC = image_HWC.transpose(1, 0, 2)
        boxes_xyxy_px = boxes_xyxy_px[:, [1, 0, 3, 2]]
    return np.ascontiguousarray(image_HWC), boxes_xyxy_px


def make_targets(
    boxes_xyxy_px: FloatArray, labels: IntArray, n_classes: int, input_px: tuple[int, int], stride_px: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Let the locations around each object's centre answer for it; where objects overlap, the smaller one wins.

    Returns:
        One-hot classes (C, h, w), distances to left, top, right, bottom in px (4, h, w), foreground (h, w); float32.
    """
    height, width = input_px[0] // stride_px, input_px[1] // stride_px
    classes = np.zeros((n_classes, height, width), np.float32)
    distances = np.zeros((4, height, width), np.float32)
    foreground = np.zeros((height, width), np.float32)
    x_px = (np.arange(width, dtype=np.float32) + 0.5) * stride_px
    y_px = (np.arange(height, dtype=np.float32) + 0.5) * stride_px
    sides = boxes_xyxy_px[:, 2:] - boxes_xyxy_px[:, :2]
    for index in np.argsort(-sides.prod(axis=1), kind="stable"):
        x1, y1, x2, y2 = boxes_xyxy_px[index]
        reach_x, reach_y = np.maximum(sides[index] * CENTRE_SHARE, stride_px * CENTRE_STRIDES)
        (columns,) = np.nonzero(np.abs(x_px - (x1 + x2) / 2) < reach_x)
        (rows,) = np.nonzero(np.abs(y_px - (y1 + y2) / 2) < reach_y)
        if not len(columns) or not len(rows):
            continue
        window = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        x, y = x_px[window[1]][None, :], y_px[window[0]][:, None]
        classes[(slice(None), *window)] = 0
        classes[(labels[index], *window)] = 1
        foreground[window] = 1
        for side, distance in enumerate((x - x1, y - y1, x2 - x, y2 - y)):
            distances[(side, *window)] = np.maximum(distance, 0.1)
    return classes, distances, foreground
