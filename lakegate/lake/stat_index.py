"""Digests of files that did not change since they were last read: a file is known by path, size, times and inode."""

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import NamedTuple

from lakegate.canonical import sha256_bytes
from lakegate.lake.bulk import many_rows
from lakegate.lake.content import Digests, digests_of

SETTLED_NS = 2_000_000_000  # a file changed within so short a time may change again without another time stamp
MOST_LINES = 50
Row = tuple[int, int, int, int, str, str]  # size, mtime, ctime, inode, SHA-256, MD5


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
    """The known digests of files below one folder, loaded whole from a file below ``cache/stat-index``.

    Files are named by absolute paths. The file holds one JSON line of columns per save; it is disposable: what is missing or
    damaged in it makes files be read again. Processes may share it.
    """

    def __init__(self, cache_dir: Path, root: Path) -> None:
        self._path = cache_dir / "stat-index" / f"{sha256_bytes(os.fsencode(root))[:32]}.jsonl"
        self._new: dict[str, Row] = {}
        self._known, self._n_lines, self._n_rows = self._read()

    def find(self, path: str) -> Digests | None:
        """Return the digests of a file that is as it was; raises ``OSError`` where there is none."""
        row = self._known.get(path)
        if row is None:
            return None
        now = os.stat(path)  # noqa: PTH116  as in FileState.of
        size_bytes, mtime_ns, ctime_ns, inode, sha256, md5 = row
        same = now.st_ctime_ns == ctime_ns and now.st_mtime_ns == mtime_ns and now.st_size == size_bytes
        return Digests(size_bytes, sha256, md5) if same and now.st_ino == inode else None

    def remember(self, path: str, state: FileState, seen_at_ns: int, digests: Digests) -> None:
        """Note the digests of a file whose ``state`` was the same before and after it was read; threads may call it."""
        if state.is_settled(seen_at_ns):
            self._new[path] = (*state, digests.sha256, digests.md5)

    def save(self) -> None:
        """Write what is new: it is added at the end, and the file is made anew where much of it is outdated."""
        if not self._new:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._known |= self._new
        if self._n_lines < MOST_LINES and self._n_rows < 2 * len(self._known):
            with self._path.open("ab") as file:
                file.write(b"\n" + _line(self._new))  # what a killed process left half stays a line of its own
        else:
            with NamedTemporaryFile(dir=self._path.parent, prefix=".part-", delete=False) as aside:
                aside.write(_line(self._known))
            Path(aside.name).replace(self._path)
            self._n_lines, self._n_rows = 0, 0
        self._n_lines, self._n_rows = self._n_lines + 1, self._n_rows + len(self._new)
        self._new = {}

    @many_rows()
    def _read(self) -> tuple[dict[str, Row], int, int]:
        known: dict[str, Row] = {}
        n_lines = n_rows = 0
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            lines = []
        for line in filter(None, lines):
            n_lines += 1
            try:
                paths, *columns = json.loads(line)
                rows: Iterable[Row] = zip(*columns, strict=True)
                known.update(zip(paths, rows, strict=True))
                n_rows += len(paths)
            except (ValueError, TypeError):
                continue  # damaged: these files are read again
        return known, n_lines, n_rows


def _line(rows: Mapping[str, Row]) -> bytes:
    return json.dumps([list(rows), *zip(*rows.values(), strict=True)]).encode()


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


def sha256_of_files(cache_dir: Path, paths: Sequence[Path]) -> list[str]:
    """Return the SHA-256 of each file; those that are known are not read, the others are known from now on.

    Raises:
        OSError: a file is absent or cannot be read.
    """
    names = [absolute(path) for path in paths]
    index = StatIndex(cache_dir, root_of(names))
    found = []
    for name in names:
        digests = index.find(name)
        if digests is None:
            data, state, seen_at_ns = read_whole(name)
            digests = digests_of(data)
            if state:
                index.remember(name, state, seen_at_ns, digests)
        found.append(digests.sha256)
    index.save()
    return found
