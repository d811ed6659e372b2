"""A tiny dataset version on disk: bright and dark squares on noise, seconds to train on."""

from pathlib import Path

import numpy as np
from PIL import Image

from lakegate.canonical import sha256_file
from lakegate.catalog import parse_dataset, parse_model
from lakegate.declarations import ModelDeclaration
from lakegate.lake.local_version import DatasetVersion, LocalImage, LocalVersion
from lakegate.samples import Annotation, Sample, Split

DATASET_TOML = """
task = "detection"
labels = ["bright", "dark"]
[slices.first]
where = 'name <= "square-3"'
"""


def make_version(
    folder: Path, n: int = 8, dataset: str = "squares", split: Split = "train", toml: str = DATASET_TOML, side_px: int = 96
) -> LocalVersion:
    """Write ``n`` images with two squares each."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(5)
    samples, images = [], {}
    for index in range(n):
        pixels = random.integers(90, 150, (side_px, side_px, 3), dtype=np.uint8)
        annotations = []
        for label, value in (("bright", 250), ("dark", 5)):
            x, y = (int(value) for value in random.integers(2, side_px - 34, 2))
            pixels[y : y + 28, x : x + 28] = value
            annotations.append(Annotation(label, (float(x), float(y), 28.0, 28.0)))
        name = f"square-{index}"
        path = folder / f"{name}.png"
        Image.fromarray(pixels).save(path)
        samples.append(Sample(name, side_px, side_px, tuple(annotations), split=split, group=name))
        images[name] = LocalImage(path, sha256_file(path))
    version = DatasetVersion(dataset, "v1", "c" * 64, "d" * 64)
    return LocalVersion(version, parse_dataset(dataset, toml), tuple(samples), images)


def make_model(train: str = '["squares"]', epochs: int = 2, extra: str = "", side_px: int = 64) -> ModelDeclaration:
    """A declaration that trains on the squares."""
    text = f"""
[data]
train = {train}
[architecture]
input_px = [{side_px}, {side_px}]
[training]
epochs = {epochs}
batch_size = 4
{extra}
"""
    return parse_model("squares", text)
