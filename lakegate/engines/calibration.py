"""Which images int8 scales come from: drawn from pinned, attested versions, and written down one by one."""

from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from lakegate.canonical import exact_json, sha256_bytes
from lakegate.errors import EngineNotBuilt
from lakegate.imaging import FloatArray, read_image, to_input
from lakegate.lake.local_version import LocalVersion
from lakegate.samples import Sample

CALIBRATION_IMAGES = 256  # more changed nothing in our measurements


class CalibrationImage(BaseModel):
    """One image by name and bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sample: str  # dataset@tag/<sample id>
    sha256: str


class CalibrationSet(BaseModel):
    """The images in the order of use, and the commits that they were read at."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    commits: dict[str, str]  # dataset@tag: commit
    images: tuple[CalibrationImage, ...]

    @property
    def digest(self) -> str:
        """SHA-256 over the images' bytes in the order of use; where they lie does not matter."""
        return sha256_bytes(exact_json([item.sha256 for item in self.images]))


def choose_images(versions: Sequence[LocalVersion], count: int = CALIBRATION_IMAGES) -> tuple[CalibrationSet, list[Path]]:
    """Draw up to ``count`` training images, taking turns between versions and between the labels that images hold.

    The draw is by hash: the same versions give the same images everywhere.

    Raises:
        EngineNotBuilt: no version holds a training image.
    """
    queues = [_in_turns(version) for version in versions]
    drawn = [item for item in chain.from_iterable(zip_longest(*queues)) if item is not None][:count]
    if not drawn:
        raise EngineNotBuilt("int8: no training image to calibrate with; publish a version with a train split")
    images = tuple(
        CalibrationImage(sample=f"{version.version.reference}/{sample.id}", sha256=version.images[sample.id].sha256)
        for version, sample in drawn
    )
    commits = {version.version.reference: version.version.commit for version in versions}
    return CalibrationSet(commits=commits, images=images), [version.images[sample.id].path for version, sample in drawn]


def _in_turns(version: LocalVersion) -> Iterator[tuple[LocalVersion, Sample]]:
    """Yield the training samples so that each combination of labels comes as early as every other."""
    groups: dict[tuple[str, ...], list[Sample]] = {}
    for sample in sorted(version.samples_in(split="train"), key=lambda item: sha256_bytes(item.id.encode())):
        groups.setdefault(tuple(sorted({item.label for item in sample.annotations})), []).append(sample)
    for turn in zip_longest(*(groups[key] for key in sorted(groups))):
        yield from ((version, sample) for sample in turn if sample is not None)


def read_inputs(paths: Sequence[Path], input_px: tuple[int, int]) -> Iterator[FloatArray]:
    """Yield batches of one image as the network gets them, float32 (1, 3, H, W)."""
    for path in paths:
        yield to_input(read_image(path), input_px).pixels[None]
