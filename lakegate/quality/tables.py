"""Samples and annotations as two tables: what the schema checks."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lakegate.quality.image_metrics import MeasuredImages
from lakegate.quality.mask_facts import mask_facts
from lakegate.quality.shape_flaws import keypoint_flaw, labelled_points, mask_flaw, outside_px, polygon_flaw
from lakegate.samples import Sample

if TYPE_CHECKING:
    import pandas as pd


SAMPLE_COLUMNS = (
    "sample_id", "file", "label_file", "split", "width_px", "height_px", "decoded_width_px", "decoded_height_px",
    "sha256", "id_count", "has_image", "broken_reason", "size_fits", "image_labels",
    "n_image_labels",
)  # fmt: skip


_BOX_COLUMNS = ("x_px", "y_px", "box_width_px", "box_height_px")
_OBJECT_COLUMNS = (
    "sample_id", "number", "annotation_id", "id_count", "label", "has_box", *_BOX_COLUMNS, "image_width_px",
    "image_height_px", "is_image_level", "has_mask", "has_polygons", "has_rle", "has_keypoints", "polygon_flaw",
    "polygon_outside_px", "keypoint_flaw", "keypoint_outside_px",
)  # fmt: skip


class Tables(NamedTuple):
    """``samples``: one row per sample; ``annotations``: one row per object, joined to it by ``sample_id``."""

    samples: "pd.DataFrame"
    annotations: "pd.DataFrame"


def file_name(sample_id: str, images: Mapping[str, Path]) -> str:
    """Return the image's name as people know it; files of the local cache have no suffix and are named by the sample."""
    return f"{sample_id}{images[sample_id].suffix}" if sample_id in images else sample_id


def build_tables(samples: Sequence[Sample], images: Mapping[str, Path], measured: MeasuredImages) -> Tables:
    """Build both tables; sizes in pixels, a decoded size of -1 where the image is absent or broken."""
    return Tables(_samples_table(samples, images, measured), _annotations_table(samples, measured))


def _samples_table(samples: Sequence[Sample], images: Mapping[str, Path], measured: MeasuredImages) -> "pd.DataFrame":
    import pandas as pd

    count = Counter(sample.id for sample in samples)
    rows = []
    for sample in samples:
        metrics = measured.metrics.get(sample.id)
        rows.append(
            {
                "sample_id": sample.id,
                "file": file_name(sample.id, images),
                "label_file": sample.source.get("file", "") or file_name(sample.id, images),
                "split": sample.split,
                "width_px": sample.width_px,
                "height_px": sample.height_px,
                "decoded_width_px": metrics.width_px if metrics else -1,
                "decoded_height_px": metrics.height_px if metrics else -1,
                "sha256": metrics.sha256 if metrics else "",
                "id_count": count[sample.id],
                "has_image": sample.id in images,
                "broken_reason": measured.broken.get(sample.id, ""),
                "size_fits": not metrics or (sample.width_px, sample.height_px) == (metrics.width_px, metrics.height_px),
                "image_labels": ", ".join(item.label for item in sample.annotations if item.is_image_level),
                "n_image_labels": sum(item.is_image_level for item in sample.annotations),
            }
        )
    return pd.DataFrame(rows, columns=list(SAMPLE_COLUMNS))


def _annotations_table(samples: Sequence[Sample], measured: MeasuredImages) -> "pd.DataFrame":
    import pandas as pd

    rows = [row for sample in samples for row in _object_rows(sample, measured)]
    table = pd.DataFrame(rows, columns=list(_OBJECT_COLUMNS))
    table = table.astype({name: float for name in (*_BOX_COLUMNS, "polygon_outside_px", "keypoint_outside_px")})
    _add_mask_columns(table, samples)
    # NaN would be skipped by pandera's checks: a side that is no number counts as -1, a distance as infinite
    table["shorter_side_px"] = table[["box_width_px", "box_height_px"]].min(axis=1, skipna=False).fillna(-1.0)
    is_around_points = table["has_keypoints"] & ~table["has_mask"]  # one point alone has a box without area
    table.loc[is_around_points & (table["shorter_side_px"] == 0), "shorter_side_px"] = 1.0
    table["outside_px"] = _outside_px(table).where(table["has_box"], 0.0)
    return table


def _object_rows(sample: Sample, measured: MeasuredImages) -> Iterator[tuple[Any, ...]]:
    count = Counter(item.id for item in sample.annotations if item.id)
    metrics = measured.metrics.get(sample.id)
    width_px, height_px = (metrics.width_px, metrics.height_px) if metrics else (sample.width_px, sample.height_px)
    for number, item in enumerate(sample.annotations, start=1):
        box, points = item.bbox_xywh_px, labelled_points(item.keypoints)
        yield (
            sample.id, number, item.id, count[item.id], item.label,
            box is not None, *(box or (0, 0, 1, 1)), width_px, height_px,
            item.is_image_level, bool(item.polygons_px or item.rle), bool(item.polygons_px),
            item.rle is not None, bool(item.keypoints),
            polygon_flaw(item.polygons_px), outside_px(item.polygons_px, width_px, height_px),
            keypoint_flaw(item.keypoints), outside_px(points, width_px, height_px),
        )  # fmt: skip


def _add_mask_columns(table: "pd.DataFrame", samples: Sequence[Sample]) -> None:
    """Add ``mask_flaw``, and ``mask_area_px``, which is 1 where there is no whole mask."""
    import numpy as np

    items = [item for sample in samples for item in sample.annotations]
    rows = [row for row, item in enumerate(items) if item.rle is not None]
    facts = mask_facts([item.rle for item in items if item.rle is not None])
    covered, area = np.full(len(items), -1, np.int64), np.ones(len(items), np.int64)
    covered[rows], area[rows] = facts.covered_px, facts.area_px
    sizes = zip(items, covered.tolist(), table["image_width_px"], table["image_height_px"], strict=True)
    table["mask_flaw"] = [mask_flaw(item, covered_px, width, height) for item, covered_px, width, height in sizes]
    table["mask_area_px"] = np.where(table["mask_flaw"] == "", area, 1)


def _outside_px(table: "pd.DataFrame") -> "pd.Series[float]":
    """Return how far each box reaches beyond its image, 0 where it lies inside."""
    import pandas as pd

    right = table["x_px"] + table["box_width_px"] - table["image_width_px"]
    bottom = table["y_px"] + table["box_height_px"] - table["image_height_px"]
    sides = pd.concat([-table["x_px"], -table["y_px"], right, bottom], axis=1)
    outside: pd.Series[float] = sides.max(axis=1, skipna=False).clip(lower=0.0).fillna(float("inf"))
    return outside
