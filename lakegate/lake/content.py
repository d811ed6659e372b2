"""Digests of single objects, and the content digest: equal content has an equal one, however and whenever it was uploaded."""

import hashlib
from collections.abc import Iterable
from operator import itemgetter
from typing import NamedTuple

from lakegate.errors import LakeError
from lakegate.lake.objects import ObjectEntry


class Digests(NamedTuple):
    """Size, SHA-256 and MD5 of some bytes."""

    size_bytes: int
    sha256: str
    md5: str

    def is_of(self, entry: ObjectEntry) -> bool:
        """Tell whether the listed object has these bytes."""
        listed = (entry.size_bytes, entry.sha256, entry.checksum_md5)
        return (self.size_bytes, self.sha256, self.md5) == listed


def digests_of(data: bytes) -> Digests:
    """Compute the digests; MD5 is lakeFS's own checksum."""
    return Digests(len(data), hashlib.sha256(data).hexdigest(), hashlib.md5(data, usedforsecurity=False).hexdigest())


def content_digest(entries: Iterable[ObjectEntry]) -> str:
    """Return the SHA-256 over the sorted lines ``path, SHA-256, size`` of everything in a commit.

    Raises:
        LakeError: an entry has no SHA-256; complete it with ``LakeClient.complete_sha256``.
    """
    ordered = sorted(entries, key=itemgetter(0))
    lines = [f"{path}\t{sha256}\t{size_bytes}\n" for path, _, size_bytes, sha256 in ordered]
    if None in map(itemgetter(3), ordered):
        path = next(entry.path for entry in ordered if entry.sha256 is None)
        raise LakeError(f"{path} has no SHA-256 yet; complete the listing with LakeClient.complete_sha256")
    return hashlib.sha256("".join(lines).encode()).hexdigest()
