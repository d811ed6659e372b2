"""The local cache of objects by SHA-256: verified, bounded in size, shared by processes.

A file's bytes are checked against its name when it comes in, and again whenever size, times or inode are not those of the last
check; ``ctime`` moves with every write and cannot be set back, so changed bytes are noticed at the next use. Files are written
aside and renamed. The index beside them is disposable: what it does not know is checked again.
"""

import fcntl
import os
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import NamedTuple

from lakegate.canonical import sha256_bytes, sha256_file
from lakegate.errors import ChecksumMismatch
from lakegate.lake.stat_index import FileState

GIB = 1024**3
BUSY_S = 60.0
ASKED_AT_ONCE = 500
SWEPT_TO = 0.9  # an overfull cache is emptied to this share of its limit
ABANDONED_S = 24 * 3600.0  # unfinished files that are older were left by a killed process
ASIDE = ".part-"
SCHEMA = """
create table if not exists files (
  sha256 text primary key, size integer, mtime_ns integer, ctime_ns integer, inode integer, used_s real
) without rowid
"""
Known = dict[str, FileState]


class _Lease(NamedTuple):
    handle: int  # of the open and locked file
    sha256s: set[str]


_leases: dict[Path, _Lease] = {}


class ObjectCache:
    """Files below ``folder``; ``limit_gib`` bounds their size, the least recently used go first.

    What a living process has under lease (:meth:`lease`) stays, also where that exceeds the limit.
    """

    def __init__(self, folder: Path, limit_gib: float) -> None:
        self._folder, self._limit_bytes = folder, int(limit_gib * GIB)

    def path(self, sha256: str) -> Path:
        """Return where the bytes with this SHA-256 lie, or would lie."""
        return self._folder / "objects" / sha256[:2] / sha256

    def find_whole(self, sha256s: Iterable[str]) -> set[str]:
        """Return those that lie here whole; a file that changed since its last check is hashed, and removed if damaged."""
        wanted = set(sha256s)
        known = self._known(wanted)
        whole, checked = set(), {}
        for sha256 in wanted:
            state = self._state(sha256)
            if state is None:
                continue
            if known.get(sha256) != state:
                if sha256_file(self.path(sha256)) != sha256:
                    self.path(sha256).unlink(missing_ok=True)
                    continue
                checked[sha256] = state
            whole.add(sha256)
        self._note(checked)
        return whole

    def store(self, data: bytes, sha256: str, where: str) -> None:
        """Keep some bytes, read-only; ``where`` they come from is for the error. Call :meth:`used` when all are in.

        Raises:
            ChecksumMismatch: the bytes have another SHA-256; nothing was kept.
        """
        found = sha256_bytes(data)
        if found != sha256:
            raise ChecksumMismatch(
                f"{where}: expected SHA-256 {sha256}, the bytes have {found}; they were not kept. "
                "Try again; if it stays so, the store behind lakeFS is damaged or the object was forged: publish a new version"
            )
        path = self.path(sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=ASIDE, delete=False) as aside:
            aside.write(data)
            os.fchmod(aside.fileno(), 0o444)
        Path(aside.name).replace(path)

    def used(self, sha256s: Sequence[str], stored: Sequence[str]) -> None:
        """Note that files were used and that ``stored`` came in just now, then remove what exceeds the limit."""
        states = {sha256: self._state(sha256) for sha256 in stored}
        self._note({sha256: state for sha256, state in states.items() if state is not None})
        with self._index() as index:
            index.executemany("update files set used_s = ? where sha256 = ?", ((time.time(), item) for item in sha256s))
            (total,) = index.execute("select coalesce(sum(size), 0) from files").fetchone()
        if stored and total > self._limit_bytes:
            self._sweep(set(sha256s))

    @contextmanager
    def relinking(self, sha256s: Iterable[str]) -> Iterator[None]:
        """Make or remove links of files inside: that moves their ``ctime``, which is not a change of bytes."""
        wanted = set(sha256s)
        known = self._known(wanted)
        unchanged = {name: state for name, state in known.items() if self._state(name) == state}
        yield
        after = {name: self._state(name) for name in unchanged}
        self._note({name: new for name, new in after.items() if new and new.has_content_of(unchanged[name])})

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold a lock that processes share by its name."""
        path = self._folder / "locks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def lease(self, name: str, sha256s: Iterable[str]) -> None:
        """Keep these files too for the life of this process, whatever the limit; call it before they are looked for."""
        path = self._folder / "leases" / f"{name}-{os.getpid()}"
        path.parent.mkdir(parents=True, exist_ok=True)
        with self.locked("sweep"):  # a sweep that did not see this lease has ended
            if path not in _leases:
                handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
                fcntl.flock(handle, fcntl.LOCK_SH)
                _leases[path] = _Lease(handle, set())
            handle, held = _leases[path]
            new = set(sha256s) - held
            os.write(handle, "".join(f"{sha256}\n" for sha256 in new).encode())
            held |= new

    def _leased(self) -> dict[str, set[str]]:
        """Return what living processes have under lease, by the lease's name."""
        found: dict[str, set[str]] = {}
        for path in (self._folder / "leases").glob("*"):
            with path.open() as file:
                if path not in _leases and _is_free(file.fileno()):
                    path.unlink(missing_ok=True)
                    continue
                found.setdefault(path.name.rpartition("-")[0], set()).update(file.read().split())
        return found

    def _sweep(self, in_use: set[str]) -> None:
        """Remove the least recently used files, and every snapshot without a lease: its links would keep their bytes."""
        with self.locked("sweep"):
            leased = self._leased()
            kept = in_use.union(*leased.values())
            rows = self._adopted()
            with self.relinking(sha256 for sha256, _, _ in rows):
                for snapshot in self._folder.glob("snapshots/*/*"):
                    if f"{snapshot.parent.name}-{snapshot.name}" not in leased:
                        remove_snapshot(snapshot)
            total = sum(size for _, size, _ in rows)
            goal = self._limit_bytes * SWEPT_TO
            for sha256, size, _ in sorted(rows, key=lambda row: row[2]):
                if total <= goal:
                    break
                if sha256 not in kept:
                    self.path(sha256).unlink(missing_ok=True)
                    total -= size
            with self._index() as index:
                gone = [(sha256,) for sha256, _, _ in rows if not self.path(sha256).exists()]
                index.executemany("delete from files where sha256 = ?", gone)

    def _adopted(self) -> list[tuple[str, int, float]]:
        """Return SHA-256, size and last use of every file that lies here; removes what killed processes left half."""
        with self._index() as index:
            used = dict(index.execute("select sha256, used_s from files"))
        rows = []
        for entry in (item for folder in _subfolders(self._folder / "objects") for item in os.scandir(folder)):
            try:
                found = entry.stat()
            except FileNotFoundError:  # another process put it in its place, or removed it
                continue
            if not entry.name.startswith(ASIDE):
                rows.append((entry.name, found.st_size, used.get(entry.name, found.st_mtime)))
            elif found.st_mtime < time.time() - ABANDONED_S:
                Path(entry.path).unlink(missing_ok=True)
        return rows

    def _state(self, sha256: str) -> FileState | None:
        try:
            return FileState.of(self.path(sha256))
        except FileNotFoundError:
            return None

    def _known(self, wanted: set[str]) -> Known:
        asked = list(wanted)
        known: Known = {}
        with self._index() as index:
            for start in range(0, len(asked), ASKED_AT_ONCE):
                part = asked[start : start + ASKED_AT_ONCE]
                chosen = f"where sha256 in ({','.join('?' * len(part))})"
                rows = index.execute(f"select sha256, size, mtime_ns, ctime_ns, inode from files {chosen}", part)
                known.update((row[0], FileState(*row[1:])) for row in rows)
        return known

    def _note(self, states: Mapping[str, FileState]) -> None:
        now = time.time()
        with self._index() as index:
            index.executemany(
                "insert into files values (?, ?, ?, ?, ?, ?) on conflict (sha256) do update set size = excluded.size, "
                "mtime_ns = excluded.mtime_ns, ctime_ns = excluded.ctime_ns, inode = excluded.inode",
                ((name, *state, now) for name, state in states.items()),
            )

    @contextmanager
    def _index(self) -> Iterator[sqlite3.Connection]:
        path = self._folder / "objects.sqlite"
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(_opened(path)) as index, index:
            yield index


def _opened(path: Path) -> sqlite3.Connection:
    index = sqlite3.connect(path, timeout=BUSY_S)
    try:
        index.execute(SCHEMA)
    except sqlite3.OperationalError:
        index.close()
        raise
    except sqlite3.DatabaseError:
        index.close()
        path.unlink(missing_ok=True)  # damaged: every file is checked again
        index = sqlite3.connect(path, timeout=BUSY_S)
        index.execute(SCHEMA)
    return index


def remove_snapshot(snapshot: Path) -> None:
    """Remove a snapshot at once for everybody who looks at its name, then its files."""
    aside = snapshot.with_name(f"{ASIDE}{snapshot.name}-{os.getpid()}")
    snapshot.rename(aside)
    for folder, _, _ in os.walk(aside):
        Path(folder).chmod(0o755)
    shutil.rmtree(aside, ignore_errors=True)


def _is_free(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _subfolders(folder: Path) -> list[Path]:
    return [item for item in folder.iterdir() if item.is_dir()] if folder.is_dir() else []
