"""What an image file is, from its first bytes: its format, its size, its EXIF orientation; refused before it is decoded."""

import io
import struct
import zlib
from typing import NamedTuple

from lakegate.errors import BadImage

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")
JPEG_START = b"\xff\xd8\xff"
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
# All that Pillow's readers were seen to raise on the damaged files of its own test suite.
DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, EOFError, MemoryError,
    struct.error, zlib.error,
)  # fmt: skip


class ImageHeader(NamedTuple):
    """What the first bytes say. ``exif_orientation`` is 1 where nothing is to be turned."""

    format: str
    width_px: int
    height_px: int
    exif_orientation: int


def read_header(data: bytes) -> ImageHeader:
    """Read the header of an image file, without decoding pixels.

    Raises:
        BadImage: what must not be decoded at all: no image, another format than ``FORMATS``, several pictures, too many pixels.
    """
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise BadImage("the file is empty (0 bytes); deliver the image again")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width_px, height_px = image.size
            limit = Image.MAX_IMAGE_PIXELS or 0
            if limit and width_px * height_px > limit:
                raise BadImage(f"{width_px} x {height_px} px unfold to more than {limit:,} pixels; make the image smaller")
            is_jpeg = data.startswith(JPEG_START)  # a JPEG with several pictures (MPO) is read as its first one
            n_frames = 1 if is_jpeg else int(getattr(image, "n_frames", 1))
            if n_frames > 1:
                raise BadImage(f"expected one still picture, the file holds {n_frames}; export each frame as its own image")
            rotates = is_jpeg or image.format == "WEBP"  # Pillow turns a TIFF itself
            orientation = image.getexif().get(_EXIF_ORIENTATION, 1) if rotates else 1
            upright = orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1
            return ImageHeader("JPEG" if is_jpeg else str(image.format), width_px, height_px, upright)
    except UnidentifiedImageError as error:
        raise BadImage(f"expected an image ({', '.join(FORMATS)}), came {_looks_like(data)}") from error
    except Image.DecompressionBombError as error:
        raise BadImage(f"too many pixels: {error}") from error
    except DECODER_ERRORS as error:
        raise BadImage(f"not a whole image ({error}); deliver the image again") from error


def _looks_like(data: bytes) -> str:
    for start, words in _KNOWN_STARTS.items():
        if data.startswith(start) or data[4:].startswith(start):
            return words
    start = data[:24]
    if start.isascii() and start.decode().isprintable():
        return f"a file that begins with {start.decode()!r}"
    return f"a file that begins with the bytes {start[:8].hex(' ')}"
