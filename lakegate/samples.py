"""A sample: one image with its annotations, as it stands in ``annotations/<sample>.json``."""

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from lakegate.canonical import FLOAT_DECIMALS, canonical_json
from lakegate.errors import BadInput
from lakegate.geometry import Keypoint, Polygon, Rle

Split = Literal["train", "val", "test"]
SHAPE_KEYS = ("label", "bbox", "polygon", "rle", "keypoints", "track_id")  # what an object's id is made from, where it has none
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Annotation:
    """One labelled object, or a label of the whole image, which has no shape.

    ``bbox_xywh_px`` follows COCO: x, y of the top left corner, width, height, in pixels. An object with another shape has the
    box around it, too. Polygons are filled and belong together; an object has polygons or ``rle``, never both. ``track_id``
    is the same on every frame of one clip on which the object is seen.
    """

    label: str
    bbox_xywh_px: Box | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    id: str = ""
    author: str = ""
    origin: str = ""
    polygons_px: tuple[Polygon, ...] = ()
    rle: Rle | None = None
    keypoints: tuple[Keypoint, ...] = ()
    track_id: str = ""

    @property
    def is_image_level(self) -> bool:
        """Tell whether the label is about the whole image."""
        return self.bbox_xywh_px is None and not self.polygons_px and self.rle is None and not self.keypoints

    @property
    def geometry(self) -> tuple[Any, ...]:
        """What is compared when two versions are: box, polygons, mask and keypoints."""
        return self.bbox_xywh_px, self.polygons_px, self.rle, self.keypoints

    @property
    def box_xyxy_px(self) -> Box:
        """Corners x1, y1, x2, y2 in pixels; raises ``BadInput`` on an annotation without a box."""
        if self.bbox_xywh_px is None:
            raise BadInput(f"annotation {self.id or self.label} has no box")
        x, y, width, height = self.bbox_xywh_px
        return x, y, x + width, y + height

    def to_dict(self) -> dict[str, Any]:
        """Return the canonical fields; empty ones are left out."""
        content: dict[str, Any] = {"id": self.id, "label": self.label}
        if self.bbox_xywh_px is not None:
            content["bbox"] = [float(side) for side in self.bbox_xywh_px]
        if self.polygons_px:
            content["polygon"] = [[float(number) for number in polygon] for polygon in self.polygons_px]
        if self.rle is not None:
            content["rle"] = self.rle.to_dict()
        if self.keypoints:
            content["keypoints"] = [point.to_dict() for point in self.keypoints]
        for name in ("attributes", "author", "origin", "track_id"):
            if getattr(self, name):
                content[name] = getattr(self, name)
        return content

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Annotation":
        """Read what :meth:`to_dict` wrote; :meth:`Sample.from_json` translates the errors of what is not that."""
        bbox = content.get("bbox")
        return cls(
            label=content["label"],
            bbox_xywh_px=None if bbox is None else (float(bbox[0]), float(bbox[1]), float(bbox[2]), float(bbox[3])),
            attributes=content.get("attributes", {}),
            id=content.get("id", ""),
            author=content.get("author", ""),
            origin=content.get("origin", ""),
            polygons_px=tuple(tuple(float(number) for number in polygon) for polygon in content.get("polygon", ())),
            rle=Rle.from_dict(content["rle"]) if "rle" in content else None,
            keypoints=tuple(Keypoint.from_dict(point) for point in content.get("keypoints", ())),
            track_id=content.get("track_id", ""),
        )


@dataclass(frozen=True)
class Sample:
    """One image's labels. ``id`` is the image's path below ``images/`` without the suffix."""

    id: str
    width_px: int
    height_px: int
    annotations: tuple[Annotation, ...] = ()
    split: Split = "train"
    group: str = ""
    tags: tuple[str, ...] = ()
    source: dict[str, str] = field(default_factory=dict)
    captured_at: str = ""
    frame: int | None = None

    def to_json(self) -> bytes:
        """Serialise canonically: equal labels are equal bytes, in whatever order the export listed them."""
        content: dict[str, Any] = {
            "width": self.width_px,
            "height": self.height_px,
            "split": self.split,
            "group": self.group,
            "tags": sorted(self.tags),
            "source": self.source,
            "annotations": [item.to_dict() for item in with_ids(self.annotations)],
        }
        if self.captured_at:
            content["captured_at"] = self.captured_at
        if self.frame is not None:
            content["frame"] = self.frame
        return canonical_json(content)

    @classmethod
    def from_json(cls, sample_id: str, data: bytes) -> "Sample":
        """Parse ``annotations/<sample>.json``; raises ``BadInput`` naming the sample where it is not valid."""
        try:
            content = json.loads(data)
            if content["split"] not in get_args(Split):
                raise ValueError(f"split is {content['split']!r}, expected one of {', '.join(get_args(Split))}")
            return cls(
                id=sample_id,
                width_px=int(content["width"]),
                height_px=int(content["height"]),
                annotations=tuple(Annotation.from_dict(item) for item in content["annotations"]),
                split=content["split"],
                group=content["group"],
                tags=tuple(content.get("tags", ())),
                source=content.get("source", {}),
                captured_at=content.get("captured_at", ""),
                frame=content.get("frame"),
            )
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise BadInput(
                f"annotations/{sample_id}.json is not a sample ({type(error).__name__}: {error}); "
                "expected width, height, split, group and annotations; publish the dataset again"
            ) from error


@dataclass(frozen=True)
class ImportedSample:
    """A sample together with the image file that an export delivered."""

    sample: Sample
    image: Path

    @property
    def suffix(self) -> str:
        """The image's suffix in lower case, with the dot."""
        return self.image.suffix.lower()

    @property
    def image_object(self) -> str:
        """The image's path in lakeFS."""
        return f"images/{self.sample.id}{self.suffix}"

    @property
    def annotation_object(self) -> str:
        """The annotation file's path in lakeFS."""
        return annotation_object(self.sample.id)


def annotation_object(sample_id: str) -> str:
    """Return the path of the sample's annotation file in lakeFS."""
    return f"annotations/{sample_id}.json"


def sample_id_of(object_path: str) -> str:
    """Return the sample id of an ``images/…`` or ``annotations/…`` path.

    >>> sample_id_of("images/north/0001.jpg")
    'north/0001'
    """
    inner = PurePosixPath(object_path).relative_to(PurePosixPath(object_path).parts[0])
    return str(inner.with_suffix(""))


def with_ids(annotations: tuple[Annotation, ...]) -> list[Annotation]:
    """Sort by label and geometry; annotations without an id get one from their content, so it survives re-imports."""
    seen: dict[str, int] = {}
    result = []
    for item in sorted(annotations, key=_canonical_order):
        if not item.id:
            content = {key: value for key, value in item.to_dict().items() if key in SHAPE_KEYS}
            stem = hashlib.sha256(canonical_json(content)).hexdigest()[:8]
            seen[stem] = seen.get(stem, 0) + 1
            item = replace(item, id=stem if seen[stem] == 1 else f"{stem}-{seen[stem]}")
        result.append(item)
    return result


def _canonical_order(item: Annotation) -> tuple[str, list[float], str, bytes]:
    """Order by what the file will hold (rounded), so that reading and writing again gives the same bytes."""
    box_px = [round(side, FLOAT_DECIMALS) for side in item.bbox_xywh_px or ()]
    return item.label, box_px, item.id, canonical_json(item.to_dict())


def draw_split(group: str, test_share: float, val_share: float = 0.0) -> Split:
    """Draw the split from the group's hash: a group keeps its split in all versions.

    >>> draw_split("camera-3", 1.0)
    'test'
    """
    number = int.from_bytes(hashlib.sha256(f"group:{group}".encode()).digest()[:8], "big") / 2**64
    if number < test_share:
        return "test"
    return "val" if number < test_share + val_share else "train"
