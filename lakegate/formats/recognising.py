"""Tell an export's format from its files."""

import json
from pathlib import Path
from typing import Any, Literal, get_args

from lakegate.errors import BadExport, nearest
from lakegate.formats.export_files import files_below

Format = Literal["voc", "coco", "yolo"]
FORMATS: tuple[Format, ...] = get_args(Format)
YOLO_NAME_FILES = frozenset({"data.yaml", "data.yml", "dataset.yaml", "obj.names", "obj.data", "classes.txt"})
NOT_LABELS = frozenset({"classes", "train", "val", "valid", "test", "notes", "license", "licence", "requirements"})


def recognise(source: Path) -> Format:
    """Return the format of an export (a folder, or one COCO file).

    Raises:
        BadExport: nothing is recognised, or more than one format (the message names the candidates).
    """
    if not source.exists():
        raise BadExport(f"{source} does not exist; give the folder (or the COCO file) that the annotation tool exported")
    files = files_below(source) if source.is_dir() else [source]
    candidates: list[Format] = []
    if any(path.suffix.lower() == ".xml" and _has_voc_root(path) for path in files):
        candidates.append("voc")
    if any(path.suffix.lower() == ".json" and is_coco(path) for path in files):
        candidates.append("coco")
    if source.is_dir() and (any(path.name.lower() in YOLO_NAME_FILES for path in files) or yolo_label_files(source, files)):
        candidates.append("yolo")
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise BadExport(
            f"{source} looks like {' and '.join(candidates)}; say which one with --format, or give the folder of one of them"
        )
    raise BadExport(f"{source} holds no annotations that Lakegate reads{_what_came(files)}")


def check_format(name: str) -> Format:
    """Return ``name`` as a format; raises ``BadExport`` that names the nearest one."""
    for known in FORMATS:
        if name == known:
            return known
    raise BadExport(f"'{name}' is no format that Lakegate reads{nearest(name, FORMATS)}")


def yolo_label_files(root: Path, files: list[Path]) -> list[Path]:
    """Return the label files of a YOLO export: ``.txt`` below a folder ``labels``, else those that hold class and box."""
    texts = [path for path in files if path.suffix.lower() == ".txt" and not path.name.lower().startswith("readme")]
    in_labels = [path for path in texts if any(part.lower() == "labels" for part in path.relative_to(root).parts[:-1])]
    if in_labels:
        return in_labels
    texts = [path for path in texts if path.stem.lower() not in NOT_LABELS]
    return texts if any(_is_yolo_line(_first_line(path)) for path in texts) else []


def is_coco(path: Path) -> bool:
    """Return True for a JSON object with the lists ``images`` and ``annotations``."""
    try:
        content: Any = json.loads(path.read_bytes())
    except ValueError:
        return False
    return isinstance(content, dict) and isinstance(content.get("images"), list) and "annotations" in content


def _has_voc_root(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(65536)
    text = head.decode("utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", errors="ignore")
    return "<annotation>" in text or "<annotation " in text


def _first_line(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline()


def _is_yolo_line(line: str) -> bool:
    fields = line.split()
    try:
        return len(fields) >= 5 and fields[0].isdigit() and all(abs(float(field)) <= 2 for field in fields[1:5])
    except ValueError:
        return False


def _what_came(files: list[Path]) -> str:
    suffixes = sorted({path.suffix.lower() or path.name for path in files})
    for path in files:
        if path.suffix.lower() == ".json" and (broken := _json_error(path)):
            return f": {path.name} is not JSON ({broken}); export it again"
    if any(path.suffix.lower() == ".xml" for path in files):
        return (
            ": its XML is not Pascal VOC (no <annotation> element; CVAT's own XML is not read yet); "
            "export as Pascal VOC, COCO or YOLO"
        )
    if ".zip" in suffixes:
        return ": it is packed; unpack the archive first and give the folder"
    return (
        f" (files found: {', '.join(suffixes[:8]) or 'none'}); expected Pascal VOC (*.xml), COCO (*.json with images and "
        "annotations) or YOLO (labels/*.txt with data.yaml or classes.txt)"
    )


def _json_error(path: Path) -> str:
    try:
        json.loads(path.read_bytes())
    except ValueError as error:
        return str(error)
    return ""
