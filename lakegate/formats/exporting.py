"""Write samples as an export of another program: images beside label files, written aside and then renamed."""

import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from lakegate.errors import BadInput, nearest
from lakegate.formats.export_coco import write_coco
from lakegate.formats.export_cvat import write_cvat
from lakegate.formats.export_set import IMAGES, ExportSet, Losses
from lakegate.formats.export_yolo import write_yolo

ExportFormat = Literal["coco", "yolo", "cvat"]
WRITERS: dict[ExportFormat, Callable[[ExportSet, Path], Losses]] = {"coco": write_coco, "yolo": write_yolo, "cvat": write_cvat}


@dataclass(frozen=True)
class ExportSummary:
    """Numbers of samples and of objects that were written; ``notes`` say what the format could not hold."""

    n_samples: int
    n_objects: int
    notes: tuple[str, ...]


def check_export_format(name: str) -> ExportFormat:
    """Return ``name`` as a format; raises ``BadInput`` that names the nearest one."""
    for known in get_args(ExportFormat):
        if name == known:
            return known  # type: ignore[no-any-return]
    raise BadInput(f"'{name}' is no format that Lakegate writes{nearest(name, get_args(ExportFormat))}")


def check_target(folder: Path) -> None:
    """Raise ``BadInput`` unless the folder can be made: it must not exist, or be empty."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise BadInput(f"{folder} exists and is not an empty folder; nothing was written, give a new folder")


def write_export(known: ExportFormat, exported: ExportSet, folder: Path) -> ExportSummary:
    """Write images and label files into a new folder; a killed export leaves no folder of that name.

    Raises:
        BadInput: the folder exists and is not empty, or the format has no place for this dataset's labels.
    """
    check_target(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:12]}")
    aside.mkdir()
    try:
        losses = WRITERS[known](exported, aside)
        for item in exported.items:
            target = aside / IMAGES / item.file_name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(item.image, target)
        check_target(folder)
        aside.replace(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return ExportSummary(len(exported.items), losses.written, tuple(losses.notes))
