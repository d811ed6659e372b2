"""What lies in a commit, and the names that every dataset repository shares."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

MAIN = "main"
EVIDENCE = "evidence"
DECLARATION = "dataset.toml"
IMAGES = "images/"
ANNOTATIONS = "annotations/"
ACTIONS = "_lakefs_actions/"

Content = bytes | Path
Progress = Callable[[int, int], None]  # (done, of all)


class ObjectEntry(NamedTuple):
    """One object of a listing. ``sha256`` is what the uploader claimed; readers verify it against the bytes."""

    path: str
    checksum_md5: str
    size_bytes: int
    sha256: str | None


@dataclass(frozen=True)
class Commit:
    """One commit; ``parents`` begins with the branch that was merged into."""

    id: str
    meta_range_id: str
    message: str
    metadata: dict[str, str]
    created_at: datetime
    parents: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """One line of a diff: ``kind`` is ``added``, ``removed``, ``changed`` or ``conflict``."""

    path: str
    kind: str


def load(content: Content) -> bytes:
    """Return the bytes of an upload."""
    return content if isinstance(content, bytes) else content.read_bytes()
