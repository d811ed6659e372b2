"""Tiny versions on disk for classifiers and segmenters: seconds to train on."""

from pathlib import Path

import numpy as np
from PIL import Image

from lakegate.canonical import sha256_file
from lakegate.catalog import parse_dataset, parse_model
from lakegate.declarations import ModelDeclaration
from lakegate.lake.local_version import DatasetVersion, LocalImage, LocalVersion
from lakegate.masks import box_of_rle, rle_of_mask
from lakegate.samples import Annotation, Sample

SIDE_PX = 64
LABELS = ("bright", "dark")


def make_other_version(folder: Path, task: str, n: int = 8) -> LocalVersion:
    """Write ``n`` images of noise with one bright or dark disc each: a label of the image, or a mask."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(3)
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX]
    samples, images = [], {}
    for index in range(n):
        pixels = random.integers(90, 150, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
        y, x = random.integers(18, SIDE_PX - 18, 2)
        disc = (rows - y) ** 2 + (columns - x) ** 2 < 16**2
        pixels[disc] = (250, 5)[index % 2]
        name = f"disc-{index}"
        Image.fromarray(pixels).save(folder / f"{name}.png")
        mask = rle_of_mask(disc)
        label = LABELS[index % 2]
        one = Annotation(label) if task == "classification" else Annotation(label, box_of_rle(mask), rle=mask)
        samples.append(Sample(name, SIDE_PX, SIDE_PX, (one,), group=name))
        images[name] = LocalImage(folder / f"{name}.png", sha256_file(folder / f"{name}.png"))
    declaration = parse_dataset("discs", f"task = '{task}'\nlabels = {list(LABELS)}\n")
    return LocalVersion(DatasetVersion("discs", "v1", "c" * 64, "d" * 64), declaration, tuple(samples), images)


def make_other_model(name: str, epochs: int = 6, extra: str = "") -> ModelDeclaration:
    """A declaration that trains the network ``name`` on the discs."""
    text = f"""
[data]
train = ["discs"]
[architecture]
name = "{name}"
input_px = [{SIDE_PX}, {SIDE_PX}]
[training]
epochs = {epochs}
batch_size = 4
[export]
batch = [1, 2, 2]
parity_atol = 1e-4
{extra}
"""
    return parse_model("discs", text)
