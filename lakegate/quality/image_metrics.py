"""What is measured on one image."""

from dataclasses import dataclass

METRICS_VERSION = 2  # raise it when a metric's meaning changes: cached values of other versions are not read


@dataclass(frozen=True)
class ImageMetrics:
    """What was measured on one image as stored (EXIF orientation not applied).

    ``width_px``, ``height_px`` and ``aspect`` (width / height) are those of the file. The rest is measured on the grey image
    at half size: ``brightness`` and ``contrast`` are mean and standard deviation of its values 0..255, ``entropy`` is that of
    their histogram in bits (0..8), ``blur`` is the variance of the Laplacian (the higher, the sharper), ``phash`` is the
    perceptual hash, 64 bits as 16 hexadecimal digits.
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
    phash: str


@dataclass(frozen=True)
class MeasuredImages:
    """Metrics of the whole files and reasons of the broken ones, by the key that the caller gave."""

    metrics: dict[str, ImageMetrics]
    broken: dict[str, str]
    n_measured: int  # files that were decoded now, the rest came from the cache
