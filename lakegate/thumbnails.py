"""Small pictures of image files for pages, made once per content and side: a second page costs little."""

import os
import struct
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lakegate.canonical import sha256_bytes
from lakegate.errors import BadImage
from lakegate.settings import Settings

THUMBNAIL_VERSION = 1  # raise it when the same image would give other bytes
JPEG_QUALITY = 74
_HEAD = struct.Struct("<4sII")
_MAGIC = b"LGT1"
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"


class Thumbnail(NamedTuple):
    """A JPEG whose longer side is at most what was asked for, and the size of the image that it was made from."""

    jpeg: bytes
    width_px: int
    height_px: int


@dataclass(frozen=True)
class Thumbnails:
    """Makes thumbnails; with a ``folder`` they are kept there by the image's SHA-256. Several processes may share it."""

    folder: Path | None = None

    @classmethod
    def cached(cls, settings: Settings) -> "Thumbnails":
        """Keep them in the cache of this machine, which is disposable."""
        return cls(settings.cache_dir / "thumbnails")

    def find(self, sha256: str, side_px: int) -> Thumbnail | None:
        """Return what is kept for an image's content; ``None`` where there is nothing, or a damaged file."""
        if self.folder is None:
            return None
        try:
            data = self._path(sha256, side_px).read_bytes()
            magic, width_px, height_px = _HEAD.unpack_from(data)
        except (OSError, struct.error):
            return None
        jpeg = data[_HEAD.size :]
        is_whole = magic == _MAGIC and jpeg.startswith(_JPEG_START) and jpeg.endswith(_JPEG_END)
        return Thumbnail(jpeg, width_px, height_px) if is_whole else None

    def get(self, image: Path, side_px: int, sha256: str = "") -> Thumbnail:
        """Return the thumbnail of an image file; pixels as stored (no EXIF rotation), never enlarged.

        Args:
            image: the file; it is not read where ``sha256`` says what is in it and that is kept.
            side_px: limit of the longer side.

        Raises:
            BadImage: the file is absent, or is not one whole image.
        """
        found = self.find(sha256, side_px) if sha256 else None
        if found is not None:
            return found
        try:
            data = image.read_bytes()
        except OSError as error:
            raise BadImage(f"{image}: cannot be read ({error.strerror or error}); expected an image file") from error
        digest = sha256_bytes(data)
        found = self.find(digest, side_px)
        if found is None:
            found = make_thumbnail(data, side_px)
            self._keep(found, digest, side_px)
        return found

    def _path(self, sha256: str, side_px: int) -> Path:
        assert self.folder is not None
        return self.folder / f"v{THUMBNAIL_VERSION}-{side_px}" / sha256[:2] / sha256

    def _keep(self, thumbnail: Thumbnail, sha256: str, side_px: int) -> None:
        if self.folder is None:
            return
        path = self._path(sha256, side_px)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
        aside.write_bytes(_HEAD.pack(_MAGIC, thumbnail.width_px, thumbnail.height_px) + thumbnail.jpeg)
        aside.replace(path)


def make_thumbnail(data: bytes, side_px: int) -> Thumbnail:
    """Make the thumbnail of an image file's bytes; a large JPEG is decoded at a fraction of its size.

    Raises:
        BadImage: not one whole image.
    """
    import cv2
    import simplejpeg

    from lakegate.imaging import encoded_size_px

    height_px, width_px = encoded_size_px(data)
    scale = min(1.0, side_px / max(height_px, width_px, 1))
    small_px = max(1, round(width_px * scale)), max(1, round(height_px * scale))
    pixels_HWC = _decode(data, small_px)
    if (pixels_HWC.shape[1], pixels_HWC.shape[0]) != small_px:
        pixels_HWC = np.asarray(cv2.resize(pixels_HWC, small_px, interpolation=cv2.INTER_AREA), np.uint8)
    jpeg: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(pixels_HWC), quality=JPEG_QUALITY, colorspace="RGB", colorsubsampling="420"
    )
    return Thumbnail(jpeg, width_px, height_px)


def _decode(data: bytes, small_px: tuple[int, int]) -> npt.NDArray[np.uint8]:
    import simplejpeg

    from lakegate.imaging import decode_image

    if data.startswith(_JPEG_START + b"\xff"):
        try:
            pixels: npt.NDArray[np.uint8] = simplejpeg.decode_jpeg(
                data, colorspace="RGB", min_width=small_px[0], min_height=small_px[1], strict=True
            )
            return pixels
        except ValueError as error:
            raise BadImage(f"not a whole JPEG ({error}); deliver the image again") from error
    return decode_image(data)
