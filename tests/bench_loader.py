"""A torch loader over a version beside the same loader over a plain folder of the same pictures."""

import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench_rows import Row

N_PICTURES = 1200
BATCH = 25
ROUNDS = 4
WANTED = 0.95


def bench_loader(folder: Path) -> list[Row]:
    """Decode 640x480 JPEG pictures through both, a batch each in turn, so that other work on the machine hits both alike."""
    from torch.utils.data import DataLoader, Dataset

    from lakegate.imaging import read_image
    from lakegate.lake.client import LakeClient
    from lakegate.samples import ImportedSample, Sample
    from lakegate.training.version_dataset import VersionDataset
    from tests.bench_versions import lakefs
    from tests.lake.story import publish_version

    paths = _write_pictures(folder / "pictures")
    with lakefs(folder / "home") as settings:
        samples = [ImportedSample(Sample(path.stem, 640, 480, group=path.stem), path) for path in paths]
        publish_version(LakeClient(settings), settings, "bench-pictures", "v1", samples)
        over_version: VersionDataset[Any] = VersionDataset.open(
            "bench-pictures@v1", transform=lambda item: item.image[0, 0].copy(), settings=settings
        )

    class Plain(Dataset[Any]):
        def __len__(self) -> int:
            return len(paths)

        def __getitem__(self, index: int) -> Any:
            return read_image(paths[index])[0, 0].copy()

    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    for number in range(-1, ROUNDS):  # the first round brings both into the page cache and is not counted
        turns = {"ours": DataLoader(over_version, batch_size=BATCH), "plain": DataLoader(Plain(), batch_size=BATCH)}
        running = {name: iter(loader) for name, loader in turns.items()}
        for place in range(N_PICTURES // BATCH):
            for name in sorted(running, reverse=bool(place % 2)):
                started = time.perf_counter()
                next(running[name])
                if number >= 0:
                    seconds[name].append(time.perf_counter() - started)
    speeds = {name: BATCH / median(found) for name, found in seconds.items()}
    row = Row("loader over a version, 640x480 JPEG", speeds["ours"], speeds["plain"], "same loader, plain folder", "images/s")
    return [replace(row, wanted=WANTED, less_is_better=False)]


def _write_pictures(folder: Path) -> list[Path]:
    import numpy as np
    from PIL import Image

    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    paths = []
    for number in range(N_PICTURES):
        coarse = random.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        paths.append(folder / f"{number:05d}.jpg")
        Image.fromarray(coarse).resize((640, 480)).save(paths[-1], quality=90)
    return paths
