"""Latency of two models, measured in turn: what slows the machine down slows both.

A machine that does other work slows images down, many in a row. So the ratio of two percentiles has an interval: pairs of
measurements are drawn again, in runs of neighbours (circular block bootstrap, Politis and Romano 1992).
"""

import time
from collections.abc import Sequence
from math import ceil, sqrt

import numpy as np
import numpy.typing as npt

from lakegate.engines.onnx_session import OnnxModel
from lakegate.evaluation.bootstrap import CONFIDENCE, N_REPLICATES, SEED
from lakegate.evaluation.matrix import Interval, Latency
from lakegate.evaluation.predictions import ModelUnderTest, decode_one, read_input
from lakegate.imaging import InputImage
from lakegate.lake.local_version import LocalImage

N_WARM_UP = 5
FEWEST_PAIRS, LIMIT_S = 40, 5.0  # after so many seconds no more than these pairs are measured
MIN_DRAWN = 4  # pairs; of fewer there is no interval
FloatArray64 = npt.NDArray[np.float64]


def measure_latency(
    candidate: ModelUnderTest, baseline: ModelUnderTest | None, images: Sequence[LocalImage], n_images: int, threads: int
) -> Latency | None:
    """Time network and post-processing for one image at a time (batch 1), at most ``n_images`` times after a warm-up.

    Both models see the same images in the same order and take turns in going first. Reading and resizing is not counted:
    it is the same for both. After ten seconds it ends, but not before forty times. None where there is no image.
    """
    if not images or n_images < 1:
        return None
    models = [model for model in (candidate, baseline) if model is not None]
    opened = [model.load(threads) for model in models]
    n_warm_up = min(N_WARM_UP, n_images)
    times_ms: list[list[float]] = []
    started_s = time.perf_counter()
    for number in range(n_warm_up + n_images):
        if len(times_ms) >= FEWEST_PAIRS and time.perf_counter() - started_s > LIMIT_S:
            break
        image = images[(number if number < n_warm_up else number - n_warm_up) % min(len(images), n_images)]
        pair_ms = [0.0] * len(models)
        for index in _turn(len(models), number):
            item = read_input(image, opened[index].input_px)
            pair_ms[index] = 1000 * _time_one(opened[index], models[index], item)
        if number >= n_warm_up:
            times_ms.append(pair_ms)
    return latency_of(np.array(times_ms).T)


def latency_of(times_MN: FloatArray64) -> Latency:
    """Return percentiles and, of two models, the intervals of their ratios.

    Args:
        times_MN: milliseconds, candidate (and baseline) by rows, in the order of measuring, float64 (1 or 2, N).
    """
    percentiles = [[float(value) for value in np.percentile(row, (50, 99))] for row in times_MN]
    first, second = percentiles[0], percentiles[1] if len(percentiles) > 1 else (None, None)
    p50, p99 = (_ratio_interval(times_MN, share) for share in (50, 99))
    return Latency(times_MN.shape[1], first[0], first[1], second[0], second[1], p50, p99)


def _ratio_interval(times_MN: FloatArray64, share: int) -> Interval | None:
    """Return the interval of candidate over baseline, of one percentile: the middle of the draws."""
    n_models, n_pairs = times_MN.shape
    if n_models < 2 or n_pairs < MIN_DRAWN:
        return None
    length = ceil(sqrt(n_pairs) / 2) * 2  # even: the models take turns in going first
    random = np.random.default_rng(SEED)
    begins_RB = random.integers(0, n_pairs, (N_REPLICATES, ceil(n_pairs / length)))
    drawn_RN = ((begins_RB[:, :, None] + np.arange(length)) % n_pairs).reshape(N_REPLICATES, -1)[:, :n_pairs]
    now_R, was_R = (np.percentile(row[drawn_RN], share, axis=1) for row in times_MN)
    low, high = np.quantile(now_R / was_R, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _turn(n_models: int, number: int) -> list[int]:
    order = list(range(n_models))
    return order if number % 2 == 0 else order[::-1]


def _time_one(opened: OnnxModel, model: ModelUnderTest, item: InputImage) -> float:
    start_s = time.perf_counter()
    decode_one([output[0] for output in opened.infer(item.pixels[None])], item, model)
    return time.perf_counter() - start_s
