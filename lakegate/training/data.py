"""Training data: images resized once, then batches with targets, the same for the same seed and epoch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lakegate.declarations import Flip
from lakegate.errors import BadInput
from lakegate.imaging import ByteArray, read_image, resize
from lakegate.lake.local_version import LocalVersion
from lakegate.samples import Sample
from lakegate.training.flipping import draw_flips, flip_pixels
from lakegate.training.job import TrainingJob, VersionSample
from lakegate.training.parts import Arrays, TrainingPart
from lakegate.training.process_group import ALONE, ProcessGroup

IMAGES_IN_MEMORY_BYTES = 2 * 1024**3  # above this, images are decoded anew for every batch


@dataclass(frozen=True)
class TrainingImage:
    """One image's file, and what the task's part knows of it."""

    name: str
    path: Path
    size_px: tuple[int, int]
    known: Arrays


@dataclass(frozen=True)
class Batch:
    """This process's images uint8 (N, H, W, 3) and the targets of the task's part, each stacked to (N, ...).

    ``names`` are those of all processes.
    """

    names: tuple[str, ...]
    images: ByteArray
    targets: Arrays


class TrainingSet:
    """Images of a job. They are decoded and resized once and kept as uint8 up to ``memory_limit_bytes``.

    Of several processes, each gets its share of every batch, perhaps no image of a short one.
    """

    def __init__(
        self,
        job: TrainingJob,
        part: TrainingPart,
        chosen: Sequence[VersionSample],
        group: ProcessGroup = ALONE,
        memory_limit_bytes: int = IMAGES_IN_MEMORY_BYTES,
    ) -> None:
        self.input_px = job.model.architecture.input_px
        self.part, self.group = part, group
        self.flips = job.model.training.flips
        self.n_samples: dict[str, int] = {}
        for version, _ in chosen:
            dataset = version.version.dataset
            self.n_samples[dataset] = self.n_samples.get(dataset, 0) + 1
        self.images = [self._to_training_image(version, sample) for version, sample in chosen]
        height, width = self.input_px
        self.fits_in_memory = len(self.images) * height * width * 3 * group.size <= memory_limit_bytes
        self._pixels = [self._decode(item) for item in self.images] if self.fits_in_memory else []

    def __len__(self) -> int:
        return len(self.images)

    def batches(self, seed: int, epoch: int, batch_size: int) -> Iterator[Batch]:
        """Shuffle, flip at random, and cut into batches; the order depends on ``seed`` and ``epoch`` only."""
        random = np.random.default_rng([seed, epoch])
        order = random.permutation(len(self.images))
        for start in range(0, len(order), batch_size):
            indices = order[start : start + batch_size].tolist()
            yield self._batch([(index, draw_flips(random, self.flips, self.input_px)) for index in indices])

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """Cut into batches as they come, without flips."""
        for start in range(0, len(self.images), batch_size):
            yield self._batch([(index, ()) for index in range(start, min(start + batch_size, len(self.images)))])

    def targets(self) -> Iterator[Arrays]:
        """Return the targets of each image as a batch of one, without flips; all images, in every process."""
        for item in self.images:
            yield tuple(array[None] for array in self.part.targets(item.known, ()))

    def _batch(self, chosen: Sequence[tuple[int, Sequence[Flip]]]) -> Batch:
        share = chosen[self.group.rank :: self.group.size]
        shown = share or chosen[:1]  # for the shapes only
        pixels = np.stack([flip_pixels(self._image(index), flips) for index, flips in shown])
        targets = [self.part.targets(self.images[index].known, flips) for index, flips in shown]
        names = tuple(self.images[index].name for index, _ in chosen)
        stacked = (np.stack(arrays)[: len(share)] for arrays in zip(*targets, strict=True))
        return Batch(names, pixels[: len(share)], tuple(stacked))

    def _image(self, index: int) -> ByteArray:
        return self._pixels[index] if self._pixels else self._decode(self.images[index])

    def _to_training_image(self, version: LocalVersion, sample: Sample) -> TrainingImage:
        name = f"{version.version.dataset}/{sample.id}"
        path = version.images[sample.id].path
        return TrainingImage(name, path, (sample.height_px, sample.width_px), self.part.read(name, sample))

    def _decode(self, item: TrainingImage) -> ByteArray:
        image = read_image(item.path)
        if image.shape[:2] != item.size_px:
            raise BadInput(
                f"{item.name}: the annotations are for {item.size_px[1]} × {item.size_px[0]} px, the image has "
                f"{image.shape[1]} × {image.shape[0]}; publish the dataset again with images that fit"
            )
        return resize(image, self.input_px)[0]
