"""Self-contained HTML pages: one stylesheet, every value escaped, pictures inside the page as data URIs."""

import base64
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote
from xml.sax.saxutils import escape

import jinja2
import numpy as np
import numpy.typing as npt

BoxKind = Literal["truth", "hit", "missed", "false", "bad"]
JPEG_QUALITY = 82

# Colours of Okabe and Ito, "Color Universal Design" (2008); each kind also has its own line, so colour is never alone.
BOX_LINES: dict[BoxKind, tuple[str, str, float]] = {  # colour, dashes, width (both in px of the thumbnail)
    "truth": ("#56b4e9", "", 1.5),
    "hit": ("#00c08b", "", 2.0),
    "missed": ("#ff7a1a", "6 3", 2.5),
    "false": ("#f49ac8", "2 2", 2.0),
    "bad": ("#ff7a1a", "", 3.0),
}
BOX_WORDS: dict[BoxKind, str] = {
    "truth": "labelled object (thin line)",
    "hit": "found object (solid line)",
    "missed": "missed object (long dashes)",
    "false": "false object (dots)",
    "bad": "box that breaks a rule (thick line with a cross)",
}


@dataclass(frozen=True)
class DrawnBox:
    """A box to draw: corners in pixels of the original image, a short text (may be empty), and what it stands for.

    Where ``outlines_px`` holds polygons (x1, y1, x2, y2, …), they are drawn instead of the box.
    """

    xyxy_px: tuple[float, float, float, float]
    label: str = ""
    kind: BoxKind = "truth"
    outlines_px: tuple[tuple[float, ...], ...] = ()


def render(template_name: str, **context: Any) -> str:
    """Render a template of ``lakegate/templates``; every value is escaped, a missing one raises ``UndefinedError``."""
    return _environment().get_template(template_name).render(**context)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lakegate"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["box_lines"] = BOX_LINES
    environment.globals["box_words"] = BOX_WORDS
    return environment


def thumbnail(
    image: Path | npt.NDArray[np.uint8], boxes: Sequence[DrawnBox] = (), max_side_px: int = 320, quality: int = JPEG_QUALITY
) -> str:
    """Return a data URI for ``<img src>``: the picture made smaller, with ``boxes`` drawn over it as sharp lines.

    Args:
        image: an image file, or an array of shape (H, W, 3), uint8, RGB.
        boxes: in pixels of the file as stored (no EXIF rotation); kind "bad" gets a cross, so a box without area is seen.
        max_side_px: the longer side of the result; a smaller picture is not enlarged.

    Raises:
        BadImage: the file cannot be decoded.
    """
    from lakegate.imaging import read_image  # 0.3 s: cv2, Pillow; a page without pictures does not need them

    pixels_HWC = image if isinstance(image, np.ndarray) else read_image(image)
    height_px, width_px = pixels_HWC.shape[:2]
    scale = min(1.0, max_side_px / max(height_px, width_px))
    small_HWC = _shrink(pixels_HWC, max(1, round(width_px * scale)), max(1, round(height_px * scale)))
    jpeg = _data_uri(_encode(small_HWC, quality), "image/jpeg")
    if not boxes:
        return jpeg
    return _svg_uri(_overlay(jpeg, (small_HWC.shape[1], small_HWC.shape[0]), boxes, scale))


def placeholder(words: str, width_px: int = 320, height_px: int = 160) -> str:
    """Return a data URI of a grey picture that says ``words``: for files that cannot be shown."""
    return _svg_uri(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width_px} {height_px}" width="{width_px}" height="{height_px}">'
        f'<rect width="100%" height="100%" fill="#8a8f98"/><text x="50%" y="52%" text-anchor="middle" fill="#fff" '
        f'font-family="sans-serif" font-size="16">{escape(words)}</text></svg>'
    )


def _shrink(pixels_HWC: npt.NDArray[np.uint8], width_px: int, height_px: int) -> npt.NDArray[np.uint8]:
    import cv2

    if pixels_HWC.shape[:2] == (height_px, width_px):
        return pixels_HWC
    small_HWC: npt.NDArray[np.uint8] = cv2.resize(pixels_HWC, (width_px, height_px), interpolation=cv2.INTER_AREA)
    return small_HWC


def _encode(pixels_HWC: npt.NDArray[np.uint8], quality: int) -> bytes:
    import simplejpeg

    data: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels_HWC), quality=quality, colorspace="RGB")
    return data


def _data_uri(data: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def _svg_uri(svg: str) -> str:
    return "data:image/svg+xml;charset=utf-8," + quote(svg, safe="/=+;, ()-._")


def _overlay(jpeg_uri: str, size_px: tuple[int, int], boxes: Sequence[DrawnBox], scale: float) -> str:
    width_px, height_px = size_px
    # what breaks a rule is drawn last, so that nothing hides it
    drawn = "".join(_draw(box, scale, size_px) for box in sorted(boxes, key=lambda box: box.kind == "bad"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width_px} {height_px}" width="{width_px}" height="{height_px}">'
        f'<image href="{jpeg_uri}" width="{width_px}" height="{height_px}"/>'
        f'<g fill="none" font-family="sans-serif" font-size="{_text_px(size_px)}" font-weight="bold">{drawn}</g></svg>'
    )


def _text_px(size_px: tuple[int, int]) -> int:
    """Return a letter height that is still read when a page shows the picture smaller than it is."""
    return max(11, round(max(size_px) / 28))


def _draw(box: DrawnBox, scale: float, size_px: tuple[int, int]) -> str:
    colour, dashes, line_px = BOX_LINES[box.kind]
    x1, y1, x2, y2 = (round(side * scale, 1) for side in box.xyxy_px)
    shape = f'<rect x="{min(x1, x2)}" y="{min(y1, y2)}" width="{abs(x2 - x1):.1f}" height="{abs(y2 - y1):.1f}"'
    if box.kind == "bad":
        x, y, arm = (x1 + x2) / 2, (y1 + y2) / 2, 9
        cross = f'<path d="M{x - arm} {y - arm}L{x + arm} {y + arm}M{x - arm} {y + arm}L{x + arm} {y - arm}"'
        cased = f'{cross} stroke="#000" stroke-width="{line_px + 3}"/>{cross} stroke="{colour}" stroke-width="{line_px}"/>'
    else:
        cased = ""
    lines = (
        f'{shape} stroke="#000" stroke-opacity="0.65" stroke-width="{line_px + 1.5}"/>'
        f'{shape} stroke="{colour}" stroke-width="{line_px}" stroke-dasharray="{dashes or "none"}"/>'
    )
    if not box.label:
        return lines + cased
    letter_px = _text_px(size_px)
    beside_px = 14 if box.kind == "bad" and abs(x2 - x1) < 14 else 2
    text_x = min(max(min(x1, x2) + beside_px, 2), max(size_px[0] - 0.62 * letter_px * len(box.label), 2))
    text_y = min(max(min(y1, y2) - 4, letter_px), size_px[1] - 3)
    return (
        f'{lines}{cased}<text x="{text_x:.1f}" y="{text_y:.1f}" fill="{colour}" stroke="#000" stroke-width="3" '
        f'paint-order="stroke">{escape(box.label)}</text>'
    )
