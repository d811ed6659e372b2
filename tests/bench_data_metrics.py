"""Bench rows of the image metrics: images per second of one core, next to cleanvision in an environment of its own.

``python -m tests.bench_data_metrics`` prints them; ``make bench BENCH=data`` takes them over.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import simplejpeg

from lakegate.quality.images import measure_many

PEER = "cleanvision==0.3.7"
SIZES_PX = {"640x480": (640, 480, 300), "1920x1080": (1920, 1080, 60)}  # width, height, how many
NOISE = {"640x480": 20, "1920x1080": 16}  # grey levels; gives 71 KB and 390 KB, as the pictures that the limits come from
LIMITS = {"640x480": 1000.0, "1920x1080": 180.0}  # images per second and core, of the issue
ROUNDS = 3
_ALONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
_PEER_CODE = """
import json, sys, time
from cleanvision import Imagelab
lab = Imagelab(data_path=sys.argv[1])
start = time.process_time()
lab.find_issues(n_jobs=1, verbose=False)
print(json.dumps(time.process_time() - start))
"""
Row = dict[str, object]


def bench_rows(folder: Path) -> list[Row]:
    """Measure our metrics and cleanvision's on the same files, written to ``folder``; CPU seconds of one process.

    Returns:
        Rows ``{name, ours, peer, peer_name, unit}``; ``peer`` is the limit of the issue where ``peer_name`` is "limit".
    """
    rows: list[Row] = []
    for name, (width_px, height_px, number) in SIZES_PX.items():
        images = write_pictures(folder / name, (width_px, height_px), number, NOISE[name])
        ours, decoding = our_rates(images)
        reason = f"reading, hashing and strictly decoding them at half size, alone: {decoding:.0f} images/s on this core"
        rows.append(_row(f"image metrics per core, {name}", ours, LIMITS[name], "limit") | {"reason": reason})
        if name == "640x480":
            peer = peer_rate(images[0].parent, number)
            rows.append(_row(f"image metrics per core, {name}, next to cleanvision", ours, peer, PEER))
    return rows


def write_pictures(folder: Path, size_px: tuple[int, int], number: int, noise: float) -> list[Path]:
    """Write JPEGs (quality 88) of ``size_px`` (width, height) with the detail of photographs; ``noise`` sets the file size."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{one:04d}.jpg" for one in range(number)]
    for one, path in enumerate(paths):
        random = np.random.default_rng(one)
        coarse = random.integers(0, 255, (12, 16, 3), dtype=np.uint8)
        picture = cv2.resize(coarse, size_px, interpolation=cv2.INTER_CUBIC).astype(np.float32)
        picture += cv2.GaussianBlur(random.normal(0, noise, picture.shape).astype(np.float32), (0, 0), 0.8)
        pixels = np.clip(picture, 0, 255).astype(np.uint8)
        path.write_bytes(simplejpeg.encode_jpeg(pixels, quality=88, colorsubsampling="420"))
    return paths


def our_rates(images: list[Path]) -> tuple[float, float]:
    """Return images per CPU second, reading and hashing included, without the cache, and of reading and decoding alone."""
    code = f"from tests.bench_data_metrics import cpu_seconds; print(*cpu_seconds({str(images[0].parent)!r}))"
    root = Path(__file__).resolve().parents[1]
    environment = os.environ | _ALONE | {"PYTHONPATH": str(root)}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    whole_s, decoding_s = map(float, found.stdout.split())
    return len(images) / whole_s, len(images) / decoding_s


def cpu_seconds(folder: str) -> tuple[float, float]:
    """Measure every picture of a folder in this process, on one thread, then decode them only; the best of three rounds."""
    cv2.setNumThreads(1)
    pairs = [(path.name, path) for path in sorted(Path(folder).glob("*.jpg"))]
    measure_many(pairs[:4], threads=1)
    spent: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        start = time.process_time()
        assert not measure_many(pairs, threads=1).broken
        between = time.process_time()
        for _, path in pairs:
            _decode_half(path)
        spent.append((between - start, time.process_time() - between))
    return min(whole for whole, _ in spent), min(decoding for _, decoding in spent)


def _decode_half(path: Path) -> None:
    data = path.read_bytes()
    hashlib.sha256(data)
    height, width, *_ = simplejpeg.decode_jpeg_header(data)
    simplejpeg.decode_jpeg(data, colorspace="GRAY", min_width=width // 2, min_height=height // 2, strict=True)


def peer_rate(folder: Path, number: int) -> float:
    """Return cleanvision's images per CPU second with one job; its environment is made once below ``~/.cache``."""
    python = _peer_environment()
    environment = os.environ | _ALONE
    environment.pop("PYTHONPATH", None)
    found = subprocess.run(
        [python, "-c", _PEER_CODE, str(folder)], env=environment, capture_output=True, text=True, check=True
    )
    return number / float(json.loads(found.stdout.splitlines()[-1]))


def _peer_environment() -> Path:
    folder = Path.home() / ".cache" / "lakegate" / "bench" / PEER.replace("==", "-")
    python, whole = folder / "bin" / "python", folder / "whole"
    if not whole.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", PEER], check=True)
        whole.touch()
    return python


def _row(name: str, ours: float, peer: float, peer_name: str) -> Row:
    return {"name": name, "ours": round(ours, 1), "peer": round(peer, 1), "peer_name": peer_name, "unit": "images/s"}


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        for row in bench_rows(Path(folder)):
            print(json.dumps(row))
