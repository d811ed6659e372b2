"""Folders that belong to one process: removed when it is done with them, or by the next one where it was killed."""

import fcntl
import secrets
import shutil
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

UNPACKED = "unpacked"
GUARD = ".guard"


class ProcessFolder:
    """A new folder below ``<home>/unpacked``, made with a lock that the system frees when the process ends."""

    def __init__(self, home: Path) -> None:
        base = home / UNPACKED
        base.mkdir(parents=True, exist_ok=True)
        name = secrets.token_hex(8)
        self.path = base / name
        with _guarded(base):
            _sweep(base)
            lock = (base / f"{name}.lock").open("x")
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.path.mkdir()
        self._finalize = weakref.finalize(self, _remove, self.path, lock)

    def close(self) -> None:
        """Remove the folder; a second call does nothing."""
        self._finalize()


def _remove(folder: Path, lock: IO[str]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    Path(lock.name).unlink(missing_ok=True)
    lock.close()


def _sweep(base: Path) -> None:
    """Remove what processes left that were killed: their locks are free."""
    for path in base.glob("*.lock"):
        with path.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(path.with_suffix(""), ignore_errors=True)
            path.unlink(missing_ok=True)


@contextmanager
def _guarded(base: Path) -> Iterator[None]:
    with (base / GUARD).open("a") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield
