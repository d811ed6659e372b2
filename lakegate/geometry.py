"""Shapes of labelled objects beyond boxes, in COCO's conventions: polygons, run-length masks, keypoints."""

from dataclasses import dataclass
from typing import Any

Polygon = tuple[float, ...]  # x1, y1, x2, y2, … in pixels of the stored image, at least three points


@dataclass(frozen=True)
class Rle:
    """A mask of the whole image as COCO's compressed run lengths (column by column, beginning with background)."""

    height_px: int
    width_px: int
    counts: str

    def to_dict(self) -> dict[str, Any]:
        """Return COCO's ``{"size": [height, width], "counts": "…"}``."""
        return {"size": [self.height_px, self.width_px], "counts": self.counts}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Rle":
        """Read what :meth:`to_dict` wrote; raises ``KeyError``, ``TypeError`` or ``ValueError`` on anything else."""
        height_px, width_px = content["size"]
        return cls(int(height_px), int(width_px), str(content["counts"]))


@dataclass(frozen=True)
class Keypoint:
    """One named point. ``visibility`` is COCO's: 0 not labelled (x and y are 0), 1 labelled but hidden, 2 visible."""

    name: str
    x_px: float
    y_px: float
    visibility: int = 2

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"name", "x", "y", "visibility"}``."""
        return {"name": self.name, "x": float(self.x_px), "y": float(self.y_px), "visibility": self.visibility}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Keypoint":
        """Read what :meth:`to_dict` wrote; raises ``KeyError``, ``TypeError`` or ``ValueError`` on anything else."""
        return cls(str(content["name"]), float(content["x"]), float(content["y"]), int(content["visibility"]))
