"""Checkpoints of an unfinished run in the shared store, so that another host can go on where this one stopped."""

import json
import logging
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from lakegate.canonical import exact_json, sha256_file
from lakegate.errors import BrokenModelFile, ChecksumMismatch, LakegateError
from lakegate.shared_store import SharedStore
from lakegate.training.checkpoints import CHECKPOINT_FILE, find_checkpoint

log = logging.getLogger(__name__)

LATEST = "latest.json"
NAME = re.compile(r"epoch-\d{6}-[0-9a-f]{12}\.pt")
COPY_SHARE = 10  # after a copy that took one second, the next one is made ten seconds later at the earliest


@dataclass(frozen=True)
class Latest:
    """What ``latest.json`` says."""

    name: str
    epoch: int
    sha256: str


class SharedCheckpoints:
    """The checkpoints of one run below ``checkpoints/<model>-<run>/``; ``latest.json`` names the newest, written last."""

    def __init__(self, store: SharedStore, run: str) -> None:
        self._store, self._prefix = store, f"checkpoints/{run}/"
        self._not_before_s = 0.0

    def fetch(self, folder: Path, job_digest: str) -> str:
        """Bring the store's checkpoint into ``folder`` where it is further than the one there; return words, or "".

        Raises:
            ServiceUnavailable, ServiceRefused: the store does not answer; starting anew would throw work away.
            ChecksumMismatch: the bytes are not those that were stored.
        """
        folder.mkdir(parents=True, exist_ok=True)
        latest = self._latest(folder)
        if latest is None:
            return ""
        here, notes = find_checkpoint(folder, job_digest)
        if here is not None and here.epoch >= latest.epoch:
            return "; ".join(notes)
        fetched = folder / f".{latest.name}"
        try:
            if not self._store.get(self._prefix + latest.name, fetched):
                return ""  # its host finished or went on meanwhile
            if sha256_file(fetched) != latest.sha256:
                raise ChecksumMismatch(f"the shared checkpoint {latest.name} is damaged; it was not used")
            fetched.replace(folder / CHECKPOINT_FILE)
        finally:
            fetched.unlink(missing_ok=True)
        return "; ".join([*notes, f"goes on after epoch {latest.epoch} from the shared store"])

    def keep(self, folder: Path, epoch: int) -> str:
        """Copy the checkpoint after ``epoch`` to the store; return "" or why not: an outage never ends a training.

        Copying takes about a tenth of the time at most: soon after a long copy this does nothing.
        """
        started = time.monotonic()
        if started < self._not_before_s:
            return ""
        try:
            self._put(folder, epoch)
        except (LakegateError, OSError) as error:
            return f"the checkpoint after epoch {epoch} was not shared: {error}"
        finally:
            ended = time.monotonic()
            self._not_before_s = ended + COPY_SHARE * (ended - started)
        return ""

    def drop(self) -> None:
        """Remove the run's checkpoints, since the run is committed; what an outage leaves there does no harm."""
        try:
            for name in sorted(self._store.names(self._prefix), reverse=True):  # latest.json first
                self._store.delete(name)
        except (LakegateError, OSError) as error:
            log.warning("checkpoints of a committed run stay in the shared store: %s", error)

    def _put(self, folder: Path, epoch: int) -> None:
        path = folder / CHECKPOINT_FILE
        digest = sha256_file(path)
        name = f"epoch-{epoch:06d}-{digest[:12]}.pt"
        self._store.put(self._prefix + name, path)
        note = folder / f".{LATEST}"
        note.write_bytes(exact_json(asdict(Latest(name, epoch, digest))))
        self._store.put(self._prefix + LATEST, note)
        note.unlink()
        for old in self._store.names(f"{self._prefix}epoch-"):
            if old < f"{self._prefix}epoch-{epoch:06d}":
                self._store.delete(old)

    def _latest(self, folder: Path) -> Latest | None:
        note = folder / f".{LATEST}"
        try:
            return _parse(note.read_bytes()) if self._store.get(self._prefix + LATEST, note) else None
        except (ValueError, TypeError) as error:
            where = self._prefix + LATEST
            raise BrokenModelFile(f"{where} of the shared store is damaged ({error}); delete it to train anew") from error
        finally:
            note.unlink(missing_ok=True)


def _parse(data: bytes) -> Latest:
    latest = Latest(**json.loads(data))
    if not NAME.fullmatch(latest.name):
        raise ValueError(f"'{latest.name}' is no name of a checkpoint")  # never a path that leads elsewhere
    return latest
