"""Tell an export's format from its files."""

from pathlib import Path

from lakegate.declarations import Task
from lakegate.errors import BadExport
from lakegate.formats.export_files import IMAGE_SUFFIXES, files_below, images_folder
from lakegate.formats.image_folders import has_class_folders
from lakegate.formats.json_stream import iterate_members
from lakegate.formats.label_maps import kinds_of_maps
from lakegate.formats.registry import FORMATS, Format, is_format
from lakegate.formats.yolo_files import NAME_FILES, yolo_label_files

YOLO_FILES = frozenset({*NAME_FILES, "obj.data"})


def recognise(source: Path, images: Path | None = None, task: Task | None = None) -> Format:
    """Return the format of an export: a folder, or one file of labels.

    Args:
        source: the export.
        images: the folder of its images, where it does not hold them.
        task: what the dataset is for; folders of images are classes in a classification dataset only.

    Raises:
        BadExport: nothing is recognised, or more than one format (the message names the candidates).
    """
    if not source.exists():
        raise BadExport(f"{source} does not exist; give the folder (or the COCO file) that the annotation tool exported")
    files = files_below(source) if source.is_dir() else [source]
    candidates = _by_label_files(files)
    if source.is_dir() and (any(path.name.lower() in YOLO_FILES for path in files) or yolo_label_files(source, files)):
        candidates.append("yolo")
    if not candidates:
        candidates = kinds_of_maps(source, files, images_folder(source, images))
    if not candidates and task in (None, "classification") and has_class_folders(source, images):
        candidates = ["image-folders"]
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise BadExport(
            f"{source} looks like {' and '.join(candidates)}; say which one with --format, or give the folder of one of them"
        )
    raise BadExport(f"{source} holds no annotations that Lakegate reads{_what_came(files, task)}")


def _by_label_files(files: list[Path]) -> list[Format]:
    """Return the formats of which some file is, in the registry's order; each file is of one format at most."""
    found: set[Format] = set()
    for path in files:
        suffix = path.suffix.lower()
        names = [row.name for row in FORMATS.values() if row.is_one and row.suffix == suffix]
        if found.issuperset(names):
            continue
        found.update(next(([name] for name in names if is_format(name, path)), []))
    return [name for name in (row.name for row in FORMATS.values()) if name in found]


def _what_came(files: list[Path], task: Task | None) -> str:
    suffixes = sorted({path.suffix.lower() or path.name for path in files})
    for path in files:
        if path.suffix.lower() == ".json" and (broken := _json_error(path)):
            return f": {path.name} is not JSON ({broken}); export it again"
    if ".zip" in suffixes:
        return ": it is packed; unpack the archive first and give the folder"
    if files and all(path.suffix.lower() in IMAGE_SUFFIXES for path in files):
        folders = "" if task == "classification" else " (folders are classes where the dataset's task is classification)"
        return f", only images{folders}; where they are label maps, name the folder of the photographs with --images"
    known = "; ".join(row.words for row in FORMATS.values())
    return f" (files found: {', '.join(suffixes[:8]) or 'none'}); expected {known}"


def _json_error(path: Path) -> str:
    try:
        for _ in iterate_members(path):
            pass
    except ValueError as error:
        return str(error)
    return ""
