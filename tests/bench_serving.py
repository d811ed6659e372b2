"""`make bench BENCH=serving`: a real tritonserver beside bare ONNX Runtime, and twice its capacity for a minute.

Numbers for people; nothing here is a test. ``LAKEGATE_BENCH_S`` shortens the minute.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import tests.environment  # noqa: F401  first: it sets variables that numpy and torch read when imported

ROOT = Path(__file__).resolve().parents[1]
N_ANSWERS = 200
LOAD_S = float(os.environ.get("LAKEGATE_BENCH_S") or 60)
THREADS = 2
INPUT_PX = (320, 320)
LABELS = ("a", "b", "c")


def export_detector(folder: Path, photo: Path) -> Path:
    """Return the built-in detector with random weights, exported with a 320 px input."""
    import torch

    from lakegate.catalog import parse_model
    from lakegate.engines.onnx_export import export_onnx
    from lakegate.training.architectures import build

    declaration = parse_model("bench", '[data]\ntrain = ["bench-set"]\n[export]\nparity_atol = 1e-2')
    torch.manual_seed(0)
    torch.save(build("tiny-detector", len(LABELS), INPUT_PX).state_dict(), folder / "model.pt")
    return export_onnx(folder / "model.pt", declaration, LABELS, folder / "model.onnx", {}, [photo], THREADS).path


def a_photo(folder: Path) -> Path:
    """Write a 640 x 480 JPEG."""
    import numpy as np
    from PIL import Image

    coarse = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    path = folder / "photo.jpg"
    Image.fromarray(coarse).resize((640, 480)).save(path, quality=90)
    return path


def latencies_ms(action: Callable[[], object]) -> list[float]:
    """Return sorted wall times, one at a time, after some that do not count."""
    found = []
    for number in range(N_ANSWERS + 10):
        started = time.perf_counter()
        action()
        if number >= 10:
            found.append((time.perf_counter() - started) * 1000)
    return sorted(found)


def print_latency(what: str, times_ms: list[float], bare_ms: list[float]) -> None:
    """Print median, p99, throughput, and how many times as long as the bare network it takes."""
    median, bare = times_ms[len(times_ms) // 2], bare_ms[len(bare_ms) // 2]
    p99 = times_ms[int(len(times_ms) * 0.99)]
    rate = 1000 * len(times_ms) / sum(times_ms)
    print(f"{what:<42} {median:>9.1f} {p99:>9.1f} {rate:>11.1f} {median / bare:>9.2f}")


def bench_latency(server: object, files: object, photo: Path) -> None:
    """One client that waits for each answer, over both protocols and with both kinds of image."""
    import numpy as np

    from lakegate.engines.onnx_session import OnnxModel
    from lakegate.imaging import read_image, to_input
    from tests.serving.spots import as_evaluated

    data, pixels = photo.read_bytes(), read_image(photo)
    bare = OnnxModel(files.onnx, THREADS)
    batch = to_input(pixels, INPUT_PX).pixels[np.newaxis]
    bare_ms = latencies_ms(lambda: bare.infer(batch))
    print(f"{'one client':<42} {'p50 ms':>9} {'p99 ms':>9} {'answers/s':>11} {'ratio':>9}")
    print_latency("bare ONNX Runtime, ready batch of 1", bare_ms, bare_ms)
    for protocol in ("http", "grpc"):
        for kind, image in (("JPEG", data), ("pixels", pixels)):
            same = server.predict(files.model, image, protocol) == as_evaluated(files, image)
            words = f"Triton, {protocol}, 640x480 {kind}{'' if same else ' (ANSWERS DIFFER)'}"
            times_ms = latencies_ms(lambda image=image, protocol=protocol: server.predict(files.model, image, protocol))
            print_latency(words, times_ms, bare_ms)


def bench_overload(server: object, memory: Callable[[], int]) -> None:
    """Twice the capacity, from a second process."""
    before = memory()
    command = [sys.executable, "-m", "tests.serving.load", server.http, "spots", "2", str(LOAD_S)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    print(f"\ntwice the capacity ({result['capacity_per_s']:.0f}/s) for {LOAD_S:.0f} s: {result['counts']}")
    grown_mib = (memory() - before) / 2**20
    print(f"p99 of what was answered: {result['p99_s'] * 1000:.0f} ms; the server's memory grew by {grown_mib:.0f} MiB")


def main() -> None:
    """Print the tables."""
    from infra.triton_environment import find_or_install
    from infra.triton_server import start_triton, stop_triton
    from lakegate.declarations import OperatingTable
    from lakegate.serving.model_files import fill, repository_dir
    from lakegate.serving.server import TritonServer
    from lakegate.settings import Settings
    from tests.serving.spots import spots_files, write_spots
    from tests.serving.test_triton_load import memory_of

    with tempfile.TemporaryDirectory(prefix="lakegate-bench-") as temporary:
        folder = Path(temporary)
        settings = Settings(checkout=folder, home=folder / "home", threads=THREADS)
        photo = a_photo(folder)
        cut = OperatingTable(score_threshold=0.035)
        network = {"labels": LABELS, "input_px": INPUT_PX, "operating": cut, "threads": THREADS}
        files = spots_files(export_detector(folder, photo), model="detector", **network)
        slow = spots_files(write_spots(folder / "slow.onnx", burns=12))
        try:
            address = start_triton(settings, find_or_install(print), "staging", print)
            server = TritonServer(address.http, address.grpc, "staging")
            for one in (files, slow):
                fill(repository_dir(settings, "staging"), one)
                server.load(one.model)
            bench_latency(server, files, photo)
            bench_overload(server, lambda: memory_of(settings))
        finally:
            stop_triton(settings.home, "staging")


if __name__ == "__main__":
    main()
