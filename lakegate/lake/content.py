"""The content digest: equal content has an equal digest, however and whenever it was uploaded."""

import hashlib
from collections.abc import Iterable

from lakegate.errors import LakeError
from lakegate.lake.objects import ObjectEntry


def content_digest(entries: Iterable[ObjectEntry]) -> str:
    """Return the SHA-256 over the sorted lines ``path, SHA-256, size`` of everything in a commit.

    Raises:
        LakeError: an entry has no SHA-256; complete it with ``LakeClient.complete_sha256``.
    """
    digest = hashlib.sha256()
    for entry in sorted(entries, key=lambda entry: entry.path):
        if entry.sha256 is None:
            raise LakeError(f"{entry.path} has no SHA-256 yet; complete the listing with LakeClient.complete_sha256")
        digest.update(f"{entry.path}\t{entry.sha256}\t{entry.size_bytes}\n".encode())
    return digest.hexdigest()
