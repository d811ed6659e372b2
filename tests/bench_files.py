"""The files that `make bench BENCH=data` versions: images of random bytes with a label file each, and a second version."""

import os
import random
from pathlib import Path

from lakegate.samples import Annotation, Sample

LABELS = ("car", "person", "bicycle")
MIN_BYTES, MAX_BYTES = 20_000, 100_000
CHANGED_SHARE, ADDED_SHARE = 0.01, 0.01
DECLARATION = f'task = "detection"\nlabels = {list(LABELS)}\n'.replace("'", '"')


def write_first(folder: Path, n_images: int, min_bytes: int = MIN_BYTES, max_bytes: int = MAX_BYTES) -> None:
    """Write version 1: ``images/<number>.jpg`` (not pictures: random bytes), ``annotations/<number>.json``, the declaration."""
    for name in ("images", "annotations"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "dataset.toml").write_text(DECLARATION)
    draw = random.Random(0)
    for number in range(n_images):
        _write(folder, number, draw, min_bytes, max_bytes)


def write_second(folder: Path, n_images: int, n_changed: int, n_added: int, max_bytes: int = MAX_BYTES) -> int:
    """Make version 2 of it: images and label files of some samples are other ones, some are new; returns the bytes written."""
    draw = random.Random(1)
    step = n_images // n_changed
    numbers = [step * place for place in range(n_changed)] + list(range(n_images, n_images + n_added))
    return sum(_write(folder, number, draw, min(MIN_BYTES, max_bytes), max_bytes) for number in numbers)


def _write(folder: Path, number: int, draw: random.Random, min_bytes: int, max_bytes: int) -> int:
    name = f"{number:06d}"
    data = os.urandom(draw.randint(min_bytes, max_bytes))
    objects = tuple(
        Annotation(draw.choice(LABELS), (draw.randint(0, 500), draw.randint(0, 400), draw.randint(9, 99), draw.randint(9, 79)))
        for _ in range(draw.randint(1, 6))
    )
    labels = Sample(name, 640, 480, objects, "test" if number % 5 == 0 else "train", group=name).to_json()
    (folder / "images" / f"{name}.jpg").write_bytes(data)
    (folder / "annotations" / f"{name}.json").write_bytes(labels)
    return len(data) + len(labels)
