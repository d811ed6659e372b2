"""Check COCO's compressed run lengths, many masks at once: damaged ones must not reach code that trusts them."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lakegate.geometry import Rle

IntArray = npt.NDArray[np.int64]
_FIRST_CHARACTER, _BITS, _MORE, _NEGATIVE, _LOW = 48, 5, 0x20, 0x10, 0x1F
_AT_ONCE = 10_000  # masks; bounds the memory
_READABLE = re.compile("(?:[P-o]{0,5}[0-O])+")  # numbers of up to 6 characters; each but the last says that more follow


class MaskFacts(NamedTuple):
    """Of N masks: foreground pixels (-1 where the run lengths cannot be read), and all pixels that they cover."""

    area_px: IntArray
    covered_px: IntArray


def mask_facts(masks: Sequence[Rle]) -> MaskFacts:
    """Read the run lengths of masks without unfolding a pixel.

    A mask is whole where ``covered_px`` is its height times its width.
    Source of the format: ``rleFrString`` of COCO's ``maskApi.c``.
    """
    area_N, covered_N = np.full(len(masks), -1, np.int64), np.full(len(masks), -1, np.int64)
    readable = [row for row, mask in enumerate(masks) if _READABLE.fullmatch(mask.counts)]
    for start in range(0, len(readable), _AT_ONCE):
        rows = readable[start : start + _AT_ONCE]
        runs, owner = _runs([masks[row].counts.encode() for row in rows])
        number_in_mask = np.arange(len(runs)) - np.searchsorted(owner, owner)
        is_bad = np.bincount(owner, runs < 0, len(rows)) > 0
        covered = np.bincount(owner, runs, len(rows)).astype(np.int64)
        area = np.bincount(owner, runs * (number_in_mask % 2), len(rows)).astype(np.int64)
        area_N[rows], covered_N[rows] = np.where(is_bad, -1, area), np.where(is_bad, -1, covered)
    return MaskFacts(area_N, covered_N)


def _runs(texts: Sequence[bytes]) -> tuple[IntArray, IntArray]:
    """Return the runs of all masks one after the other, and to which mask each belongs."""
    values = np.frombuffer(b"".join(texts), np.uint8).astype(np.int64) - _FIRST_CHARACTER
    ends = np.flatnonzero((values & _MORE) == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    length = ends - starts + 1
    shift = (np.arange(len(values)) - np.repeat(starts, length)) * _BITS
    numbers = np.add.reduceat((values & _LOW) << shift, starts)
    numbers -= ((values[ends] & _NEGATIVE) > 0) * (np.int64(1) << (length * _BITS))
    owner = np.searchsorted(np.cumsum([len(text) for text in texts]), starts, side="right").astype(np.int64)
    return _undo_differences(numbers, owner), owner


def _undo_differences(numbers: IntArray, owner: IntArray) -> IntArray:
    """From the fourth on, a run is stored as its difference to the run two before it."""
    runs = numbers.copy()
    place = np.arange(len(numbers)) - np.searchsorted(owner, owner)
    for chain in (np.flatnonzero(place % 2 == 1), np.flatnonzero((place % 2 == 0) & (place > 0))):
        if len(chain):
            total = np.cumsum(numbers[chain])
            before = np.concatenate([[0], total[:-1]])
            runs[chain] = total - before[np.searchsorted(owner[chain], owner[chain])]
    return runs
