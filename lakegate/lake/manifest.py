"""What a commit holds, listed once: what was listed before is read from this machine, and a new commit costs its diff."""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path
from tempfile import NamedTemporaryFile

from lakegate.lake.content import content_digest
from lakegate.lake.objects import ObjectEntry

KEPT_PER_REPOSITORY = 8
KEPT_IN_MEMORY = 3


@dataclass(frozen=True)
class Manifest:
    """Everything in a commit, ascending by path, each with a SHA-256, and the content digest of all of it."""

    entries: tuple[ObjectEntry, ...]
    content_digest: str

    @classmethod
    def of(cls, entries: Iterable[ObjectEntry]) -> "Manifest":
        """Sort the entries and compute their digest; raises ``LakeError`` where one has no SHA-256."""
        ordered = tuple(sorted(entries, key=itemgetter(0)))
        return cls(ordered, content_digest(ordered))

    @property
    def by_path(self) -> dict[str, ObjectEntry]:
        """The entries by their path, made anew."""
        return dict(zip(map(itemgetter(0), self.entries), self.entries, strict=True))


class ManifestStore:
    """Manifests below ``folder``, by repository and lakeFS's own address of the content (``meta_range_id``).

    lakeFS computes that address from path, size, MD5 and metadata of every object, so it always stands for the same manifest.
    Files are disposable, written aside and renamed; one whose digest does not hold counts as absent.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._recent: dict[tuple[str, str], Manifest] = {}
        self._commits: dict[tuple[str, str], str] = {}

    def of_commit(self, repository: str, commit: str) -> Manifest | None:
        """Return the manifest of a commit that this process met before."""
        meta_range_id = self._commits.get((repository, commit))
        return self.find(repository, meta_range_id) if meta_range_id else None

    def find(self, repository: str, meta_range_id: str) -> Manifest | None:
        """Return a known manifest."""
        known = self._recent.get((repository, meta_range_id)) or self._read(self._path(repository, meta_range_id))
        return self.remember(repository, meta_range_id, known) if known else None

    def keep(self, repository: str, meta_range_id: str, manifest: Manifest) -> None:
        """Keep a manifest for later runs; the oldest ones of the repository are removed."""
        path = self._path(repository, meta_range_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = list(zip(*manifest.entries, strict=True))  # read again in a third of the time of rows
        content = json.dumps({"content_digest": manifest.content_digest, "columns": columns})
        with NamedTemporaryFile(dir=path.parent, prefix=".part-", delete=False) as aside:
            aside.write(content.encode())
        Path(aside.name).replace(path)
        for old in sorted(path.parent.glob("*.json"), key=_modified_ns, reverse=True)[KEPT_PER_REPOSITORY:]:
            old.unlink(missing_ok=True)

    def nearest(self, repository: str, meta_range_ids: Sequence[str]) -> tuple[int, Manifest] | None:
        """Return the place in ``meta_range_ids`` of the first known manifest, and the manifest."""
        for place, meta_range_id in enumerate(meta_range_ids):
            manifest = self.find(repository, meta_range_id)
            if manifest:
                return place, manifest
        return None

    def remember(self, repository: str, meta_range_id: str, manifest: Manifest, commit: str = "") -> Manifest:
        """Keep a manifest in memory, beside the last few, and note which commit it is of; returns it."""
        if commit:
            self._commits[repository, commit] = meta_range_id
        key = (repository, meta_range_id)
        self._recent = {**{known: item for known, item in self._recent.items() if known != key}, key: manifest}
        self._recent = dict(list(self._recent.items())[-KEPT_IN_MEMORY:])
        return manifest

    def _path(self, repository: str, meta_range_id: str) -> Path:
        return self._folder / repository / f"{meta_range_id}.json"

    def _read(self, path: Path) -> Manifest | None:
        try:
            content = json.loads(path.read_bytes())
            rows: Iterable[tuple[str, str, int, str]] = zip(*content["columns"], strict=True)
            entries = tuple(map(partial(tuple.__new__, ObjectEntry), rows))
            manifest = Manifest(entries, content_digest(entries))
            os.utime(path)
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return manifest if manifest.content_digest == content["content_digest"] else None


def _modified_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
