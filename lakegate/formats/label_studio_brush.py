"""Label Studio's brush masks: run lengths of RGBA pixels, https://github.com/thi-ng/umbrella/tree/develop/packages/rle-pack

A header gives the number of values (32 bits), the bits of a value less one (5) and four sizes of a count less one (4 each).
Then each run has one bit (1: one value repeated, 0: that many values), two bits that choose the count's size, and the count
less one.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from lakegate.formats.reading import SizePx
from lakegate.formats.unreadable import UnreadableShape

CHANNELS = 4


class _Bits:
    """Bytes as a stream of bits, the highest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, n_bits: int) -> int:
        first, last = self._at // 8, (self._at + n_bits + 7) // 8
        if last > len(self._data):
            raise ValueError("it ends too early")
        number = int.from_bytes(self._data[first:last], "big") >> (8 * last - self._at - n_bits)
        self._at += n_bits
        return number & ((1 << n_bits) - 1)


def alpha_of_rle(rle: Any, size_px: SizePx, what: str) -> npt.NDArray[np.bool_]:
    """Return where a brush painted, shape (height, width).

    Args:
        rle: the list of bytes that the export holds.
        size_px: width and height of the image; the mask must have as many pixels.
        what: the region, for the error.

    Raises:
        UnreadableShape: it is no such list, or belongs to an image of another size.
    """
    width, height = size_px
    try:
        if not isinstance(rle, list):
            raise TypeError(f"it is {type(rle).__name__}, no list of bytes")
        bits = _Bits(bytes(rle))
        n_values, value_bits = bits.take(32), bits.take(5) + 1
        if n_values != width * height * CHANNELS:
            raise ValueError(f"it has {n_values // CHANNELS} pixels")
        values = _unpacked(bits, n_values, value_bits)
    except (TypeError, ValueError) as error:
        reason = f"the mask of {what} cannot be read: {error}; expected run lengths of {width} × {height} px"
        raise UnreadableShape("shape_is_readable", reason) from error
    return values.reshape(height, width, CHANNELS)[:, :, CHANNELS - 1] > 0


def _unpacked(bits: _Bits, n_values: int, value_bits: int) -> npt.NDArray[np.uint32]:
    count_bits = [bits.take(4) + 1 for _ in range(4)]
    values = np.zeros(n_values, np.uint32)
    start = 0
    while start < n_values:
        is_run = bits.take(1)
        end = start + bits.take(count_bits[bits.take(2)]) + 1
        if end > n_values:
            raise ValueError("a run goes beyond its end")
        if is_run:
            values[start:end] = bits.take(value_bits)
        else:
            values[start:end] = [bits.take(value_bits) for _ in range(end - start)]
        start = end
    return values
