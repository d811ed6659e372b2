"""Digests of files that did not change since they were last read: a file is known by path, size, times and inode."""

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from lakegate.canonical import sha256_bytes
from lakegate.lake.content import Digests

SETTLED_NS = 2_000_000_000  # a file changed within so short a time may change again without another time stamp
BUSY_S = 60.0
SCHEMA = """
create table if not exists files (
  path text primary key, size integer, mtime_ns integer, ctime_ns integer, inode integer, sha256 text, md5 text
) without rowid
"""


class FileState(NamedTuple):
    """What tells that a file is unchanged. ``ctime_ns`` cannot be set back, as ``mtime_ns`` can."""

    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> "FileState":
        """Look at a file (the target of a link); raises ``OSError``."""
        found = os.stat(path)  # noqa: PTH116  of tens of thousands of files: pathlib takes twice as long
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)

    def has_content_of(self, other: "FileState") -> bool:
        """Tell whether at most the number of links, owner or mode changed."""
        return (self.size_bytes, self.mtime_ns, self.inode) == (other.size_bytes, other.mtime_ns, other.inode)

    def is_settled(self, seen_at_ns: int) -> bool:
        """Tell whether a later change would show, because the last one was well before ``seen_at_ns``."""
        return max(self.mtime_ns, self.ctime_ns) < seen_at_ns - SETTLED_NS


class StatIndex:
    """The known digests of files below one folder, loaded whole, in a SQLite file below ``cache/stat-index``.

    Files are named by absolute paths. The SQLite file is disposable: a missing or damaged one makes the files be read again.
    Processes may share it.
    """

    def __init__(self, cache_dir: Path, root: Path) -> None:
        self._path = cache_dir / "stat-index" / f"{sha256_bytes(os.fsencode(root))[:32]}.sqlite"
        self._known: dict[str, tuple[object, ...]] = self._read()
        self._new: dict[str, tuple[object, ...]] = {}

    def find(self, path: str) -> Digests | None:
        """Return the digests of a file that is as it was; raises ``OSError`` where there is none."""
        row = self._known.get(path)
        if row is None:
            return None
        state = FileState.of(path)
        return Digests(state.size_bytes, str(row[5]), str(row[6])) if row[1:5] == state else None

    def remember(self, path: str, state: FileState, seen_at_ns: int, digests: Digests) -> None:
        """Note the digests of a file whose ``state`` was the same before and after it was read; threads may call it."""
        if state.is_settled(seen_at_ns):
            self._new[path] = (path, *state, digests.sha256, digests.md5)

    def save(self) -> None:
        """Write what is new."""
        if not self._new:
            return
        with self._opened() as base:
            base.executemany("insert or replace into files values (?, ?, ?, ?, ?, ?, ?)", self._new.values())
        self._known |= self._new
        self._new = {}

    def _read(self) -> dict[str, tuple[object, ...]]:
        try:
            with self._opened() as base:
                return {row[0]: row for row in base.execute("select * from files")}
        except sqlite3.DatabaseError:
            self._path.unlink(missing_ok=True)  # damaged: the files are read again
            return {}

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self._path, timeout=BUSY_S)) as base, base:
            base.execute(SCHEMA)
            yield base


def absolute(path: str | os.PathLike[str]) -> str:
    """Return the absolute path of a file as text, without a look at links."""
    text = os.fspath(path)
    return text if text.startswith(os.sep) else os.path.abspath(text)  # noqa: PTH100  as above


def root_of(paths: Iterable[str]) -> Path:
    """Return the deepest folder that holds all the files, given by absolute paths."""
    folders = {path.rpartition(os.sep)[0] for path in paths}
    return Path(os.path.commonpath(folders)) if folders else Path(os.sep)


def read_whole(path: str) -> tuple[bytes, FileState | None, int]:
    """Read a file; its state is ``None`` where it changed meanwhile. The number is when it was looked at, in ns."""
    seen_at_ns = time.time_ns()
    before = FileState.of(path)
    data = Path(path).read_bytes()
    return data, before if FileState.of(path) == before else None, seen_at_ns
