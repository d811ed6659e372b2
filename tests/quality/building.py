"""Small real image files and samples for the tests of quality."""

from pathlib import Path

import numpy as np
import simplejpeg

from lakegate.catalog import parse_dataset
from lakegate.declarations import DatasetDeclaration
from lakegate.samples import Annotation, ImportedSample, Sample

DECLARATION = 'task = "detection"\nlabels = ["cat", "dog"]\non_bad_sample = "{policy}"\n'


def a_declaration(policy: str = "quarantine", more: str = "") -> DatasetDeclaration:
    return parse_dataset("animals", DECLARATION.format(policy=policy) + more)


def write_jpeg(path: Path, seed: int = 0, size_px: tuple[int, int] = (64, 48), low: int = 60, high: int = 200) -> Path:
    """Write noise of ``size_px`` (width, height); another seed gives other bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise_HWC = np.random.default_rng(seed).integers(low, high, (size_px[1], size_px[0], 3), dtype=np.uint8)
    path.write_bytes(simplejpeg.encode_jpeg(noise_HWC, quality=90))
    return path


def a_sample(name: str, **changes) -> Sample:
    fields = {"width_px": 64, "height_px": 48, "annotations": (a_box(),), "split": "train", "group": name} | changes
    return Sample(name, **fields)


def a_box(x: float = 4, y: float = 4, width: float = 20, height: float = 10, label: str = "cat", **more) -> Annotation:
    return Annotation(label, (x, y, width, height), **more)


def good_imports(folder: Path, n: int = 4) -> list[ImportedSample]:
    """Return ``n`` good samples ``good0`` …, every second one in the test split."""
    return [
        ImportedSample(
            a_sample(f"good{number}", split="test" if number % 2 else "train"),
            write_jpeg(folder / f"good{number}.jpg", number + 1),
        )
        for number in range(n)
    ]
