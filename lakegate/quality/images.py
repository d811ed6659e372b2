"""Measure image files in one pass: whole or broken, size, brightness, contrast, entropy, sharpness, perceptual hash."""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lakegate.canonical import sha256_bytes
from lakegate.errors import BadImage
from lakegate.quality.image_header import DECODER_ERRORS, JPEG_START, ImageHeader, read_header
from lakegate.quality.image_metrics import ImageMetrics, MeasuredImages
from lakegate.quality.metrics_cache import MetricsCache

_AT_ONCE = 64  # files whose bytes are held in memory; one look into the cache for all of them
_HASHED_FROM_PX = 128  # the hash is taken from an eighth of the size, of smaller images from half
_HASH_SIDE_PX = 32
_HASH_SIDE_BITS = 8

Grey = npt.NDArray[np.uint8]


class _File(NamedTuple):
    """One file on its way: its bytes, or why they could not be read."""

    key: str
    path: Path
    sha256: str
    data: bytes | None  # None: not read yet, its SHA-256 was known
    reason: str = ""


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


def measure_bytes(data: bytes, sha256: str = "") -> ImageMetrics:
    """Measure the bytes of an image file as :func:`measure_image` does; the error does not know the file's name."""
    import cv2

    header = read_header(data)
    try:
        grey_HW = _grey_at_half_size(data, header)
    except DECODER_ERRORS as error:
        raise BadImage(f"not a whole image ({error}); deliver the image again") from error
    brightness, contrast, entropy = _spread(np.asarray(cv2.calcHist([grey_HW], [0], None, [256], [0, 256]), np.float64).ravel())
    return ImageMetrics(
        sha256=sha256 or sha256_bytes(data),
        format=header.format,
        width_px=header.width_px,
        height_px=header.height_px,
        aspect=header.width_px / header.height_px,
        brightness=brightness,
        contrast=contrast,
        entropy=entropy,
        blur=float(cv2.meanStdDev(cv2.Laplacian(grey_HW, cv2.CV_16S))[1][0, 0] ** 2),
        exif_orientation=header.exif_orientation,
        phash=perceptual_hash(grey_HW),
    )


def perceptual_hash(grey_HW: Grey) -> str:
    """Return 64 bits as 16 hexadecimal digits: which of the 64 lowest frequencies are above their median.

    The picture is made 32 x 32 px first, so size, small changes of brightness and JPEG quality hardly count.
    Source: Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010 (the DCT hash).
    """
    import cv2

    if min(grey_HW.shape) >= _HASHED_FROM_PX:
        grey_HW = np.asarray(cv2.resize(grey_HW, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA), np.uint8)
    small = cv2.resize(grey_HW, (_HASH_SIDE_PX, _HASH_SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    lowest_64 = np.asarray(cv2.dct(small))[:_HASH_SIDE_BITS, :_HASH_SIDE_BITS].ravel()
    return np.packbits(lowest_64 > np.median(lowest_64[1:])).tobytes().hex()


def measure_many(
    images: Iterable[tuple[str, Path]],
    threads: int,
    cache: MetricsCache | None = None,
    known_sha256: Mapping[str, str] | None = None,
) -> MeasuredImages:
    """Measure files in parallel; a file whose bytes are in the cache is not decoded again.

    Args:
        images: pairs of a key (the sample's id) and the file.
        threads: decoders release the interpreter lock, so threads are enough.
        known_sha256: by key, of files whose bytes were verified; those that are in the cache are not even read.
    """
    result = MeasuredImages({}, {}, 0)
    n_measured = 0
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for part in _parts(images):
            files = list(pool.map(lambda pair: _open(pair[0], pair[1], known_sha256 or {}), part))
            known = cache.load(file.sha256 for file in files if file.sha256) if cache else {}
            fresh = [file for file in files if not file.reason and file.sha256 not in known]
            found = dict(zip((file.key for file in fresh), pool.map(_measure_or_reason, fresh), strict=True))
            for file in files:
                measured = known.get(file.sha256) or found.get(file.key) or file.reason
                if isinstance(measured, str):
                    result.broken[file.key] = measured
                else:
                    result.metrics[file.key] = measured
            if cache:
                cache.store(item for item in found.values() if isinstance(item, ImageMetrics))
            n_measured += len(fresh)
    return MeasuredImages(result.metrics, result.broken, n_measured)


def _parts(images: Iterable[tuple[str, Path]]) -> Iterator[list[tuple[str, Path]]]:
    pairs = iter(images)
    while part := list(islice(pairs, _AT_ONCE)):
        yield part


def _open(key: str, path: Path, known_sha256: Mapping[str, str]) -> _File:
    if key in known_sha256:
        return _File(key, path, known_sha256[key], None)
    try:
        data = path.read_bytes()
    except OSError as error:
        return _File(key, path, "", None, f"the file cannot be read: {error.strerror or error}")
    return _File(key, path, sha256_bytes(data), data)


def _measure_or_reason(file: _File) -> ImageMetrics | str:
    try:
        return measure_bytes(file.path.read_bytes() if file.data is None else file.data, file.sha256)
    except OSError as error:
        return f"the file cannot be read: {error.strerror or error}"
    except BadImage as error:
        return str(error)


def _grey_at_half_size(data: bytes, header: ImageHeader) -> Grey:
    """Decode strictly; a JPEG is decoded at half size at once, unless its colours (CMYK) are only read in full."""
    import cv2
    import simplejpeg

    from lakegate.imaging import decode_image

    half_px = (header.width_px + 1) // 2, (header.height_px + 1) // 2
    if data.startswith(JPEG_START):
        try:
            pixels = simplejpeg.decode_jpeg(data, colorspace="GRAY", min_width=half_px[0], min_height=half_px[1], strict=True)
            return np.asarray(pixels[:, :, 0], np.uint8)
        except ValueError:
            pass  # what training's own decoder says of it counts: it accepts, or gives the reason
    grey_HW = cv2.cvtColor(decode_image(data), cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey_HW, half_px, interpolation=cv2.INTER_AREA), np.uint8)


def _spread(count_256: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Return mean, standard deviation and entropy in bits of grey values whose histogram is given."""
    share_256 = count_256 / count_256.sum()
    values_256 = np.arange(256)
    mean = float(share_256 @ values_256)
    used = share_256[share_256 > 0]
    return mean, float(np.sqrt(share_256 @ (values_256 - mean) ** 2)), float(abs(np.sum(used * np.log2(used))))
