"""CVAT's XML 1.1 as a stream: https://docs.cvat.ai/docs/manual/advanced/xml_format/

One image or one track is in memory at a time, so a file may be larger than the memory.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lakegate.errors import BadExport
from lakegate.formats.cvat_shapes import NOT_MODELLED, SHAPES, CvatShape, read_shape
from lakegate.formats.reading import SizePx
from lakegate.formats.shapes import MAX_FRAME
from lakegate.formats.unreadable import UnreadableShape

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

HEAD_BYTES = 65536


@dataclass(frozen=True)
class CvatTask:
    """A task or job as ``<meta>`` describes it. Frames run from ``start`` to ``stop``, both included; None: not stated."""

    id: str = ""
    name: str = ""
    subset: str = ""
    is_video: bool = False
    is_job: bool = False
    start: int = 0
    stop: int | None = None
    step: int = 1
    size_px: SizePx | None = None

    @property
    def clip(self) -> str:
        """What to call the video: the task's name, else its number."""
        return self.name or (f"{'job' if self.is_job else 'task'}-{self.id}" if self.id else "")


    @property
    def frames(self) -> range:
        """The numbers of all frames; none where the file does not say how many there are."""
        return range(0) if self.stop is None else range(self.start, self.stop + 1, self.step)


@dataclass(frozen=True)
class CvatMeta:
    """The head of a file: its tasks, its labels in order, and the points of each skeleton's label in order."""

    tasks: tuple[CvatTask, ...] = ()
    labels: tuple[str, ...] = ()
    joint_names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    project: str = ""

    def task(self, task_id: str) -> CvatTask:
        """Return the task of that number, else the only one, else one of which nothing is known."""
        for task in self.tasks:
            if task.id == task_id:
                return task
        return self.tasks[0] if len(self.tasks) == 1 else CvatTask(id=task_id)


@dataclass(frozen=True)
class CvatImage:
    """One ``<image>``. ``unread`` counts what is not modelled, by name."""

    name: str
    frame: int | None
    size_px: SizePx | None
    subset: str
    task_id: str
    shapes: tuple[CvatShape, ...]
    unread: Counter[str]


@dataclass(frozen=True)
class CvatTrack:
    """One ``<track>``: an object of a video on the frames that the file states."""

    id: str
    label: str
    subset: str
    task_id: str
    shapes: tuple[CvatShape, ...]
    unread: Counter[str]


CvatPart = CvatMeta | CvatImage | CvatTrack


def is_cvat(path: Path) -> bool:
    """Tell whether a file is CVAT's XML: its outermost element is ``<annotations>``, with what CVAT writes in it."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    text = head.decode("utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", errors="ignore")
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    first = re.search(r"<([A-Za-z_][\w.-]*)", text)
    return bool(first and first.group(1) == "annotations" and re.search(r"<(meta|version|image|track)\b", text))


def iterate_cvat(path: Path) -> Iterator[CvatPart]:
    """Yield the head (where there is one), then each image and each track, in the file's order.

    Raises:
        BadExport: it is not well-formed XML, declares a document type, is not CVAT's, or a track names no frame.
    """
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import iterparse

    try:
        yield from _parts(path, iterparse(path, events=("start", "end"), forbid_dtd=True))
    except DefusedXmlException as error:
        raise BadExport(
            f"{path.name} declares a document type or entities ({type(error).__name__}), which can read files or fill the "
            "memory; expected plain CVAT XML, remove the <!DOCTYPE …>"
        ) from error
    except UnreadableShape as error:
        raise BadExport(f"{path.name}: {error}; the whole track is in doubt, export it again") from error
    except (ParseError, LookupError, UnicodeError) as error:
        raise BadExport(f"{path.name} is not well-formed XML ({error}); export it again") from error


def _parts(path: Path, events: "Iterator[tuple[str, Element]]") -> Iterator[CvatPart]:
    root: Element | None = None
    container: Element | None = None  # the image, track or meta that is open
    shapes: list[CvatShape] = []
    unread: Counter[str] = Counter()
    depth = 0
    for event, element in events:
        depth += 1 if event == "start" else -1
        if event == "start":
            if root is None:
                root = _root(element, path)
            elif depth == 2:
                container, shapes, unread = element, [], Counter()
        elif depth == 2 and container is not None and container.tag in ("image", "track"):
            _read_child(container, element, shapes, unread)
            container.remove(element)
        elif depth == 1 and root is not None:
            if element.tag in ("image", "track", "meta"):
                yield _part(element, tuple(shapes), unread)
            root.clear()


def _root(element: "Element", path: Path) -> "Element":
    if element.tag != "annotations":
        raise BadExport(f"{path.name} begins with <{element.tag}>; CVAT's XML begins with <annotations>")
    return element


def _read_child(container: "Element", element: "Element", shapes: list[CvatShape], unread: Counter[str]) -> None:
    in_track = container.tag == "track"
    if element.tag in SHAPES:
        shapes.append(read_shape(element, container.attrib if in_track else None))
    elif element.tag in NOT_MODELLED and in_track:
        unread[f"{element.tag} track"] = 1
    else:
        unread[element.tag if element.tag in NOT_MODELLED else f"<{element.tag}>"] += 1


def _part(element: "Element", shapes: tuple[CvatShape, ...], unread: Counter[str]) -> CvatPart:
    given = element.attrib
    subset, task_id = given.get("subset", "").strip(), given.get("task_id", "").strip()
    if element.tag == "image":
        size_px = _size(given.get("width"), given.get("height"))
        return CvatImage(given.get("name", "").strip(), _count(given.get("id")), size_px, subset, task_id, shapes, unread)
    if element.tag == "track":
        return CvatTrack(given.get("id", "").strip(), given.get("label", "").strip(), subset, task_id, shapes, unread)
    return _meta(element)


def _meta(element: "Element") -> CvatMeta:
    parents = [(label.findtext("parent", "").strip(), label.findtext("name", "").strip()) for label in element.iter("label")]
    joint_names: dict[str, tuple[str, ...]] = {}
    for parent, name in parents:
        if parent and name:
            joint_names[parent] = (*joint_names.get(parent, ()), name)
    found = [*element.findall("task"), *element.findall("job"), *element.findall("project/tasks/task")]
    return CvatMeta(
        tasks=tuple(_task(item) for item in found),
        labels=tuple(dict.fromkeys(name for parent, name in parents if name and not parent)),
        joint_names=joint_names,
        project=element.findtext("project/name", "").strip(),
    )


def _task(item: "Element") -> CvatTask:
    start = _count(item.findtext("start_frame")) or 0
    step = _step(item.findtext("frame_filter", ""))
    stop, n_frames = _count(item.findtext("stop_frame")), _count(item.findtext("size"))
    if stop is None and n_frames:
        stop = start + (n_frames - 1) * step
    size_px = _size(item.findtext("original_size/width"), item.findtext("original_size/height"))
    mode = item.findtext("mode", "").strip()
    return CvatTask(
        id=item.findtext("id", "").strip(),
        name=item.findtext("name", "").strip(),
        subset=item.findtext("subset", "").strip(),
        is_video=mode == "interpolation",
        is_job=item.tag == "job",
        start=start,
        stop=stop,
        step=step,
        size_px=size_px,
    )


def _step(frame_filter: str) -> int:
    found = re.search(r"step\s*=\s*([0-9]{1,9})", frame_filter)
    return max(1, int(found.group(1))) if found else 1


def _size(width: str | None, height: str | None) -> SizePx | None:
    sides = _count(width), _count(height)
    return (sides[0], sides[1]) if sides[0] and sides[1] else None


def _count(text: str | None) -> int | None:
    """Return a whole number that is not negative; None where the text is none."""
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= MAX_FRAME else None
