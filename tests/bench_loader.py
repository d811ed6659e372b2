"""A torch loader over a version beside the same loader over a plain folder of the same pictures."""

import time
from pathlib import Path
from typing import Any

from tests.bench_rows import Row

N_PICTURES = 1200
REPEATS = 5
WANTED = 0.95


def bench_loader(folder: Path) -> list[Row]:
    """Decode 640x480 JPEG pictures through both; the best of some repeats in turn."""
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

    best = {"ours": float("inf"), "plain": float("inf")}
    for _ in range(REPEATS):
        for name, chosen in (("ours", over_version), ("plain", Plain())):
            started = time.perf_counter()
            for _ in DataLoader(chosen, batch_size=32, num_workers=0):
                pass
            best[name] = min(best[name], time.perf_counter() - started)
    speeds = {name: N_PICTURES / seconds for name, seconds in best.items()}
    row = Row("loader over a version, 640x480 JPEG", speeds["ours"], speeds["plain"], "same loader, plain folder", "images/s")
    return [Row(**{**vars(row), "wanted": WANTED, "less_is_better": False})]


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
