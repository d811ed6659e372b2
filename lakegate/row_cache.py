"""Rows by SHA-256 in one SQLite file on this machine's disk; disposable: a damaged file is thrown away and written anew."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lakegate.errors import LakegateError

_ASKED_AT_ONCE = 500
_WAIT_S = 60.0
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_COMPANIONS = ("", "-wal", "-shm")


@dataclass(frozen=True)
class RowCache:
    """Rows of text or bytes by SHA-256. Several processes and threads may use it at once, and each may be killed."""

    path: Path
    table: str
    content: str  # what the rows are, for an error

    def load(self, digests: Iterable[str]) -> Iterator[tuple[str, Any]]:
        """Yield (SHA-256, content) of the rows that are known; a damaged file counts as empty."""
        wanted = list(dict.fromkeys(digests))
        if not self.path.exists():
            return
        for start in range(0, len(wanted), _ASKED_AT_ONCE):
            yield from self._rows(wanted[start : start + _ASKED_AT_ONCE])

    def store(self, rows: Sequence[tuple[str, str | bytes]]) -> None:
        """Keep rows; another process sees all of these or none."""
        if not rows:
            return
        try:
            self._write(rows)
        except sqlite3.DatabaseError as error:
            self._start_anew_after(error)
            self._write(rows)

    def _rows(self, digests: list[str]) -> list[tuple[str, Any]]:
        places = ",".join("?" * len(digests))
        try:
            with self._connection() as connection:
                query = f"SELECT sha256, content FROM {self.table} WHERE sha256 IN ({places})"
                return connection.execute(query, digests).fetchall()
        except sqlite3.DatabaseError as error:
            self._start_anew_after(error)
            return []

    def _write(self, rows: Sequence[tuple[str, str | bytes]]) -> None:
        with self._connection() as connection, connection:
            connection.executemany(f"INSERT OR REPLACE INTO {self.table} VALUES (?, ?)", rows)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.path, timeout=_WAIT_S)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute(f"CREATE TABLE IF NOT EXISTS {self.table} (sha256 TEXT PRIMARY KEY, content NOT NULL)")
            yield connection

    def _start_anew_after(self, error: sqlite3.DatabaseError) -> None:
        """Throw a damaged file away; another error (no space, no permission) is raised.

        Raises:
            LakegateError: the file is not damaged, but cannot be used.
        """
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the kind, the others say more
        if code not in _DAMAGED:
            raise LakegateError(
                f"the cache of {self.content} {self.path} cannot be used ({error}); expected a writable SQLite file on a local "
                "disk; make room or delete it, it can be computed again"
            ) from error
        for suffix in _COMPANIONS:
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)
