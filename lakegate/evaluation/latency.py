"""Latency of two models, measured in turn: what slows the machine down slows both."""

import time
from collections.abc import Sequence
from itertools import cycle, islice

import numpy as np

from lakegate.engines.onnx_session import OnnxModel
from lakegate.evaluation.matrix import Latency
from lakegate.evaluation.predictions import ModelUnderTest, decode_one, read_input
from lakegate.imaging import InputImage
from lakegate.lake.local_version import LocalImage

N_WARM_UP = 5


def measure_latency(
    candidate: ModelUnderTest, baseline: ModelUnderTest | None, images: Sequence[LocalImage], n_images: int, threads: int
) -> Latency | None:
    """Time network and post-processing for one image at a time (batch 1), ``n_images`` times after a warm-up.

    Both models see the same images in the same order and take turns in going first. Reading and resizing is not counted:
    it is the same for both. None where there is no image.
    """
    if not images or n_images < 1:
        return None
    models = [model for model in (candidate, baseline) if model is not None]
    opened = [model.load(threads) for model in models]
    shown = list(islice(cycle(images[:n_images]), n_images))
    times_s: list[list[float]] = [[] for _ in models]
    for number, image in enumerate([*shown[:N_WARM_UP], *shown]):
        for index in _turn(len(models), number):
            item = read_input(image, opened[index].input_px)
            elapsed_s = _time_one(opened[index], models[index], item)
            if number >= min(N_WARM_UP, len(shown)):
                times_s[index].append(elapsed_s)
    percentiles = [[float(np.percentile(row, share)) * 1000 for share in (50, 99)] for row in times_s]
    first, second = percentiles[0], percentiles[1] if baseline is not None else (None, None)
    return Latency(n_images, first[0], first[1], second[0], second[1])


def _turn(n_models: int, number: int) -> list[int]:
    order = list(range(n_models))
    return order if number % 2 == 0 else order[::-1]


def _time_one(opened: OnnxModel, model: ModelUnderTest, item: InputImage) -> float:
    start_s = time.perf_counter()
    decode_one([output[0] for output in opened.infer(item.pixels[None])], item, model)
    return time.perf_counter() - start_s
