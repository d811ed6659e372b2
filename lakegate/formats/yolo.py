"""YOLO: one text file per image, ``class cx cy width height`` in shares of the image's sides; names in a file beside.

Layouts: Ultralytics (``data.yaml``, https://docs.ultralytics.com/datasets/detect/), Darknet (``obj.data``, ``obj.names``),
and plain folders with ``classes.txt``.
"""

import math
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from lakegate.errors import BadExport, BadImage
from lakegate.formats.export_files import (
    LABEL_FOLDERS,
    SPLIT_WORDS,
    ExportFiles,
    key_of,
    leads_outside,
    listed_splits,
    split_in,
)
from lakegate.formats.reading import Reading, SizePx, SourceObject, SourceRecord
from lakegate.formats.recognising import yolo_label_files
from lakegate.formats.staging import link_or_copy, staged_name
from lakegate.samples import Split

NAME_FILES = ("data.yaml", "data.yml", "dataset.yaml", "obj.names", "classes.txt")


def read_yolo(export: ExportFiles, declared: Sequence[str]) -> Reading:
    """Read all label files; ``declared`` names the classes where the export has no list of names."""
    reading = Reading()
    reading.labels = _class_names(export, reading) or _assume(declared, reading)
    splits, torn = listed_splits(_split_lists(export, reading))
    for path in yolo_label_files(export.root, export.files):
        relative = export.relative(path)
        reading.label_files[relative] = path
        key = key_of(PurePosixPath(relative), LABEL_FOLDERS)
        sample_id = export.find(key)
        if sample_id is None:
            name = PurePosixPath(key).name
            reason = f"its image is missing: nothing among {len(export.by_id)} images is called '{name}'"
            reading.problem(key, relative, "image_exists", reason)
            continue
        name = PurePosixPath(sample_id).name
        split = split_in(PurePosixPath(relative)) or splits.get(sample_id) or splits.get(name)
        if sample_id in torn and split_in(PurePosixPath(relative)) is None:
            reason = f"it stands in the lists of two splits, the second is {torn[sample_id]}"
            reading.problem(sample_id, relative, "split_is_given", reason)
            continue
        _read_one(export, reading, path, sample_id, split)
    if not reading.label_files:
        raise BadExport(f"no label files in {export.root.name}; expected labels/*.txt, one per image")
    return reading


def stage_yolo(records: Sequence[SourceRecord], labels: Sequence[str], folder: Path) -> None:
    """Lay out ``obj.data``, ``obj.names``, ``train.txt``, ``obj_train_data/`` and the images' sizes as Datumaro reads them."""
    data = folder / "obj_train_data"
    data.mkdir()
    names = [staged_name(number) for number in range(len(records))]
    (folder / "obj.data").write_text(f"classes = {len(labels)}\ntrain = data/train.txt\nnames = data/obj.names\n")
    (folder / "obj.names").write_text("".join(f"class-{index}\n" for index in range(len(labels))))
    (folder / "train.txt").write_text("".join(f"data/obj_train_data/{name}.jpg\n" for name in names))
    sizes = (f"{name} {record.size_px[1]} {record.size_px[0]}\n" for name, record in zip(names, records, strict=True))
    (folder / "images.meta").write_text("".join(sizes))
    for name, record in zip(names, records, strict=True):
        link_or_copy(record.label_path, data / f"{name}.txt")


def _read_one(export: ExportFiles, reading: Reading, path: Path, sample_id: str, split: Split | None) -> None:
    relative, image = export.relative(path), export.by_id[sample_id][0]
    try:
        size_px = export.size_px(image)
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        objects = tuple(_object(line, reading.labels, size_px) for line in lines if line.strip())
    except BadImage as error:
        reading.problem(sample_id, export.relative(image), "image_is_whole", str(error))
    except UnicodeDecodeError as error:
        reading.problem(sample_id, relative, "label_file_is_whole", f"not text ({error}); export it again")
    except IndexError as error:
        reading.problem(sample_id, relative, "label_is_declared", str(error))
    except ValueError as error:
        reading.problem(sample_id, relative, "box_is_readable", str(error))
    else:
        reading.records.append(SourceRecord(sample_id, relative, path, image, size_px, objects, split=split))


def _object(line: str, labels: Sequence[str], size_px: SizePx) -> SourceObject:
    """Parse one line; raises ``IndexError`` for a class without a name, ``ValueError`` for anything else."""
    fields = line.split()
    if len(fields) != 5:
        hint = "; it looks like a polygon, export boxes instead" if len(fields) > 6 else ""
        raise ValueError(f"the line '{line[:60]}' has {len(fields)} fields; expected class, cx, cy, width, height{hint}")
    try:
        number, (cx, cy, width, height) = int(fields[0]), (float(field) for field in fields[1:])
    except ValueError:
        number, cx, cy, width, height = 0, math.nan, 0.0, 0.0, 0.0
    if not all(math.isfinite(value) for value in (cx, cy, width, height)):
        raise ValueError(f"the line '{line[:60]}' holds something else than a whole number and four shares")
    if not 0 <= number < len(labels):
        raise IndexError(f"class {number} has no name; the export names {len(labels)} classes: {', '.join(labels)}")
    w_px, h_px = size_px
    return SourceObject(labels[number], ((cx - width / 2) * w_px, (cy - height / 2) * h_px, width * w_px, height * h_px))


def _class_names(export: ExportFiles, reading: Reading) -> list[str]:
    by_name = {path.name.lower(): path for path in reversed(export.files)}
    for name in NAME_FILES:
        path = by_name.get(name)
        if path is None:
            continue
        reading.label_files[export.relative(path)] = path
        names = _names_in_yaml(path) if path.suffix in (".yaml", ".yml") else _lines(path)
        if names and (len(set(names)) < len(names) or not all(names)):
            raise BadExport(f"{name}: a class name is empty or stands twice: {', '.join(names)}; correct the list")
        if names:
            return names
    return []


def _names_in_yaml(path: Path) -> list[str]:
    import yaml

    try:
        content: Any = yaml.safe_load(path.read_bytes())
    except yaml.YAMLError as error:
        raise BadExport(f"{path.name} is not YAML: {error}") from error
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, list):
        return [str(name).strip() for name in names]
    if isinstance(names, dict):  # class number: name
        if sorted(names) != list(range(len(names))):
            raise BadExport(f"{path.name}: names must be numbered 0 to {len(names) - 1}, they are {sorted(names)}")
        return [str(names[number]).strip() for number in range(len(names))]
    raise BadExport(f"{path.name} has no 'names'; expected a list of class names")


def _lines(path: Path) -> list[str]:
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _assume(declared: Sequence[str], reading: Reading) -> list[str]:
    if not declared:
        raise BadExport("the export does not name its classes; add a classes.txt with one name per line, in class order")
    reading.notes.append(
        f"the export does not name its classes: read as the order of labels in dataset.toml ({', '.join(declared)})"
    )
    return list(declared)


def _split_lists(export: ExportFiles, reading: Reading) -> list[Path]:
    """Find ``train.txt``, ``val.txt`` … of image paths; a path that leads outside is a problem of the list."""
    lists = [
        path
        for path in export.files
        if path.suffix == ".txt" and path.stem in SPLIT_WORDS and not yolo_label_files(export.root, [path])
    ]
    for path in lists:
        reading.label_files[export.relative(path)] = path
        for line in filter(leads_outside, _lines(path)):
            stem = PurePosixPath(line.replace("\\", "/")).stem
            reason = f"its line '{line}' leads out of the export; expected a path below it"
            reading.problem(export.find(stem) or stem, export.relative(path), "file_name_is_inside", reason)
    return lists
