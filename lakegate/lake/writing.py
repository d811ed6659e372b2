"""What has to be sent: files are read only where they are not known, and hashed while others are on their way."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from lakegate.lake.bulk import many_rows
from lakegate.lake.client import LakeClient
from lakegate.lake.content import Digests, digests_of
from lakegate.lake.objects import ANNOTATIONS, IMAGES, ObjectEntry, Progress
from lakegate.lake.stat_index import StatIndex, absolute, read_whole, root_of

File = os.PathLike[str]  # a path, or an entry of os.scandir, which is made in a tenth of the time
Deferred = Callable[[], bytes]
Wanted = Mapping[str, bytes | File | Deferred]


@dataclass(frozen=True)
class WriteSummary:
    """Numbers of objects."""

    uploaded: int
    unchanged: int
    deleted: int


class Tree:
    """The objects that a reference should hold: path in lakeFS to bytes, to a file, or to a function that makes the bytes.

    Files are known again by their state (:mod:`lakegate.lake.stat_index`).
    """

    def __init__(self, client: LakeClient, wanted: Wanted) -> None:
        self._client, self._wanted = client, wanted
        root = root_of(absolute(item) for item in wanted.values() if isinstance(item, os.PathLike))
        self._index = StatIndex(client.settings.cache_dir, root)

    def unread(self, present: Mapping[str, ObjectEntry]) -> Iterator[str]:
        """Yield the paths that are not known to be in ``present`` already; a file is not read for that."""
        for path, content in self._wanted.items():
            entry = present.get(path)
            if entry is None or not _is(self._known(content), entry):
                yield path

    def is_in(self, present: Mapping[str, ObjectEntry]) -> bool:
        """Tell whether ``present`` holds exactly these objects; reads the files that are not known."""
        if left(present, self._wanted):
            return False
        return all(path in present and _is(self._read(path)[1], present[path]) for path in self.unread(present))

    def send(self, repository: str, branch: str, present: Mapping[str, ObjectEntry], progress: Progress | None) -> int:
        """Send what ``present`` lacks on all connections at once; returns the number of objects sent.

        Raises:
            ChecksumMismatch: lakeFS stored other bytes than were sent.
        """
        sent: list[str] = []

        def send_one(path: str) -> None:
            data, digests = self._read(path)
            if path not in present or not _is(digests, present[path]):
                self._client.upload(repository, branch, path, data, digests)
                sent.append(path)

        try:
            self._client.in_parallel(send_one, list(self.unread(present)), progress)
        finally:
            self._index.save()
        return len(sent)

    def _known(self, content: bytes | File | Deferred) -> Digests | None:
        if isinstance(content, os.PathLike):
            return self._index.find(absolute(content))
        return digests_of(content if isinstance(content, bytes) else content())

    def _read(self, path: str) -> tuple[bytes, Digests]:
        content = self._wanted[path]
        if isinstance(content, bytes):
            return content, digests_of(content)
        if not isinstance(content, os.PathLike):
            data = content()
            return data, digests_of(data)
        name = absolute(content)
        data, state, seen_at_ns = read_whole(name)
        digests = digests_of(data)
        if state:
            self._index.remember(name, state, seen_at_ns, digests)
        return data, digests


def present_on(client: LakeClient, repository: str, branch: str) -> dict[str, ObjectEntry]:
    """Return what a branch holds by path, with what a killed run left uncommitted on it."""
    if client.has_uncommitted(repository, branch):
        return {entry.path: entry for entry in client.list_objects(repository, branch)}
    return client.manifest(repository, branch).by_path


def left(present: Mapping[str, ObjectEntry], wanted: Mapping[str, object]) -> list[str]:
    """Return the objects of samples that are not wanted any more."""
    return [path for path in present if path.startswith((IMAGES, ANNOTATIONS)) and path not in wanted]


@many_rows()
def write_tree(
    client: LakeClient, repository: str, branch: str, wanted: Wanted, progress: Progress | None = None
) -> WriteSummary:
    """Make the branch hold exactly these objects; only what differs is sent, what belongs to no wanted sample is deleted.

    MD5 is lakeFS's own, so an object whose SHA-256 was claimed wrongly is sent again.

    Raises:
        ChecksumMismatch: lakeFS stored other bytes than were sent.
    """
    present = present_on(client, repository, branch)
    uploaded = Tree(client, wanted).send(repository, branch, present, progress)
    gone = left(present, wanted)
    client.delete_many(repository, branch, gone)
    return WriteSummary(uploaded, len(wanted) - uploaded, len(gone))


def _is(digests: Digests | None, entry: ObjectEntry) -> bool:
    return digests is not None and digests.is_of(entry)
