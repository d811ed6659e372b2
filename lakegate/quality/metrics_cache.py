"""Image metrics that are known already: one SQLite file, by the image's SHA-256."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from lakegate.canonical import exact_json
from lakegate.quality.image_metrics import METRICS_VERSION, ImageMetrics
from lakegate.row_cache import RowCache


@dataclass(frozen=True)
class MetricsCache:
    """Metrics by image SHA-256 under ``folder``; disposable. Several processes may use it at once, and each may be killed."""

    folder: Path

    @property
    def path(self) -> Path:
        """The SQLite file; another version of the metrics has another file."""
        return self.folder / f"metrics-v{METRICS_VERSION}.sqlite"

    def load(self, digests: Iterable[str]) -> dict[str, ImageMetrics]:
        """Return what is known, by SHA-256; a damaged row or file counts as absent."""
        known: dict[str, ImageMetrics] = {}
        for sha256, content in self._rows.load(digests):
            metrics = _parse(content)
            if metrics and metrics.sha256 == sha256:
                known[sha256] = metrics
        return known

    def store(self, metrics: Iterable[ImageMetrics]) -> None:
        """Keep metrics; another process sees all of these or none."""
        self._rows.store([(item.sha256, exact_json(asdict(item)).decode()) for item in metrics])

    @property
    def _rows(self) -> RowCache:
        return RowCache(self.path, "metrics", "image metrics")


def _parse(content: str) -> ImageMetrics | None:
    try:
        return ImageMetrics(**json.loads(content))
    except (ValueError, TypeError):
        return None
