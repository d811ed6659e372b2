"""Which images look the same: perceptual hashes compared bit by bit, by faiss."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

HASH_BITS = 64
MAX_BITS = 8
FLAT_UP_TO = 10_000  # hashes; above, faiss only compares hashes that agree in one of several bands, which misses nothing
_BANDS = {4: (5, 12, 0), 7: (4, 16, 1), 8: (5, 12, 1)}  # up to so many bits: bands, their width, bits flipped in each

IntArray = npt.NDArray[np.int64]
HashArray = npt.NDArray[np.uint8]  # shape (N, 8), one perceptual hash per row


@dataclass(frozen=True, eq=False)
class Nearest:
    """For each of N hashes: the index of the nearest other one, -1 where none is near enough, and the bits that differ."""

    index: IntArray
    bits: IntArray


def hash_array(hashes: Sequence[str]) -> HashArray:
    """Return perceptual hashes (16 hexadecimal digits each) as bytes of shape (N, 8)."""
    return np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8).reshape(-1, HASH_BITS // 8)


def nearest_in(queries_N8: HashArray, known_M8: HashArray, max_bits: int) -> Nearest:
    """Find for each query the nearest known hash that differs in at most ``max_bits`` bits (0 to 8).

    Nothing within ``max_bits`` is missed: two hashes that differ in 4 bits agree in at least one of 5 bands, and so on.
    """
    if not len(queries_N8) or not len(known_M8):
        return Nearest(np.full(len(queries_N8), -1, np.int64), np.zeros(len(queries_N8), np.int64))
    unique_U8, first_U = np.unique(known_M8, axis=0, return_index=True)
    bits_NK, index_NK = _index(unique_U8, max_bits).search(np.ascontiguousarray(queries_N8), 1)
    return _within(first_U[index_NK[:, 0]], index_NK[:, 0], bits_NK[:, 0], max_bits)


def nearest_other(hashes_N8: HashArray, max_bits: int) -> Nearest:
    """Find for each hash the nearest one of another row that differs in at most ``max_bits`` bits; see :func:`nearest_in`."""
    if len(hashes_N8) < 2:
        return Nearest(np.full(len(hashes_N8), -1, np.int64), np.zeros(len(hashes_N8), np.int64))
    unique_U8, first_U, place_N, count_U = np.unique(
        hashes_N8, axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    place_N = place_N.ravel()
    bits_U, index_U = np.full(len(unique_U8), HASH_BITS + 1, np.int64), np.full(len(unique_U8), -1, np.int64)
    if len(unique_U8) > 1:
        bits_UK, index_UK = _index(unique_U8, max_bits).search(unique_U8, 2)
        other_U = np.where(index_UK[:, 0] == np.arange(len(unique_U8)), 1, 0)  # a hash finds itself, first or second
        row_U = np.arange(len(unique_U8))
        bits_U, index_U = bits_UK[row_U, other_U].astype(np.int64), index_UK[row_U, other_U]
    found = _within(first_U[index_U], index_U, bits_U, max_bits)
    index_N, bits_N = found.index[place_N], found.bits[place_N]
    index_N, bits_N = _prefer_equal(index_N, bits_N, place_N, first_U, count_U)
    return Nearest(index_N, bits_N)


def _prefer_equal(
    index_N: IntArray, bits_N: IntArray, place_N: IntArray, first_U: IntArray, count_U: IntArray
) -> tuple[IntArray, IntArray]:
    """Where a hash stands in several rows, the nearest is the first of them; for that first row it is the last."""
    last_U = np.zeros(len(first_U), np.int64)
    last_U[place_N] = np.arange(len(place_N))
    row_N = np.arange(len(place_N))
    twin_N = np.where(first_U[place_N] == row_N, last_U[place_N], first_U[place_N])
    is_twin_N = count_U[place_N] > 1
    return np.where(is_twin_N, twin_N, index_N), np.where(is_twin_N, 0, bits_N)


def _within(row_N: IntArray, found_N: IntArray, bits_N: IntArray, max_bits: int) -> Nearest:
    is_near_N = (found_N >= 0) & (bits_N <= max_bits)
    return Nearest(np.where(is_near_N, row_N, -1).astype(np.int64), np.where(is_near_N, bits_N, 0).astype(np.int64))


def _index(hashes_U8: HashArray, max_bits: int) -> Any:
    import faiss

    if len(hashes_U8) <= FLAT_UP_TO:
        index: Any = faiss.IndexBinaryFlat(HASH_BITS)
    else:
        bands, width, flips = next(plan for most, plan in _BANDS.items() if max_bits <= most)
        index = faiss.IndexBinaryMultiHash(HASH_BITS, bands, width)
        index.nflip = flips
    index.add(np.ascontiguousarray(hashes_U8))
    return index
