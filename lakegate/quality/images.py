"""Measure image files: whole or broken, size, brightness, contrast, entropy, sharpness; each file once, by its SHA-256."""

import io
import json
import os
import struct
import threading
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lakegate.canonical import exact_json, sha256_bytes
from lakegate.errors import BadImage

METRICS_VERSION = 1  # raise it when a metric's meaning changes: cached values of other versions are not read
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")
_EXIF_ORIENTATION = 0x0112
_KNOWN_STARTS = {
    b"GIF8": "a GIF; export it as PNG",
    b"ftyp": "an AVIF, HEIC or video file; export it as PNG or JPEG",
    b"jP  ": "a JPEG 2000; export it as PNG or JPEG",
    b"\x89PNG": "a damaged PNG; deliver the image again",
    b"II*\0": "a damaged TIFF; deliver the image again",
    b"MM\0*": "a damaged TIFF; deliver the image again",
    b"<!DOCTYPE": "a web page; download the image itself",
    b"<!doctype": "a web page; download the image itself",
    b"<html": "a web page; download the image itself",
}
_JPEG_START = b"\xff\xd8\xff"
# All that Pillow's readers were seen to raise on the damaged files of its own test suite.
_DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, EOFError, MemoryError,
    struct.error, zlib.error,
)  # fmt: skip


@dataclass(frozen=True)
class ImageMetrics:
    """What was measured on one image as stored (EXIF orientation not applied).

    ``brightness`` and ``contrast`` are mean and standard deviation of the grey values 0..255, ``entropy`` is that of their
    histogram in bits (0..8), ``blur`` is the variance of the Laplacian (the higher, the sharper), ``aspect`` is width / height.
    Source of ``blur``: Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR 2000.
    """

    sha256: str
    format: str
    width_px: int
    height_px: int
    aspect: float
    brightness: float
    contrast: float
    entropy: float
    blur: float
    exif_orientation: int


@dataclass(frozen=True)
class MeasuredImages:
    """Metrics of the whole files and reasons of the broken ones, by the key that the caller gave."""

    metrics: dict[str, ImageMetrics]
    broken: dict[str, str]
    n_measured: int  # files that were decoded now, the rest came from the cache


@dataclass
class MetricsCache:
    """Metrics by image SHA-256 under ``folder``; disposable, written aside and renamed."""

    folder: Path
    n_hits: int = field(default=0, init=False)

    def path_of(self, sha256: str) -> Path:
        """Return where the metrics of an image with that SHA-256 are kept."""
        return self.folder / f"v{METRICS_VERSION}" / sha256[:2] / f"{sha256}.json"

    def load(self, sha256: str) -> ImageMetrics | None:
        """Return what is cached; a damaged file counts as absent."""
        try:
            return ImageMetrics(**json.loads(self.path_of(sha256).read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def store(self, metrics: ImageMetrics) -> None:
        """Write the metrics so that another process sees all of them or nothing."""
        path = self.path_of(metrics.sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
        aside.write_bytes(exact_json(asdict(metrics)))
        aside.replace(path)


def measure_image(path: Path) -> ImageMetrics:
    """Decode one file strictly and measure it.

    Raises:
        BadImage: the file is not one whole still picture that training can read; names the file and the reason.
    """
    try:
        return measure_bytes(path.read_bytes())
    except OSError as error:
        raise BadImage(f"{path.name}: cannot be read: {error.strerror or error}") from error
    except BadImage as error:
        raise BadImage(f"{path.name}: {error}") from error


def measure_bytes(data: bytes) -> ImageMetrics:
    """Measure the bytes of an image file as :func:`measure_image` does; the error does not know the file's name."""
    import cv2

    from lakegate.imaging import decode_image

    image_format, orientation = _read_header(data)
    try:
        pixels_HWC = decode_image(data)
    except _DECODER_ERRORS as error:
        raise BadImage(f"not a whole image ({error}); deliver the image again") from error
    height_px, width_px = pixels_HWC.shape[:2]
    grey_HW = cv2.cvtColor(pixels_HWC, cv2.COLOR_RGB2GRAY)
    brightness, contrast = (float(value[0, 0]) for value in cv2.meanStdDev(grey_HW))
    blur = float(cv2.meanStdDev(cv2.Laplacian(grey_HW, cv2.CV_16S))[1][0, 0] ** 2)
    return ImageMetrics(
        sha256=sha256_bytes(data),
        format=image_format,
        width_px=width_px,
        height_px=height_px,
        aspect=width_px / height_px,
        brightness=brightness,
        contrast=contrast,
        entropy=_entropy_bits(grey_HW),
        blur=blur,
        exif_orientation=orientation,
    )


def measure_many(images: Iterable[tuple[str, Path]], threads: int, cache: MetricsCache | None = None) -> MeasuredImages:
    """Measure files in parallel; a file whose bytes are in the cache is not decoded again.

    Args:
        images: pairs of a key (the sample's id) and the file.
        threads: decoders release the interpreter lock, so threads are enough.
    """
    pairs = list(images)
    with ThreadPoolExecutor(max_workers=threads) as pool:
        results = list(pool.map(lambda pair: _measure_or_reason(pair[1], cache), pairs))
    metrics = {key: found for (key, _), (found, _, _) in zip(pairs, results, strict=True) if found is not None}
    broken = {key: reason for (key, _), (_, reason, _) in zip(pairs, results, strict=True) if reason}
    return MeasuredImages(metrics, broken, n_measured=sum(decoded for _, _, decoded in results))


def _measure_or_reason(path: Path, cache: MetricsCache | None) -> tuple[ImageMetrics | None, str, bool]:
    """Return (metrics or None, reason where broken, True where the file was decoded now)."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return None, f"the file cannot be read: {error.strerror or error}", False
    found = cache.load(sha256_bytes(data)) if cache else None
    if found:
        return found, "", False
    try:
        found = measure_bytes(data)
    except BadImage as error:
        return None, str(error), True
    if cache:
        cache.store(found)
    return found, "", True


def _read_header(data: bytes) -> tuple[str, int]:
    """Return format and EXIF orientation, without decoding pixels; refuse what must not be decoded at all."""
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise BadImage("the file is empty (0 bytes); deliver the image again")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width_px, height_px = image.size
            limit = Image.MAX_IMAGE_PIXELS or 0
            if limit and width_px * height_px > limit:
                raise BadImage(f"{width_px} x {height_px} px unfold to more than {limit:,} pixels; make the image smaller")
            is_jpeg = data.startswith(_JPEG_START)  # a JPEG with several pictures (MPO) is read as its first one
            n_frames = 1 if is_jpeg else int(getattr(image, "n_frames", 1))
            if n_frames > 1:
                raise BadImage(f"expected one still picture, the file holds {n_frames}; export each frame as its own image")
            rotates = is_jpeg or image.format == "WEBP"  # Pillow turns a TIFF itself
            orientation = image.getexif().get(_EXIF_ORIENTATION, 1) if rotates else 1
            upright = orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1
            return "JPEG" if is_jpeg else str(image.format), upright
    except UnidentifiedImageError as error:
        raise BadImage(f"expected an image ({', '.join(FORMATS)}), came {_looks_like(data)}") from error
    except Image.DecompressionBombError as error:
        raise BadImage(f"too many pixels: {error}") from error
    except _DECODER_ERRORS as error:
        raise BadImage(f"not a whole image ({error}); deliver the image again") from error


def _looks_like(data: bytes) -> str:
    for start, words in _KNOWN_STARTS.items():
        if data.startswith(start) or data[4:].startswith(start):
            return words
    start = data[:24]
    if start.isascii() and start.decode().isprintable():
        return f"a file that begins with {start.decode()!r}"
    return f"a file that begins with the bytes {start[:8].hex(' ')}"


def _entropy_bits(grey_HW: npt.NDArray[np.uint8]) -> float:
    share_256 = np.bincount(grey_HW.ravel(), minlength=256) / grey_HW.size
    used = share_256[share_256 > 0]
    return float(abs(np.sum(used * np.log2(used))))
