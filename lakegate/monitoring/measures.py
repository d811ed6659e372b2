"""Numbers per image that are compared between production and training: of the picture, and of what the model found in it."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lakegate.detections import Detections
from lakegate.errors import BadImage
from lakegate.imaging import read_image
from lakegate.monitoring.embedding import N_FEATURES, embed
from lakegate.monitoring.frames import SeenObject
from lakegate.quality.image_metrics import ImageMetrics
from lakegate.quality.images import measure_many
from lakegate.quality.metrics_cache import MetricsCache

FloatArray = npt.NDArray[np.float64]
Table = dict[str, FloatArray]
"""Columns of equal length, one row per image; nan where a number does not exist (mean score of no object)."""

IMAGE_WORDS = {
    "brightness": "brightness (mean grey value, 0 to 255)",
    "contrast": "contrast (spread of the grey values)",
    "entropy": "entropy of the grey values (bits)",
    "blur": "sharpness (variance of the Laplacian)",
    "width_px": "width of the image (px)",
    "height_px": "height of the image (px)",
}
PREDICTION_WORDS = {"objects": "objects found per image", "score": "mean score of the objects of an image"}
PER_LABEL = "objects: "


@dataclass(frozen=True, eq=False)
class MeasuredImages:
    """Image columns and embeddings of the whole images, in the order given; reasons of the broken ones by key."""

    keys: tuple[str, ...]
    table: Table
    embeddings: FloatArray  # (N, N_FEATURES)
    broken: dict[str, str]


def measure_images(images: Iterable[tuple[str, Path]], threads: int, cache: MetricsCache | None = None) -> MeasuredImages:
    """Measure image files by key; what cannot be decoded is left out and named."""
    pairs = dict(images)
    measured = measure_many(pairs.items(), threads, cache)
    broken = dict(measured.broken)
    with ThreadPoolExecutor(max_workers=threads) as pool:
        rows = dict(zip(measured.metrics, pool.map(lambda key: _embed_file(pairs[key]), measured.metrics), strict=True))
    broken |= {key: row for key, row in rows.items() if isinstance(row, str)}
    whole = [key for key in pairs if key not in broken]
    found = [row for row in (rows[key] for key in whole) if not isinstance(row, str)]
    embeddings_NF = np.array(found, np.float64).reshape(-1, N_FEATURES)
    return MeasuredImages(tuple(whole), _image_table([measured.metrics[key] for key in whole]), embeddings_NF, broken)


def _embed_file(path: Path) -> FloatArray | str:
    try:
        return embed(read_image(path))
    except BadImage as error:
        return str(error)


def _image_table(metrics: Sequence[ImageMetrics]) -> Table:
    return {name: np.array([getattr(item, name) for item in metrics], np.float64) for name in IMAGE_WORDS}


def prediction_words(labels: Sequence[str]) -> dict[str, str]:
    """Return what the prediction columns of these labels mean, by column."""
    return PREDICTION_WORDS | {f"{PER_LABEL}{label}": f"objects found per image: {label}" for label in labels}


def prediction_table(objects: Sequence[Sequence[SeenObject]], labels: Sequence[str]) -> Table:
    """Return the prediction columns, one row for each image's objects (all above the operating threshold)."""
    table = {
        "objects": np.array([len(row) for row in objects], np.float64),
        "score": np.array([np.mean([item.score for item in row]) if row else np.nan for row in objects], np.float64),
    }
    for label in labels:
        counts = [sum(item.label == label for item in row) for row in objects]
        table[f"{PER_LABEL}{label}"] = np.array(counts, np.float64)
    return table


def seen_objects(
    detections: Mapping[str, Detections], labels: Sequence[str], score_threshold: float
) -> list[list[SeenObject]]:
    """Return predictions as the serving side reports them: cut at the operating threshold, labels by name."""
    return [_as_seen(item.at_least(score_threshold), labels) for item in detections.values()]


def _as_seen(found: Detections, labels: Sequence[str]) -> list[SeenObject]:
    rows = zip(found.labels.tolist(), found.scores.tolist(), found.boxes_xyxy_px.tolist(), strict=True)
    return [SeenObject(label=labels[label], score=score, box_xyxy_px=tuple(box)) for label, score, box in rows]
