"""Labels of video frames, gathered in any order and given back frame by frame; they wait on disk, not in memory."""

import json
import sqlite3
from collections.abc import Iterator
from types import TracebackType

from lakegate.formats.reading import SourceObject
from lakegate.formats.unreadable import UnreadableShape
from lakegate.samples import Annotation

FrameItem = SourceObject | UnreadableShape


class FrameStore:
    """Objects and problems by video and frame, in a database that vanishes when it is closed."""

    def __init__(self) -> None:
        self._rows = sqlite3.connect("")  # a private file in the folder for temporary files; SQLite deletes it
        self._rows.execute("PRAGMA journal_mode = OFF")
        self._rows.execute("CREATE TABLE items (video TEXT, frame INTEGER, content TEXT)")
        self._rows.execute("CREATE TABLE missing (video TEXT, frame INTEGER, PRIMARY KEY (video, frame)) WITHOUT ROWID")

    def __enter__(self) -> "FrameStore":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._rows.close()

    def add(self, video: str, frame: int, item: FrameItem) -> None:
        """Keep an object of a frame, or what is wrong with it."""
        self._rows.execute("INSERT INTO items VALUES (?, ?, ?)", (video, frame, json.dumps(_content(item))))

    def add_missing(self, video: str, frame: int) -> None:
        """Note a labelled frame that has no image."""
        self._rows.execute("INSERT OR IGNORE INTO missing VALUES (?, ?)", (video, frame))

    def missing(self, video: str) -> tuple[int, list[int]]:
        """Return how many labelled frames have no image, and the first five of them."""
        (number,) = self._rows.execute("SELECT COUNT(*) FROM missing WHERE video = ?", (video,)).fetchone()
        first = self._rows.execute("SELECT frame FROM missing WHERE video = ? ORDER BY frame LIMIT 5", (video,))
        return int(number), [int(frame) for (frame,) in first]

    def frames(self, video: str) -> Iterator[tuple[int, list[FrameItem]]]:
        """Yield each frame that has something, ascending, with its objects in the order in which they came."""
        rows = self._rows.execute("SELECT frame, content FROM items WHERE video = ? ORDER BY frame, rowid", (video,))
        current, items = -1, list[FrameItem]()
        for frame, content in rows:
            if frame != current and items:
                yield current, items
                items = []
            current = frame
            items.append(_item(json.loads(content)))
        if items:
            yield current, items


def _content(item: FrameItem) -> dict[str, object]:
    if isinstance(item, UnreadableShape):
        return {"rule": item.rule, "reason": str(item)}
    return Annotation(
        label=item.label,
        bbox_xywh_px=item.bbox_xywh_px,
        attributes=item.attributes,
        author=item.author,
        origin=item.origin,
        polygons_px=item.polygons_px,
        rle=item.rle,
        keypoints=item.keypoints,
        track_id=item.track_id,
    ).to_dict()


def _item(content: dict[str, str]) -> FrameItem:
    if "rule" in content:
        return UnreadableShape(content["rule"], content["reason"])
    kept = Annotation.from_dict(content)
    return SourceObject(
        label=kept.label,
        bbox_xywh_px=kept.bbox_xywh_px,
        attributes=kept.attributes,
        polygons_px=kept.polygons_px,
        rle=kept.rle,
        keypoints=kept.keypoints,
        track_id=kept.track_id,
        author=kept.author,
        origin=kept.origin,
    )
