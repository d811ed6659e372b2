"""What has to be sent: the difference between an export and what lies on a branch, by checksum."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lakegate.lake.client import LakeClient
from lakegate.lake.objects import ANNOTATIONS, IMAGES, Content, ObjectEntry


@dataclass(frozen=True)
class WriteSummary:
    """Numbers of objects."""

    uploaded: int
    unchanged: int
    deleted: int


@dataclass(frozen=True)
class Changes:
    """What makes a reference hold exactly the wanted objects."""

    upload: dict[str, Content]
    delete: list[str]

    @property
    def is_needed(self) -> bool:
        return bool(self.upload or self.delete)


def find_changes(client: LakeClient, repository: str, ref: str, wanted: Mapping[str, Content]) -> Changes:
    """Compare size, MD5 and SHA-256 with the listing of ``ref``; what belongs to no sample of ``wanted`` is to be deleted.

    MD5 is lakeFS's own, so an object whose SHA-256 was claimed wrongly is sent again.
    """
    present = {entry.path: entry for entry in client.list_objects(repository, ref)}
    upload: dict[str, Content] = {}

    def compare(item: tuple[str, Content]) -> None:
        path, content = item
        if path not in present or not is_same(content, present[path]):
            upload[path] = content

    client.in_parallel(compare, wanted.items())
    delete = [path for path in present if path.startswith((IMAGES, ANNOTATIONS)) and path not in wanted]
    return Changes({path: upload[path] for path in sorted(upload)}, delete)


def is_same(content: Content, entry: ObjectEntry) -> bool:
    """Tell whether the bytes are those of the listed object."""
    if isinstance(content, Path) and content.stat().st_size != entry.size_bytes:
        return False
    data = content if isinstance(content, bytes) else content.read_bytes()
    return (
        len(data) == entry.size_bytes
        and hashlib.md5(data, usedforsecurity=False).hexdigest() == entry.checksum_md5
        and hashlib.sha256(data).hexdigest() == entry.sha256
    )
