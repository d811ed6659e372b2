"""LabelMe: one JSON per image, https://github.com/wkentaro/labelme

Flags of an image are its tags, or its labels where no image of the export has a shape (classification).
"""

import json
import os
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from lakegate.errors import BadExport, BadImage
from lakegate.formats.export_files import LABEL_FOLDERS, ExportFiles, key_of, split_in
from lakegate.formats.labelme_shapes import objects_of, true_flags
from lakegate.formats.reading import Reading, SizePx, SourceObject, SourceRecord
from lakegate.formats.shapes import counted
from lakegate.formats.unreadable import UnreadableShape

Json = dict[str, Any]
NO_SHAPES = "is_labelme"


@dataclass
class _LabelMe:
    export: ExportFiles
    reading: Reading
    flags_are_labels: bool
    unread: Counter[str]
    labels: dict[str, None]

    @cached_property
    def ids_by_path(self) -> dict[Path, str]:
        return {path: sample_id for sample_id, paths in self.export.by_id.items() for path in paths}


def is_labelme(path: Path) -> bool:
    """Tell whether a JSON file is LabelMe's: an object with the list ``shapes`` and an ``imagePath``."""
    with path.open("rb") as file:
        if file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] != b"{":
            return False
    data = path.read_bytes()
    if b'"shapes"' not in data or b'"imagePath"' not in data:
        return False
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and isinstance(content.get("shapes"), list) and "imagePath" in content


def read_labelme(export: ExportFiles) -> Reading:
    """Read all LabelMe files of an export; what is wrong with one file becomes a problem of its sample.

    Raises:
        BadExport: there is no ``.json`` file.
    """
    reading = Reading()
    files = [path for path in export.files if path.suffix.lower() == ".json"]
    if not files:
        raise BadExport(f"no .json below {export.root.name}; expected one LabelMe file per image")
    flags_are_labels = not any(_has_shapes(path) for path in files)
    job = _LabelMe(export, reading, flags_are_labels, Counter(), {})
    foreign = []
    for path in files:
        relative = export.relative(path)
        key = key_of(PurePosixPath(relative), LABEL_FOLDERS)
        try:
            _read_file(job, path, relative, key)
        except UnreadableShape as problem:
            if problem.rule == NO_SHAPES:
                foreign.append(relative)
                continue
            reading.problem(export.find(key) or key, relative, problem.rule, str(problem))
        reading.label_files[relative] = path
    if foreign:
        reading.notes.append(f"not read, since it is no LabelMe file: {', '.join(foreign)}")
    if not reading.label_files:
        raise BadExport(f"no LabelMe file below {export.root.name}; expected objects with the list 'shapes' and an imagePath")
    if job.unread:
        reading.notes.append(f"{counted(job.unread)} not read: polygons, rectangles, circles, points and masks are")
    reading.labels = sorted(job.labels)
    return reading


def _content(path: Path) -> Json:
    """Return the file's object; raises ``UnreadableShape`` where it is no JSON or has no shapes."""
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UnreadableShape("label_file_is_whole", f"not JSON ({error}); export it again") from error
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        raise UnreadableShape(NO_SHAPES, "no object with the list 'shapes'; expected a LabelMe file")
    return content


def _has_shapes(path: Path) -> bool:
    try:
        return bool(_content(path)["shapes"])
    except UnreadableShape:
        return False


def _read_file(job: _LabelMe, path: Path, relative: str, key: str) -> None:
    content = _content(path)
    sample_id = _sample_of(job, path, key, content)
    image = job.export.by_id[sample_id][0]
    try:
        size_px = job.export.size_px(image)
        objects = objects_of(content["shapes"], size_px, job.unread)
        flags = true_flags(content.get("flags"))
        if job.flags_are_labels:
            objects, flags = [*objects, *(SourceObject(flag, None) for flag in flags)], []
    except BadImage as error:
        job.reading.problem(sample_id, job.export.relative(image), "image_is_whole", str(error))
        return
    except UnreadableShape as problem:
        job.reading.problem(sample_id, relative, problem.rule, str(problem))
        return
    split = split_in(PurePosixPath(relative)) or split_in(PurePosixPath(sample_id))
    stated = _stated_size(content)
    job.labels.update(dict.fromkeys(item.label for item in objects))
    job.reading.records.append(
        SourceRecord(sample_id, relative, path, image, size_px, tuple(objects), stated, split, tuple(flags))
    )


def _sample_of(job: _LabelMe, path: Path, key: str, content: Json) -> str:
    """Return the sample that ``imagePath`` (relative to the label file) names, else the one called as the file is."""
    named = content.get("imagePath")
    named = named.replace("\\", "/") if isinstance(named, str) else ""
    target = Path(os.path.normpath(f"{path.parent}/{named}"))
    is_below = any(target.is_relative_to(folder) for folder in (job.export.root, job.export.images_dir))
    if PureWindowsPath(named).drive or named.startswith("/") or not is_below:
        reason = f"imagePath '{named}' leads out of the export; expected a path relative to the label file"
        raise UnreadableShape("file_name_is_inside", reason)
    beside = str(PurePosixPath(key).parent / key_of(PurePosixPath(PurePosixPath(named).name))) if named else key
    found = job.ids_by_path.get(target) or job.export.find(beside) or job.export.find(key)
    if found is None:
        reason = f"the image '{named}' is missing; {len(job.export.by_id)} images were found"
        raise UnreadableShape("image_exists", reason)
    return found


def _stated_size(content: Json) -> SizePx | None:
    width, height = content.get("imageWidth"), content.get("imageHeight")
    return (width, height) if isinstance(width, int) and isinstance(height, int) and width and height else None
