"""Samples and annotations as two tables: what the schema checks."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lakegate.quality.images import MeasuredImages
from lakegate.samples import Sample

if TYPE_CHECKING:
    import pandas as pd


SAMPLE_COLUMNS = (
    "sample_id", "file", "label_file", "split", "width_px", "height_px", "decoded_width_px", "decoded_height_px",
    "sha256", "id_count", "has_image", "broken_reason", "size_fits",
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
            }
        )
    return pd.DataFrame(rows, columns=list(SAMPLE_COLUMNS))


def _annotations_table(samples: Sequence[Sample], measured: MeasuredImages) -> "pd.DataFrame":
    import pandas as pd

    rows = []
    for sample in samples:
        count = Counter(item.id for item in sample.annotations if item.id)
        metrics = measured.metrics.get(sample.id)
        size_px = (metrics.width_px, metrics.height_px) if metrics else (sample.width_px, sample.height_px)
        for number, item in enumerate(sample.annotations, start=1):
            box = item.bbox_xywh_px
            rows.append(
                (sample.id, number, item.id, count[item.id], item.label, box is not None, *(box or (0, 0, 1, 1)), *size_px)
            )
    table = pd.DataFrame(
        rows,
        columns=["sample_id", "number", "annotation_id", "id_count", "label", "has_box", "x_px", "y_px", "box_width_px",
                 "box_height_px", "image_width_px", "image_height_px"],
    )  # fmt: skip
    table = table.astype({name: float for name in ("x_px", "y_px", "box_width_px", "box_height_px")})
    # NaN would be skipped by pandera's checks: a side that is no number counts as -1, a distance as infinite
    table["shorter_side_px"] = table[["box_width_px", "box_height_px"]].min(axis=1, skipna=False).fillna(-1.0)
    table["outside_px"] = _outside_px(table).where(table["has_box"], 0.0)
    return table


def _outside_px(table: "pd.DataFrame") -> "pd.Series[float]":
    """Return how far each box reaches beyond its image, 0 where it lies inside."""
    import pandas as pd

    right = table["x_px"] + table["box_width_px"] - table["image_width_px"]
    bottom = table["y_px"] + table["box_height_px"] - table["image_height_px"]
    sides = pd.concat([-table["x_px"], -table["y_px"], right, bottom], axis=1)
    outside: pd.Series[float] = sides.max(axis=1, skipna=False).clip(lower=0.0).fillna(float("inf"))
    return outside
