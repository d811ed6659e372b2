"""Predictions of one model on many images: cached, batched, and images read ahead while the network runs."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np

from lakegate import imaging
from lakegate.canonical import exact_json, sha256_bytes
from lakegate.declarations import ModelDeclaration, ModelTask
from lakegate.engines.onnx_session import OnnxModel
from lakegate.errors import ChecksumMismatch
from lakegate.evaluation.prediction_cache import PredictionCache, PredictionKey
from lakegate.imaging import FloatArray, InputImage, read_image, to_input
from lakegate.lake.local_version import LocalImage
from lakegate.settings import Settings
from lakegate.task_types.registry import task_type

BATCHES_AHEAD = 2


@dataclass(frozen=True)
class ModelUnderTest:
    """A model to judge. ``load`` opens its ONNX file, and is called only where something must be computed."""

    name: str
    run_id: str
    model_sha256: str
    declaration: ModelDeclaration
    labels: tuple[str, ...]
    load: Callable[[], OnnxModel]
    trained_on: frozenset[str] = frozenset()  # SHA-256 of the images of its training splits
    size_bytes: int = 0
    task: ModelTask = "detection"

    @property
    def title(self) -> str:
        """``model run id``, as pages show it."""
        return f"{self.name} {self.run_id}"


@dataclass(frozen=True)
class PredictionSet:
    """Predictions of the task type by sample id; how many images went through the network, how many came from the cache."""

    predictions: dict[str, Any]
    n_inferred: int
    n_cached: int


class LazyModel:
    """Opens the model at the first use; ``n_sessions`` says whether that happened."""

    def __init__(self, model: ModelUnderTest) -> None:
        self._model = model
        self.n_sessions = 0

    @cached_property
    def onnx(self) -> OnnxModel:
        """The opened model; raises ``ChecksumMismatch`` where it is not the file that the run recorded."""
        opened = self._model.load()
        if opened.sha256 != self._model.model_sha256:
            raise ChecksumMismatch(
                f"the ONNX file of {self._model.title} has SHA-256 {opened.sha256[:12]}, its run recorded "
                f"{self._model.model_sha256[:12]}; fetch the run again"
            )
        self.n_sessions += 1
        return opened


def prediction_key(model: ModelUnderTest) -> PredictionKey:
    """Return what the model's predictions are cached by: the file, both processing digests, and the runtime."""
    parts = [imaging.PREPROCESSING_DIGEST, task_type(model.task).processing_digest(model.declaration.operating)]
    return PredictionKey(model.model_sha256, sha256_bytes(exact_json(parts)), runtime_name())


def runtime_name() -> str:
    """``onnxruntime <version>``; predictions of another version are not reused."""
    return f"onnxruntime {version('onnxruntime')}"


def predict(
    model: ModelUnderTest,
    images: Mapping[str, LocalImage],
    settings: Settings,
    lazy: LazyModel | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PredictionSet:
    """Predict on all images, those in the cache excepted; two samples with equal bytes are computed once.

    Args:
        images: by sample id.
        lazy: the opened model, where several calls share it.
        progress: called with (images done, images to compute).

    Raises:
        ChecksumMismatch: the model's file is not the one that was recorded.
        BadImage: an image cannot be decoded.
    """
    task = task_type(model.task)
    cache = PredictionCache(settings.cache_dir, prediction_key(model))
    known: dict[str, Any] = {}
    missing: dict[str, LocalImage] = {}
    for image in images.values():
        if image.sha256 in known or image.sha256 in missing:
            continue
        cached = cache.read(image.sha256)
        if cached is None:
            missing[image.sha256] = image
        else:
            known[image.sha256] = task.unpack(cached)
    n_cached = len(known)
    if missing:
        opened = (lazy or LazyModel(model)).onnx
        for sha256, prediction in _compute(opened, model, list(missing.values()), settings.threads):
            cache.write(sha256, task.pack(prediction))
            known[sha256] = prediction
            if progress:
                progress(len(known) - n_cached, len(missing))
    by_sample = {sample_id: known[image.sha256] for sample_id, image in images.items()}
    return PredictionSet(by_sample, n_inferred=len(missing), n_cached=n_cached)


def _compute(
    opened: OnnxModel, model: ModelUnderTest, images: Sequence[LocalImage], threads: int
) -> Iterator[tuple[str, Any]]:
    size = model.declaration.export.batch[1]
    batches = [images[start : start + size] for start in range(0, len(images), size)]
    waiting: deque[tuple[Sequence[LocalImage], list[Future[InputImage]]]] = deque()
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for batch in batches:
            waiting.append((batch, [pool.submit(read_input, image, opened.input_px) for image in batch]))
            if len(waiting) > BATCHES_AHEAD:
                yield from _infer(opened, model, *waiting.popleft())
        while waiting:
            yield from _infer(opened, model, *waiting.popleft())


def read_input(image: LocalImage, input_px: tuple[int, int]) -> InputImage:
    """Read an image file as the network takes it."""
    return to_input(read_image(image.path), input_px)


def _infer(
    opened: OnnxModel, model: ModelUnderTest, batch: Sequence[LocalImage], futures: Sequence[Future[InputImage]]
) -> Iterator[tuple[str, Any]]:
    inputs = [future.result() for future in futures]
    raw = opened.infer(np.stack([item.pixels for item in inputs]))
    for index, (image, item) in enumerate(zip(batch, inputs, strict=True)):
        yield image.sha256, decode_one([output[index] for output in raw], item, model)


def decode_one(raw: Sequence[FloatArray], image: InputImage, model: ModelUnderTest) -> Any:
    """Turn the network's outputs for one image into a prediction, with the declared post-processing."""
    return task_type(model.task).decode(raw, image, model.declaration.operating)
