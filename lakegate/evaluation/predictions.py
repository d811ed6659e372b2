"""Predictions of one model on many images: cached, batched, and images read while the network runs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np

from lakegate import imaging
from lakegate.canonical import exact_json, sha256_bytes
from lakegate.declarations import ModelDeclaration, ModelTask
from lakegate.engines.onnx_session import OnnxModel
from lakegate.errors import BadImage, ChecksumMismatch
from lakegate.evaluation.prediction_cache import PredictionCache, PredictionKey
from lakegate.imaging import FloatArray, InputImage, read_image, to_input
from lakegate.lake.local_version import LocalImage
from lakegate.settings import Settings
from lakegate.task_types.protocol import Arrays
from lakegate.task_types.registry import task_type

MAX_STREAMS = 4  # batches in memory at once
WRITTEN_AT_ONCE = 128  # predictions; a killed evaluation computes so many again at most


@dataclass(frozen=True)
class ModelUnderTest:
    """A model to judge. ``load`` opens its ONNX file for so many compute threads, and only where something must be computed."""

    name: str
    run_id: str
    model_sha256: str
    declaration: ModelDeclaration
    labels: tuple[str, ...]
    load: Callable[[int], OnnxModel]
    trained_on: frozenset[str] = frozenset()  # SHA-256 of what it, or a run whose weights it grew from, was trained on
    size_bytes: int = 0
    task: ModelTask = "detection"
    trained_hashes: frozenset[str] = frozenset()  # perceptual hashes of the same images; none of flat pictures

    @property
    def title(self) -> str:
        """``model run id``, as pages show it."""
        return f"{self.name} {self.run_id}"


@dataclass(frozen=True)
class PredictionSet:
    """Predictions of the task type by sample id; how many images went through the network, how many came from the cache.

    ``failed``: for each sample whose image could not be read, why; it has no prediction.
    """

    predictions: dict[str, Any]
    n_inferred: int
    n_cached: int
    failed: Mapping[str, str] = field(default_factory=dict)

    def require_all(self) -> dict[str, Any]:
        """Return the predictions; raises ``BadImage`` where an image could not be read."""
        for sample_id, reason in self.failed.items():
            raise BadImage(f"{len(self.failed)} images could not be read; the first is '{sample_id}': {reason}")
        return self.predictions


class LazyModel:
    """Opens the model at the first use; ``n_sessions`` says whether that happened."""

    def __init__(self, model: ModelUnderTest, threads: int = 1) -> None:
        """Share ``threads`` among streams of batches: one thread per stream computes more than two in one stream."""
        self._model = model
        self.n_streams = min(threads, MAX_STREAMS)
        self._threads_per_stream = threads // self.n_streams
        self.n_sessions = 0

    @cached_property
    def onnx(self) -> OnnxModel:
        """The opened model; raises ``ChecksumMismatch`` where it is not the file that the run recorded."""
        opened = self._model.load(self._threads_per_stream)
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

    An image that cannot be read is listed in ``failed``; the others are computed all the same.

    Args:
        images: by sample id.
        lazy: the opened model, where several calls share it.
        progress: called with (images done, images to compute).

    Raises:
        ChecksumMismatch: the model's file is not the one that was recorded.
    """
    task = task_type(model.task)
    cache = PredictionCache(settings.cache_dir, prediction_key(model))
    wanted = {image.sha256: image for image in images.values()}
    known = {sha256: task.unpack(arrays) for sha256, arrays in cache.read(wanted).items()}
    missing = [image for sha256, image in wanted.items() if sha256 not in known]
    n_cached, broken = len(known), dict[str, str]()
    if missing:
        computed = _compute(lazy or LazyModel(model, settings.threads), model, missing)
        for done, result in enumerate(_kept(cache, computed), start=1):
            if isinstance(result.prediction, BadImage):
                broken[result.sha256] = str(result.prediction)
            else:
                known[result.sha256] = result.prediction
            if progress:
                progress(done, len(missing))
    return PredictionSet(
        predictions={sample_id: known[image.sha256] for sample_id, image in images.items() if image.sha256 in known},
        n_inferred=len(missing) - len(broken),
        n_cached=n_cached,
        failed={sample_id: broken[image.sha256] for sample_id, image in images.items() if image.sha256 in broken},
    )


@dataclass(frozen=True)
class _Computed:
    """What came of one image: a prediction and its arrays, or the error that says why there is none."""

    sha256: str
    prediction: Any
    arrays: Arrays | None


def _kept(cache: PredictionCache, computed: Iterator[_Computed]) -> Iterator[_Computed]:
    """Write to the cache what passes by, also where computing ends early."""
    waiting: dict[str, Arrays] = {}
    try:
        for result in computed:
            if result.arrays is not None:
                waiting[result.sha256] = result.arrays
            if len(waiting) >= WRITTEN_AT_ONCE:
                cache.write(waiting)
                waiting = {}
            yield result
    finally:
        cache.write(waiting)


def _compute(lazy: LazyModel, model: ModelUnderTest, images: Sequence[LocalImage]) -> Iterator[_Computed]:
    """Compute batches in streams: while one is in the network, another one is read or post-processed."""
    opened, size = lazy.onnx, model.declaration.export.batch[1]
    batches = [images[start : start + size] for start in range(0, len(images), size)]
    with ThreadPoolExecutor(max_workers=lazy.n_streams) as pool:
        for results in pool.map(lambda batch: _infer(opened, model, batch), batches):
            yield from results


def _infer(opened: OnnxModel, model: ModelUnderTest, batch: Sequence[LocalImage]) -> list[_Computed]:
    task, (height, width) = task_type(model.task), opened.input_px
    pixels_NCHW = np.empty((len(batch), 3, height, width), np.float32)
    results: list[_Computed] = []
    inputs: list[tuple[LocalImage, InputImage]] = []
    for image in batch:
        try:
            inputs.append((image, to_input(read_image(image.path), opened.input_px, out=pixels_NCHW[len(inputs)])))
        except BadImage as error:
            results.append(_Computed(image.sha256, error, None))
    if not inputs:
        return results
    raw = opened.infer(pixels_NCHW[: len(inputs)])
    for index, (image, item) in enumerate(inputs):
        prediction = decode_one([output[index] for output in raw], item, model)
        results.append(_Computed(image.sha256, prediction, task.pack(prediction)))
    return results


def read_input(image: LocalImage, input_px: tuple[int, int]) -> InputImage:
    """Read an image file as the network takes it."""
    return to_input(read_image(image.path), input_px)


def decode_one(raw: Sequence[FloatArray], image: InputImage, model: ModelUnderTest) -> Any:
    """Turn the network's outputs for one image into a prediction, with the declared post-processing."""
    return task_type(model.task).decode(raw, image, model.declaration.operating)
