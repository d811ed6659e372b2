"""The one pre-processing: training, evaluation and serving read and resize images here and nowhere else."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image, UnidentifiedImageError

from lakegate.canonical import exact_json, sha256_bytes
from lakegate.errors import BadImage, BadInput

ByteArray = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]

PREPROCESSING = {
    "version": 1,
    "channels": "RGB",
    "range": [0, 255],
    "exif_orientation": "ignored",
    "aspect": "not kept",
    "shrink": "INTER_AREA",
    "enlarge": "INTER_LINEAR",
}
PREPROCESSING_DIGEST = sha256_bytes(exact_json(PREPROCESSING))

_JPEG_START = b"\xff\xd8\xff"
_EIGHT_BIT_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "La", "CMYK", "YCbCr", "HSV", "LAB"})


class Scale(NamedTuple):
    """What a resize did: sizes as (height, width) in pixels, before and after."""

    original_px: tuple[int, int]
    input_px: tuple[int, int]

    @property
    def xyxy(self) -> FloatArray:
        """Input pixels per original pixel for x1, y1, x2, y2; shape (4,)."""
        y, x = (after / before for before, after in zip(self.original_px, self.input_px, strict=True))
        return np.array([x, y, x, y], np.float32)

    def to_input(self, boxes_xyxy_px: FloatArray) -> FloatArray:
        """Map boxes of shape (N, 4) from original pixels to input pixels."""
        boxes: FloatArray = np.asarray(boxes_xyxy_px, np.float32).reshape(-1, 4) * self.xyxy
        return boxes

    def to_original(self, boxes_xyxy_px: FloatArray) -> FloatArray:
        """Map boxes of shape (N, 4) from input pixels to original pixels, cut at the image's border."""
        height, width = self.original_px
        boxes = np.asarray(boxes_xyxy_px, np.float32).reshape(-1, 4) / self.xyxy
        limits = np.array([width, height, width, height], np.float32)
        clipped: FloatArray = np.clip(boxes, np.float32(0), limits)
        return clipped


class InputImage(NamedTuple):
    """An image as the network takes it, and how to bring its boxes back."""

    pixels: FloatArray  # (3, height, width), 0..255
    scale: Scale


def read_image(path: Path) -> ByteArray:
    """Read a whole image file as RGB.

    Pixels are returned as stored: an EXIF orientation is not applied, so boxes in pixels of the file fit.

    Returns:
        uint8 array of shape (height, width, 3).

    Raises:
        BadImage: the file is absent, truncated, not an image, or has more than 8 bits per channel.
    """
    try:
        return decode_image(path.read_bytes())
    except OSError as error:
        raise BadImage(f"{path}: cannot be read ({error.strerror or error}); expected an image file") from error
    except BadImage as error:
        raise BadImage(f"{path}: {error}") from error


def decode_image(data: bytes) -> ByteArray:
    """Decode the bytes of an image file as :func:`read_image` does."""
    if data.startswith(_JPEG_START):
        try:
            pixels: ByteArray = simplejpeg.decode_jpeg(data, colorspace="RGB", strict=True)
            return pixels
        except ValueError as error:
            raise BadImage(f"not a whole JPEG ({error}); deliver the image again") from error
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.mode not in _EIGHT_BIT_MODES:
                raise BadImage(f"expected 8 bits per channel, came mode '{image.mode}'; convert the image to 8 bits first")
            return np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadImage(f"not a whole image ({_words(error)}); deliver the image again") from error


def _words(error: Exception) -> str:
    return "its format is not known" if isinstance(error, UnidentifiedImageError) else str(error)


def encoded_size_px(data: bytes) -> tuple[int, int]:
    """Return (height, width) of an image file from its first bytes, without decoding the pixels.

    Raises:
        BadImage: not an image.
    """
    try:
        if data.startswith(_JPEG_START):
            height, width, *_ = simplejpeg.decode_jpeg_header(data)
            return int(height), int(width)
        with Image.open(io.BytesIO(data)) as image:
            return image.height, image.width
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadImage(f"not a whole image ({_words(error)}); deliver the image again") from error


def resize(image_HWC: ByteArray, input_px: tuple[int, int]) -> tuple[ByteArray, Scale]:
    """Resize to ``input_px`` (height, width) without keeping the aspect: area average to shrink, linear to enlarge.

    Raises:
        BadInput: the image is not uint8 of shape (height, width, 3).
    """
    if image_HWC.dtype != np.uint8 or image_HWC.ndim != 3 or image_HWC.shape[2] != 3 or not image_HWC.size:
        raise BadInput(f"expected a uint8 image of shape (height, width, 3), came {image_HWC.dtype} {image_HWC.shape}")
    original_px = (image_HWC.shape[0], image_HWC.shape[1])
    height, width = input_px
    shrinks = height <= original_px[0] and width <= original_px[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(image_HWC, (width, height), interpolation=interpolation)
    return np.asarray(resized, np.uint8), Scale(original_px, (height, width))


@contextmanager
def resize_threads(threads: int) -> Iterator[None]:
    """Let each resize of this process use so many threads: where images are read in parallel, OpenCV's own only disturb."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(threads)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def to_input(image_HWC: ByteArray, input_px: tuple[int, int], out: FloatArray | None = None) -> InputImage:
    """Bring an RGB image of any size to the network's input; normalisation is inside the network.

    Args:
        image_HWC: uint8, as :func:`read_image` returns it.
        input_px: (height, width), multiples of 32.
        out: where the pixels are written, float32 (3, height, width): a place in a batch. A new array where it is None.

    Returns:
        float32 pixels 0..255 of shape (3, height, width), and the scale that ``detections.decode`` needs.
    """
    resized, scale = resize(image_HWC, input_px)
    pixels_CHW = np.empty((3, *input_px), np.float32) if out is None else out
    np.copyto(pixels_CHW, resized.transpose(2, 0, 1))
    return InputImage(pixels_CHW, scale)
