"""Image metrics that are known already: one SQLite file, by the image's SHA-256."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from lakegate.canonical import exact_json
from lakegate.errors import LakegateError
from lakegate.quality.image_metrics import METRICS_VERSION, ImageMetrics

_ASKED_AT_ONCE = 500
_WAIT_S = 60.0
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_COMPANIONS = ("", "-wal", "-shm")
_TABLE = "CREATE TABLE IF NOT EXISTS metrics (sha256 TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID"


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
        wanted = list(dict.fromkeys(digests))
        known: dict[str, ImageMetrics] = {}
        if not self.path.exists():
            return known
        for start in range(0, len(wanted), _ASKED_AT_ONCE):
            part = wanted[start : start + _ASKED_AT_ONCE]
            for sha256, content in self._rows(part):
                metrics = _parse(content)
                if metrics and metrics.sha256 == sha256:
                    known[sha256] = metrics
        return known

    def store(self, metrics: Iterable[ImageMetrics]) -> None:
        """Keep metrics; another process sees all of these or none."""
        rows = [(item.sha256, exact_json(asdict(item)).decode()) for item in metrics]
        if not rows:
            return
        try:
            self._write(rows)
        except sqlite3.DatabaseError as error:
            self._start_anew_after(error)
            self._write(rows)

    def _rows(self, digests: list[str]) -> list[tuple[str, str]]:
        places = ",".join("?" * len(digests))
        try:
            with self._connection() as connection:
                return connection.execute(f"SELECT sha256, content FROM metrics WHERE sha256 IN ({places})", digests).fetchall()
        except sqlite3.DatabaseError as error:
            self._start_anew_after(error)
            return []

    def _write(self, rows: list[tuple[str, str]]) -> None:
        with self._connection() as connection, connection:
            connection.executemany("INSERT OR REPLACE INTO metrics VALUES (?, ?)", rows)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.path, timeout=_WAIT_S)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute(_TABLE)
            yield connection

    def _start_anew_after(self, error: sqlite3.DatabaseError) -> None:
        """Throw a damaged file away; another error (no space, no permission) is raised.

        Raises:
            LakegateError: the file is not damaged, but cannot be used.
        """
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the kind, the others say more
        if code not in _DAMAGED:
            raise LakegateError(
                f"the metrics cache {self.path} cannot be used ({error}); expected a writable SQLite file on a local disk; "
                "make room or delete it, it can be computed again"
            ) from error
        for suffix in _COMPANIONS:
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)


def _parse(content: str) -> ImageMetrics | None:
    try:
        return ImageMetrics(**json.loads(content))
    except (ValueError, TypeError):
        return None
