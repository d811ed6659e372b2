"""Datumaro reads label files from a temporary layout; here is what all formats need to make one, and the call itself."""

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from lakegate.formats.reading import SourceObject, SourceRecord
from lakegate.samples import Box

# Datumaro rounds coordinates to 2 decimals in float32, so an equal box may differ by half of that and by float32's step.
TOLERANCE_PX = 0.006
FLOAT32_STEP = 2e-7
OBJECTS_PER_RECORD = 1_000_000

Stage = Callable[[Sequence[SourceRecord], Sequence[str], Path], None]
Imported = tuple[str, Box]  # label, corners x1, y1, x2, y2 in px


def staged_name(number: int) -> str:
    """Return the name that stands for the record of that number: names of an export never reach Datumaro's lists."""
    return f"{number:06d}"


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link a file, or copy it over a file-system border.

    Not a symbolic link: Datumaro 1.13 resolves paths and refuses what lies outside of its folder.
    """
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def import_through_datumaro(
    datumaro_format: str, stage: Stage, records: Sequence[SourceRecord], labels: Sequence[str]
) -> tuple[dict[int, list[Imported]], dict[int, str]]:
    """Let Datumaro's own importer read ``records``.

    A file on which Datumaro gives up is found by halving, so that it is an error of its own record only.

    Returns:
        By the record's number: its objects in the file's order; and the first error that Datumaro reported.
    """
    load_datumaro()
    from datumaro.components.errors import DatasetImportError

    try:
        return _import(datumaro_format, stage, records, labels)
    except DatasetImportError as error:
        if len(records) == 1:
            cause = error.__cause__ or error
            return {}, {0: f"{type(cause).__name__}: {cause}"}
    imported: dict[int, list[Imported]] = {}
    errors: dict[int, str] = {}
    middle = len(records) // 2
    for start, part in ((0, records[:middle]), (middle, records[middle:])):
        boxes, reasons = import_through_datumaro(datumaro_format, stage, part, labels)
        imported.update({start + number: found for number, found in boxes.items()})
        errors.update({start + number: reason for number, reason in reasons.items()})
    return imported, errors


def _import(
    datumaro_format: str, stage: Stage, records: Sequence[SourceRecord], labels: Sequence[str]
) -> tuple[dict[int, list[Imported]], dict[int, str]]:
    from datumaro import AnnotationType, Bbox, Dataset
    from datumaro.components.contexts.importer import ImportErrorPolicy

    errors: dict[int, str] = {}

    class CollectErrors(ImportErrorPolicy):  # type: ignore[misc]
        def _handle_item_error(self, error: Exception) -> None:
            cause = error.__cause__ or error
            errors.setdefault(_record_of(error.item_id[0]), f"{type(cause).__name__}: {cause}")  # type: ignore[attr-defined]

        _handle_annotation_error = _handle_item_error

    imported: dict[int, list[Imported]] = {}
    with TemporaryDirectory(prefix="lakegate-import-") as temporary:
        folder = Path(temporary) / "export"
        folder.mkdir()
        stage(records, labels, folder)
        dataset = Dataset.import_from(str(folder), datumaro_format, error_policy=CollectErrors())
        names = [item.name for item in dataset.categories()[AnnotationType.label]]
        for item in dataset:
            boxes = sorted((one for one in item.annotations if isinstance(one, Bbox)), key=lambda box: box.id)
            imported[int(item.id)] = [(_name(names, labels, box.label), tuple(box.points)) for box in boxes]
    return imported, errors


def load_datumaro() -> None:
    """Import Datumaro and put pandas back: 1.13 replaces it in ``sys.modules`` by a bare copy without its submodules."""
    pandas = import_module("pandas")
    import_module("datumaro")
    sys.modules["pandas"] = pandas


def annotation_number(record: int, index: int) -> int:
    """Return the number of an object in a staged COCO file; it keeps the order and tells the record."""
    return (record + 1) * OBJECTS_PER_RECORD + index


def _record_of(item: str | int) -> int:
    if isinstance(item, str):
        return int(item)
    return (item // OBJECTS_PER_RECORD or item) - 1


def _name(names: Sequence[str], labels: Sequence[str], index: int | None) -> str:
    if index is None:
        return "(none)"
    return (labels[index] if len(names) == len(labels) else names[index]).strip()


def difference(expected: Sequence[SourceObject], imported: Sequence[Imported]) -> str:
    """Say how Datumaro's reading differs from the file; empty where it is the same but for its rounding."""
    if len(expected) != len(imported):
        return f"the file holds {len(expected)} objects, Datumaro read {len(imported)}"
    for number, (one, (label, corners)) in enumerate(zip(expected, imported, strict=True), start=1):
        x, y, width, height = one.bbox_xywh_px or (0.0, 0.0, 0.0, 0.0)
        wanted = (x, y, x + width, y + height)
        if label != one.label:
            return f"object {number} is '{one.label}' in the file, Datumaro read '{label}'"
        if any(abs(a - b) > TOLERANCE_PX + FLOAT32_STEP * abs(a) for a, b in zip(wanted, corners, strict=True)):
            return f"object {number} has the corners {wanted} in the file, Datumaro read {corners}"
    return ""
