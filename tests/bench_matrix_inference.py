"""Rows of the matrix bench about predicting: through Lakegate against bare ONNX Runtime, and cached against computed."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tests.environment  # noqa: F401  first: it sets variables that numpy and torch read when imported
from lakegate.canonical import sha256_file
from lakegate.catalog import parse_model
from lakegate.evaluation.predictions import ModelUnderTest, PredictionSet, predict, read_input
from lakegate.lake.local_version import LocalImage
from lakegate.settings import Settings
from tests.bench_rows import Row
from tests.conftest import samples_folder

N_IMAGES = 192
BATCH = 8
ROUNDS = 5
LABELS = ("a", "b", "c")
THREADS = 2


def bench_rows(folder: Path) -> list[Row]:
    """Measure on photographs of 640 x 480 px (bccd) and a detector of 320 x 320 px with chance weights, in turns."""
    images = _photographs()
    model, path = _exported(folder, [image.path for image in images.values()])
    batches = _batches(list(images.values()))
    session = _bare_session(path)
    ours: list[float] = []
    bare: list[float] = []
    for _ in range(ROUNDS):
        bare.append(_seconds(lambda: [session.run(None, {"images": batch}) for batch in batches]))
        home = Path(tempfile.mkdtemp(dir=folder))
        ours.append(_seconds(lambda home=home: _predict(model, images, home)))  # type: ignore[misc]
    reading = min(_seconds(lambda: [read_input(item, (320, 320)) for item in images.values()]) for _ in range(ROUNDS))
    again = min(_seconds(lambda: _predict(model, images, home)) for _ in range(ROUNDS))
    n = len(images)
    return [
        Row(
            "predictions of 640x480 JPEG, 320 px network",
            n / min(ours),
            n / min(bare),
            f"bare ONNX Runtime, {THREADS} threads",
            "images/s",
            wanted=0.9,
            less_is_better=False,
            reason=f"reading and resizing the photographs takes {reading:.1f} s of one core beside {min(ours):.1f} s in all",
        ),
        Row("predictions from the cache", n / again, n / min(ours), "computed", "images/s", wanted=10, less_is_better=False),
    ]


def _predict(model: ModelUnderTest, images: dict[str, LocalImage], home: Path) -> PredictionSet:
    return predict(model, images, Settings(home=home, checkout=home, threads=THREADS))


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _photographs() -> dict[str, LocalImage]:
    paths = sorted((samples_folder() / "bccd" / "images").glob("*.jpg"))[:N_IMAGES]
    return {path.stem: LocalImage(path, sha256_file(path)) for path in paths}


def _exported(folder: Path, paths: list[Path]) -> tuple[ModelUnderTest, Path]:
    import torch

    from lakegate.engines.onnx_export import export_onnx
    from lakegate.engines.onnx_session import OnnxModel
    from lakegate.training.architectures import build

    declaration = parse_model("bench", '[data]\ntrain = ["bench-set"]\n[export]\nparity_atol = 1e-2')
    torch.manual_seed(0)
    torch.save(build("tiny-detector", len(LABELS), (320, 320)).state_dict(), folder / "model.pt")
    exported = export_onnx(folder / "model.pt", declaration, LABELS, folder / "model.onnx", {}, paths[:8], THREADS)
    load = lambda threads: OnnxModel(exported.path, threads)  # noqa: E731
    return ModelUnderTest("bench", "run", exported.sha256, declaration, LABELS, load), exported.path


def _batches(images: list[LocalImage]) -> list[Any]:
    inputs = [read_input(image, (320, 320)).pixels for image in images]
    return [np.stack(inputs[start : start + BATCH]) for start in range(0, len(inputs), BATCH)]


def _bare_session(path: Path) -> Any:
    """ONNX Runtime with its own defaults but for the number of threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def main() -> None:
    """Print the rows alone."""
    from tests.bench_rows import print_table

    with tempfile.TemporaryDirectory(prefix="lakegate-bench-") as temporary:
        print_table(bench_rows(Path(temporary)))


if __name__ == "__main__":
    main()
