"""The post-processing of segmentation: from the network's probabilities to one label for each pixel of the original image."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from lakegate.canonical import exact_json, sha256_bytes
from lakegate.errors import BadInput
from lakegate.imaging import FloatArray

MapArray = npt.NDArray[np.int32]
BACKGROUND = 0


def label_map_digest(score_threshold: float) -> str:
    """Return the SHA-256 of this version of :func:`decode_label_map` with this threshold; key caches with it."""
    content = {"version": 1, "label": "the most probable", "enlarge": "INTER_LINEAR", "score_threshold": float(score_threshold)}
    return sha256_bytes(exact_json(content))


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A number for each pixel of an image, as runs of equal numbers row by row: some kB where the pixels are some MB.

    ``size_px``: height, width; ``values`` int32 (N,), ``lengths`` int32 (N,) in pixels, height · width together. In a
    prediction 0 is the background and 1 + i the label with index i.
    """

    size_px: tuple[int, int]
    values: MapArray
    lengths: MapArray

    def __post_init__(self) -> None:
        height, width = self.size_px
        if self.values.shape != self.lengths.shape or int(self.lengths.sum(dtype=np.int64)) != height * width:
            raise BadInput(
                f"a label map of {height} x {width} px does not fit its runs: {self.values.shape} values, {self.lengths.shape} "
                f"lengths, {int(self.lengths.sum(dtype=np.int64))} px together; compute it again"
            )

    @classmethod
    def of(cls, numbers_HW: npt.NDArray[np.integer]) -> "LabelMap":
        """Return the runs of an array (H, W) of whole numbers."""
        flat = numbers_HW.reshape(-1).astype(np.int32)
        starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])[: len(flat)]
        lengths = np.diff(np.append(starts, len(flat)))
        return cls((numbers_HW.shape[0], numbers_HW.shape[1]), flat[starts], lengths.astype(np.int32))

    @property
    def pixels(self) -> MapArray:
        """The numbers as an array of shape (H, W)."""
        return np.repeat(self.values, self.lengths).reshape(self.size_px)

    def cut(self, box_px: tuple[int, int, int, int]) -> MapArray:
        """Return the numbers inside a box x1, y1, x2, y2 (x2 and y2 lie outside) without unfolding the rest."""
        x1, y1, x2, y2 = box_px
        width = self.size_px[1]
        ends = np.cumsum(self.lengths, dtype=np.int64)
        first, last = np.searchsorted(ends, [y1 * width, y2 * width - 1], side="right")
        begins = ends[first : last + 1] - self.lengths[first : last + 1]
        lengths = np.minimum(ends[first : last + 1], y2 * width) - np.maximum(begins, y1 * width)
        return np.repeat(self.values[first : last + 1], lengths).reshape(y2 - y1, width)[:, x1:x2]

    def translated(self, table: npt.NDArray[np.integer]) -> "LabelMap":
        """Return the map with ``table[n]`` where ``n`` stands."""
        return LabelMap(self.size_px, table[self.values].astype(np.int32), self.lengths)


def decode_label_map(probabilities: FloatArray, original_px: tuple[int, int], score_threshold: float) -> LabelMap:
    """Turn the network's output for one image into one label per pixel of the original image.

    Args:
        probabilities: (1 + K, h, w), 0..1, the background first; h and w in any scale.
        original_px: height and width of the image as it came in; the probabilities are enlarged to it, linearly.
        score_threshold: a pixel whose most probable label is less probable than that is background.

    Returns:
        0 for background, 1 + i for label i; of equally probable labels the first, the background before all.

    Raises:
        BadInput: another shape, or numbers that are no probabilities.
    """
    check_probabilities(probabilities, n_axes=3, shape="(1 + labels, h, w)")
    height, width = original_px
    highest_HW = _enlarged(probabilities[BACKGROUND], height, width)
    label_HW = np.zeros((height, width), np.int32)
    for number in range(1, len(probabilities)):
        channel_HW = _enlarged(probabilities[number], height, width)
        label_HW[channel_HW > highest_HW] = number
        np.maximum(highest_HW, channel_HW, out=highest_HW)
    label_HW[highest_HW < score_threshold] = BACKGROUND
    return LabelMap.of(label_HW)


def _enlarged(channel_hw: FloatArray, height: int, width: int) -> FloatArray:
    enlarged = cv2.resize(np.ascontiguousarray(channel_hw, np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.array(enlarged, np.float32).reshape(height, width)


def check_probabilities(probabilities: FloatArray, n_axes: int, shape: str) -> None:
    """Raise ``BadInput`` where an output of that many axes is empty, or holds anything outside 0..1 (to a thousandth)."""
    if probabilities.ndim != n_axes or not probabilities.size:
        raise BadInput(f"expected probabilities of one image of shape {shape}, came {probabilities.shape}")
    low, high = float(probabilities.min()), float(probabilities.max())
    if not (low >= -0.001 and high <= 1.001):
        raise BadInput(
            f"expected probabilities 0..1 of shape {shape}, came numbers from {low:g} to {high:g}; the network must end with a "
            "softmax when it is exported"
        )
