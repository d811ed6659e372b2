"""Run lengths that come from outside: checked before COCO's C code sees them, and the same mask always as the same text."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lakegate.geometry import Rle

MOST_PIXELS = 1 << 31
IntArray = npt.NDArray[np.int64]


def rle_of_runs(runs: Sequence[int], height_px: int, width_px: int) -> Rle:
    """Return the mask of alternating runs of background and foreground, column by column, beginning with background.

    Raises:
        ValueError: a run is negative or no whole number, or the runs are not as many pixels as the image has.
    """
    if any(isinstance(run, bool) or not isinstance(run, int) or run < 0 for run in runs):
        raise ValueError("its run lengths are not all whole numbers of at least 0")
    if height_px * width_px > MOST_PIXELS:
        raise ValueError(f"its size {width_px} × {height_px} px is larger than that of any image")
    if sum(runs) != height_px * width_px:
        pixels = height_px * width_px
        raise ValueError(f"its run lengths are {sum(runs)} pixels, its size {width_px} × {height_px} has {pixels}")
    return Rle(height_px, width_px, _compressed(_joined(runs)))


def rle_of_text(counts: str, height_px: int, width_px: int) -> Rle:
    """Return the mask of COCO's compressed run lengths; raises ``ValueError`` as :func:`rle_of_runs` does."""
    return rle_of_runs(runs_of_text(counts), height_px, width_px)


def rle_of_coco(segmentation: dict[str, Any]) -> Rle:
    """Return the mask of COCO's ``{"size": [height, width], "counts": list or text}``; raises ``ValueError`` on others."""
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if not isinstance(size, list) or len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
        raise ValueError(f"its size is {size!r}; expected [height, width] in pixels")
    if isinstance(counts, str):
        return rle_of_text(counts, size[0], size[1])
    if isinstance(counts, list):
        return rle_of_runs(counts, size[0], size[1])
    raise ValueError(f"its counts are {type(counts).__name__}; expected a list of run lengths or their compressed text")


def rles_of_map(map_HW: npt.NDArray[Any]) -> dict[int, Rle]:
    """Return the mask of each value but 0 of a label map of shape (height, width), in one pass over its runs."""
    height_px, width_px = map_HW.shape
    flat = map_HW.ravel(order="F").astype(np.int64)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1, [flat.size]])
    values, lengths, begins = flat[starts[:-1]], np.diff(starts), starts[:-1]
    order = np.argsort(values, kind="stable")
    found: dict[int, Rle] = {}
    for value, group in _groups(values[order], order):
        if value:
            found[value] = Rle(height_px, width_px, _compressed(_alternating(begins[group], lengths[group], flat.size)))
    return found


def _groups(ordered: IntArray, order: IntArray) -> list[tuple[int, IntArray]]:
    borders = np.flatnonzero(np.diff(ordered)) + 1
    return [(int(ordered[start]), group) for start, group in zip([0, *borders], np.split(order, borders), strict=True)]


def _alternating(begins: IntArray, lengths: IntArray, n_pixels: int) -> list[int]:
    ends = begins + lengths
    gaps = begins - np.concatenate([[0], ends[:-1]])
    runs = np.stack([gaps, lengths], axis=1).ravel().tolist()
    rest = n_pixels - int(ends[-1])
    return [*runs, rest] if rest else runs


def _joined(runs: Sequence[int]) -> list[int]:
    """Join runs of one kind that only a run of no pixels parts, and leave out empty ones at the end."""
    joined: list[int] = []
    for number, run in enumerate(runs):
        if number == 0 or (run and (number - len(joined)) % 2 == 0):
            joined.append(run)
        elif run:
            joined[-1] += run
    return joined


def runs_of_text(counts: str) -> list[int]:
    """Return the runs of COCO's compressed text, background first; raises ``ValueError`` where it is none.

    Five bits a letter, lowest first, and from the fourth run on the difference to the last but one.
    """
    runs: list[int] = []
    value = shift = 0
    for letter in counts:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError("its counts are not COCO's compressed run lengths")
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:
                value -= 1 << shift
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    if shift:
        raise ValueError("its counts end in the middle of a run length")
    return runs


def _compressed(runs: Sequence[int]) -> str:
    letters = []
    for number, run in enumerate(runs):
        value = run - runs[number - 2] if number > 2 else run
        while True:
            bits, value = value & 0x1F, value >> 5
            more = value != (-1 if bits & 0x10 else 0)
            letters.append(chr((bits | (0x20 if more else 0)) + 48))
            if not more:
                break
    return "".join(letters)
