"""Rows of the matrix bench about predicting: through Lakegate against bare ONNX Runtime, and cached against computed.

Bare ONNX Runtime gets the batches ready in memory, as many threads, and of two ways to use them the faster one. The networks
have chance weights, so their heads are set to what a trained one does: many locations pass the score floor and NMS has work.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import tests.environment  # noqa: F401  first: it sets variables that numpy and torch read when imported
from lakegate import imaging
from lakegate.canonical import sha256_file
from lakegate.catalog import parse_model
from lakegate.detections import SCORE_FLOOR
from lakegate.evaluation.prediction_cache import PredictionCache
from lakegate.evaluation.predictions import (
    LazyModel,
    ModelUnderTest,
    PredictionSet,
    ReadyBatch,
    compute,
    decode_one,
    kept,
    predict,
    prediction_key,
    read_batch,
)
from lakegate.lake.local_version import LocalImage
from lakegate.settings import Settings
from lakegate.task_types.registry import task_type
from tests.bench_rows import Row
from tests.conftest import samples_folder

BATCH = 8
LABELS = ("a", "b", "c")
THREADS = 2
CANDIDATES = 0.1  # of all locations; a detector of blood cells leaves as many after its training, or more
N_PROFILED = 8


@dataclass(frozen=True)
class Network:
    """A detector to measure, on so many images in so many rounds."""

    name: str
    architecture: str
    input_px: tuple[int, int]
    n_images: int
    rounds: int


SMALL = Network("320 px network", "tiny-detector", (320, 320), 192, 5)
USUAL = Network("640 px ResNet-18", "torchvision:resnet18", (640, 640), 16, 3)


def bench_rows(folder: Path) -> list[Row]:
    """Measure on photographs of 640 x 480 px (bccd), ours and bare in turns."""
    small, usual = _Measured(SMALL, folder / "small"), _Measured(USUAL, folder / "usual")
    bare, from_files, ready = small.turns(small.predict, small.predict_ready)
    bare_usual, usual_from_files = usual.turns(usual.predict)
    again_s = min(_seconds(small.predict_again) for _ in range(SMALL.rounds))
    again, jpeg = SMALL.n_images / again_s, "predictions of 640x480 JPEG"
    return [
        _row(f"{jpeg}, {SMALL.name}", from_files, bare, small.parts()),
        _row(f"predictions of ready batches, {SMALL.name}", ready, bare, small.parts()),
        _row(f"{jpeg}, {USUAL.name}", usual_from_files, bare_usual, usual.parts()),
        Row("predictions from the cache", again, from_files, "computed", "images/s", wanted=10, less_is_better=False),
    ]


def _row(name: str, ours: float, bare: float, reason: str) -> Row:
    peer = f"bare ONNX Runtime, {THREADS} threads"
    return Row(name, ours, bare, peer, "images/s", 0.9, less_is_better=False, reason=reason)


class _Measured:
    """One network with its images, as files and as ready batches."""

    def __init__(self, network: Network, folder: Path) -> None:
        folder.mkdir()
        self.network, self.folder = network, folder
        self.images = _photographs(network.n_images)
        self.model = _exported(network, folder, [image.path for image in self.images.values()])
        self.lazy = LazyModel(self.model, THREADS)
        _ = self.lazy.onnx  # opened before the clock runs, as bare ONNX Runtime's sessions are
        inputs = list(self.images.values())
        cut = [inputs[start : start + BATCH] for start in range(0, len(inputs), BATCH)]
        self.ready = [read_batch(batch, network.input_px) for batch in cut]

    def turns(self, *ours: Callable[[], object]) -> list[float]:
        """Return images per second in the best round: of the better bare way, then of each of ``ours``."""
        bare = _bare_ways(self.folder / "model.onnx", [batch.pixels for batch in self.ready])
        ways = [*bare, *ours]
        rounds = [[_seconds(way) for way in ways] for _ in range(self.network.rounds)]
        best_s = np.min(rounds, axis=0)
        return [float(self.network.n_images / value) for value in (best_s[: len(bare)].min(), *best_s[len(bare) :])]

    def predict(self) -> PredictionSet:
        """Predict from the image files, with an empty cache."""
        self._home = self._empty_home()
        return self.predict_again()

    def predict_again(self) -> PredictionSet:
        """Predict with the cache as the last round left it."""
        return predict(self.model, self.images, Settings(home=self._home, checkout=self._home, threads=THREADS), self.lazy)

    def predict_ready(self) -> None:
        """Predict ready batches and keep what comes: streams, post-processing and cache without reading."""
        cache = PredictionCache(self._empty_home(), prediction_key(self.model))
        sources = [partial(_itself, batch) for batch in self.ready]
        for _ in kept(cache, compute(self.lazy, self.model, sources)):
            pass

    def parts(self) -> str:
        """Say what one image costs in ms of one core, part by part."""
        images = list(self.images.values())[:N_PROFILED]
        opened, task, batch = self.model.load(1), task_type("detection"), self.ready[0]
        raw = opened.infer(batch.pixels)

        def post_process() -> list[Any]:
            items = [item for _, item in batch.inputs]
            return [decode_one([output[slot] for output in raw], item, self.model) for slot, item in enumerate(items)]

        found = dict(zip((image.sha256 for image in images), post_process(), strict=True))
        cache = PredictionCache(self._empty_home(), prediction_key(self.model))
        with imaging.resize_threads(1):
            costs_ms = {
                "reading and resizing": _cpu_ms(lambda: read_batch(images, self.network.input_px)),
                "network": _cpu_ms(lambda: opened.infer(batch.pixels)),
                f"post-processing to {np.mean([len(item) for item in found.values()]):.0f} objects": _cpu_ms(post_process),
                "keeping": _cpu_ms(lambda: cache.write({sha256: task.pack(item) for sha256, item in found.items()})),
            }
        return "an image takes ms of one core: " + ", ".join(f"{name} {cost:.2f}" for name, cost in costs_ms.items())

    def _empty_home(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.folder))


def _itself(batch: ReadyBatch) -> ReadyBatch:
    return batch


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _cpu_ms(action: Callable[[], object]) -> float:
    """Return ms of this thread for each of ``N_PROFILED`` images, the least of three times."""
    times_s = []
    for _ in range(3):
        started = time.thread_time()
        action()
        times_s.append(time.thread_time() - started)
    return min(times_s) / N_PROFILED * 1000


def _photographs(n_images: int) -> dict[str, LocalImage]:
    paths = sorted((samples_folder() / "bccd" / "images").glob("*.jpg"))[:n_images]
    return {path.stem: LocalImage(path, sha256_file(path)) for path in paths}


def _exported(network: Network, folder: Path, paths: list[Path]) -> ModelUnderTest:
    import torch

    from lakegate.engines.onnx_export import export_onnx
    from lakegate.engines.onnx_session import OnnxModel
    from lakegate.training.architectures import build

    architecture = f'[architecture]\nname = "{network.architecture}"\ninput_px = {list(network.input_px)}'
    export = f"[export]\nbatch = [1, {BATCH}, {BATCH}]\nparity_atol = 1e-2"
    declaration = parse_model("bench", f'[data]\ntrain = ["bench-set"]\n{architecture}\n{export}')
    torch.manual_seed(0)
    module = build(network.architecture, len(LABELS), network.input_px)
    pictures = [LocalImage(path, "") for path in paths[:BATCH]]
    _set_head(module, torch.from_numpy(read_batch(pictures, network.input_px).pixels))
    torch.save(module.state_dict(), folder / "model.pt")
    exported = export_onnx(folder / "model.pt", declaration, LABELS, folder / "model.onnx", {}, paths[:BATCH], THREADS)
    load = lambda threads: OnnxModel(exported.path, threads)  # noqa: E731
    return ModelUnderTest("bench", "run", exported.sha256, declaration, LABELS, load)


def _set_head(module: Any, images_NCHW: Any) -> None:
    """Fit the batch norms to the images, and the scores' bias so that ``CANDIDATES`` of the locations reach the score floor."""
    import torch

    norms = [item for item in module.modules() if isinstance(item, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        module.train()(images_NCHW)
        logits, _ = module.eval().raw(images_NCHW)
        limit = np.quantile(logits.amax(dim=1).numpy(), 1 - CANDIDATES)
        module.classes.bias += float(np.log(SCORE_FLOOR / (1 - SCORE_FLOOR)) - limit)


def _bare_ways(path: Path, batches: Sequence[Any]) -> list[Callable[[], object]]:
    """ONNX Runtime with its own defaults but for the threads: one session with all of them, or one session for each."""
    import onnxruntime

    def session(threads: int) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(opened: Any, own: Sequence[Any]) -> list[Any]:
        return [opened.run(None, {"images": batch}) for batch in own]

    shared, single = session(THREADS), [session(1) for _ in range(THREADS)]

    def in_parallel() -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(run, single, [batches[number::THREADS] for number in range(THREADS)]))

    return [partial(run, shared, batches), in_parallel]


def main() -> None:
    """Print the rows alone."""
    from tests.bench_rows import print_table

    with tempfile.TemporaryDirectory(prefix="lakegate-bench-") as temporary:
        print_table(bench_rows(Path(temporary)))


if __name__ == "__main__":
    main()
