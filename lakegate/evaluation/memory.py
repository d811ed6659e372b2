"""Peak memory of two models, measured in turn in one process: what opening a session and one image at a time add to it."""

import ctypes
import gc
import re
from collections.abc import Sequence
from pathlib import Path

from lakegate.evaluation.matrix import PeakMemory
from lakegate.evaluation.predictions import ModelUnderTest, decode_one, read_input
from lakegate.lake.local_version import LocalImage

N_ROUNDS = 3
_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # proc_pid_clear_refs(5): the peak becomes what is resident now


def measure_memory(
    candidate: ModelUnderTest, baseline: ModelUnderTest | None, images: Sequence[LocalImage], threads: int
) -> PeakMemory | None:
    """Open each model, compute one image, and close it again, both in turn, some times; the highest rise of each counts.

    None where there is no image, or where the system does not tell a process its peak (Linux does).
    """
    models = [model for model in (candidate, baseline) if model is not None]
    if not images or not _can_reset_peak():
        return None
    rises: list[list[int]] = [[] for _ in models]
    for number in range(N_ROUNDS):
        for index in range(len(models)) if number % 2 == 0 else reversed(range(len(models))):
            rises[index].append(_rise(models[index], images[0], threads))
    peaks = [max(row) for row in rises]
    return PeakMemory(peaks[0], peaks[1] if baseline is not None else None)


def _rise(model: ModelUnderTest, image: LocalImage, threads: int) -> int:
    """Return by how many bytes the resident memory of this process rises for one image, the session included."""
    _give_back_free_memory()
    _CLEAR_REFS.write_text(_RESET_PEAK)
    before = _status_bytes("VmRSS")
    opened = model.load(threads)
    item = read_input(image, opened.input_px)
    decode_one([output[0] for output in opened.infer(item.pixels[None])], item, model)
    return max(0, _status_bytes("VmHWM") - before)


def _give_back_free_memory() -> None:
    """Return freed memory to the system, so that the next model does not get it for nothing."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _can_reset_peak() -> bool:
    try:
        _CLEAR_REFS.write_text(_RESET_PEAK)
        return _status_bytes("VmHWM") > 0
    except OSError:
        return False


def _status_bytes(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
