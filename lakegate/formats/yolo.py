"""YOLO: one text file per image, a class number and shares of the image's sides on each line; names in a file beside.

Lines (https://docs.ultralytics.com/datasets/): ``class cx cy width height`` for a box, ``class x1 y1 x2 y2 x3 y3 …`` for a
polygon, and with ``kpt_shape`` in ``data.yaml`` a box followed by ``x y`` or ``x y visibility`` of each keypoint. Layouts:
Ultralytics (``data.yaml``), Darknet (``obj.data``, ``obj.names``), and plain folders with ``classes.txt``.
"""

import math
from codecs import BOM_UTF8
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from lakegate.errors import BadExport, BadImage
from lakegate.formats.export_files import LABEL_FOLDERS, ExportFiles, key_of, listed_splits, split_in
from lakegate.formats.reading import Reading, SizePx, SourceObject, SourceRecord
from lakegate.formats.staging import link_or_copy, staged_name
from lakegate.formats.yolo_files import (
    assumed_names,
    class_names,
    folders_of_splits,
    name_file,
    read_yaml,
    split_lists,
    yolo_label_files,
)
from lakegate.geometry import Keypoint
from lakegate.masks import box_of_points
from lakegate.samples import Box, Split


@dataclass(frozen=True)
class _Layout:
    """What the files beside the labels say. ``keypoints`` is (points, values per point), zeros where there are none."""

    keypoints: tuple[int, int] = (0, 0)
    point_names: tuple[str, ...] = ()
    folders: dict[str, Split] = field(default_factory=dict)


def read_yolo(export: ExportFiles) -> Reading:
    """Read all label files; the dataset's labels name the classes where the export has no list of names."""
    reading = Reading()
    layout = _read_names(export, reading)
    splits, torn = listed_splits(split_lists(export, reading))
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
        split = split_in(PurePosixPath(relative)) or splits.get(sample_id) or splits.get(PurePosixPath(sample_id).name)
        if sample_id in torn and split_in(PurePosixPath(relative)) is None:
            reason = f"it stands in the lists of two splits, the second is {torn[sample_id]}"
            reading.problem(sample_id, relative, "split_is_given", reason)
            continue
        _read_one(export, reading, layout, path, sample_id, split or _split_of_folder(layout, sample_id))
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
        if _begins_with_mark(record.label_path):
            text = record.label_path.read_text(encoding="utf-8-sig")
            (data / f"{name}.txt").write_text(text, encoding="utf-8")
        else:
            link_or_copy(record.label_path, data / f"{name}.txt")


def _begins_with_mark(path: Path) -> bool:
    """Tell whether a text begins with a byte order mark, as Windows editors write it and Datumaro does not read it."""
    with path.open("rb") as file:
        return file.read(len(BOM_UTF8)) == BOM_UTF8


def _read_names(export: ExportFiles, reading: Reading) -> _Layout:
    path = name_file(export)
    reading.labels = class_names(path) if path is not None else []
    if not reading.labels:
        reading.labels = assumed_names(export.labels, reading)
    if path is None:
        return _Layout()
    reading.label_files[export.relative(path)] = path
    if path.suffix not in (".yaml", ".yml"):
        return _Layout()
    content = read_yaml(path)
    points, values = _keypoint_shape(content, path)
    names = content.get("kpt_names")
    first = names.get(0, ()) if isinstance(names, dict) else names
    known = tuple(map(str, first)) if isinstance(first, list | tuple) and len(first) == points else ()
    return _Layout((points, values), known or tuple(str(number) for number in range(points)), folders_of_splits(content))


def _keypoint_shape(content: dict[str, Any], path: Path) -> tuple[int, int]:
    shape = content.get("kpt_shape")
    if shape is None:
        return 0, 0
    is_pair = isinstance(shape, list) and len(shape) == 2 and all(isinstance(side, int) for side in shape)
    if not is_pair or shape[0] < 1 or shape[1] not in (2, 3):
        raise BadExport(f"{path.name}: kpt_shape is {shape!r}; expected [number of keypoints, 2 or 3]")
    return shape[0], shape[1]


def _split_of_folder(layout: _Layout, sample_id: str) -> Split | None:
    return next((split for folder, split in layout.folders.items() if f"/{folder}/" in f"/{sample_id}"), None)


def _read_one(
    export: ExportFiles, reading: Reading, layout: _Layout, path: Path, sample_id: str, split: Split | None
) -> None:
    relative, image = export.relative(path), export.by_id[sample_id][0]
    try:
        size_px = export.size_px(image)
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        objects = tuple(_object(line, reading.labels, size_px, layout) for line in lines if line.strip())
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


def _object(line: str, labels: Sequence[str], size_px: SizePx, layout: _Layout) -> SourceObject:
    """Parse one line; raises ``IndexError`` for a class without a name, ``ValueError`` for anything else."""
    fields = line.split()
    shares = _shares(fields, line)
    n_points, n_values = layout.keypoints
    if not 0 <= int(fields[0]) < len(labels):
        raise IndexError(f"class {fields[0]} has no name; the export names {len(labels)} classes: {', '.join(labels)}")
    label = labels[int(fields[0])]
    if n_points and len(shares) == 4 + n_points * n_values:
        return SourceObject(label, _box(shares[:4], size_px), keypoints=_keypoints(shares[4:], n_values, layout, size_px))
    if len(shares) == 4:
        return SourceObject(label, _box(shares, size_px))
    if len(shares) >= 6 and len(shares) % 2 == 0 and not n_points:
        polygon = tuple(share * size_px[index % 2] for index, share in enumerate(shares))
        return SourceObject(label, box_of_points(polygon), polygons_px=(polygon,))
    wanted = f" and {n_points} keypoints of {n_values} values" if n_points else ", or class and at least three points x, y"
    hint = "; predictions with a score in each line are no labels" if len(fields) == 6 else ""
    raise ValueError(
        f"the line '{line[:60]}' has {len(fields)} fields; expected class, cx, cy, width, height{wanted}{hint}"
    )


def _shares(fields: Sequence[str], line: str) -> list[float]:
    try:
        shares = [float(text) for text in fields[1:]] if fields[0].isdecimal() else []
    except ValueError:
        shares = []
    if not shares or not all(map(math.isfinite, shares)):
        raise ValueError(f"the line '{line[:60]}' holds something else than a whole number and shares of the image's sides")
    return shares


def _box(shares: Sequence[float], size_px: SizePx) -> Box:
    (cx, cy, width, height), (w_px, h_px) = shares, size_px
    return (cx - width / 2) * w_px, (cy - height / 2) * h_px, width * w_px, height * h_px


def _keypoints(shares: Sequence[float], n_values: int, layout: _Layout, size_px: SizePx) -> tuple[Keypoint, ...]:
    """Return the points; with two values per point, one at 0, 0 is not labelled, as Ultralytics reads it."""
    points = []
    for name, start in zip(layout.point_names, range(0, len(shares), n_values), strict=True):
        x, y = shares[start], shares[start + 1]
        visibility = shares[start + 2] if n_values == 3 else 2.0 * bool(x or y)
        if visibility not in (0, 1, 2):
            raise ValueError(f"the keypoint '{name}' has visibility {visibility:g}; expected 0, 1 or 2")
        seen = visibility > 0
        points.append(Keypoint(name, x * size_px[0] * seen, y * size_px[1] * seen, int(visibility)))
    return tuple(points)
