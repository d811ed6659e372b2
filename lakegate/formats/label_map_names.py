"""Which class a number or a colour of a label map is: ``labelmap.txt``, a JSON beside it, or the dataset's own order."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lakegate.errors import BadExport
from lakegate.formats.export_files import ExportFiles
from lakegate.formats.reading import Reading
from lakegate.formats.yolo_files import assumed_names, lines_of

NAME_FILES = frozenset({"labelmap.txt", "label_map.txt", "label_colors.txt", "labelmap.json", "label_map.json", "labels.json"})
BACKGROUND = "background"
VOID = 255
VOID_COLOUR = (224 << 16) | (224 << 8) | 192  # the border of Pascal VOC's maps


@dataclass(frozen=True)
class MapNames:
    """Names of classes by number, and numbers by colour (red << 16 | green << 8 | blue). Number 0 is the background."""

    by_number: dict[int, str]
    numbers_by_colour: dict[int, int]

    @property
    def labels(self) -> list[str]:
        """The classes in the order of their numbers, without the background."""
        return [name for number, name in sorted(self.by_number.items()) if number]


def name_files(files: Sequence[Path]) -> list[Path]:
    """Return the files that name classes of label maps."""
    return [path for path in files if path.name.lower() in NAME_FILES]


def read_names(export: ExportFiles, reading: Reading) -> MapNames:
    """Read the names beside the maps; else the dataset's labels count from 1 on, and the reading says so.

    Raises:
        BadExport: a file of names is not one, or neither a file nor the dataset names a class.
    """
    found = name_files(export.files)
    if not found and not export.labels:
        raise BadExport(
            "the label maps do not name their classes; add a labelmap.txt beside them (label:red,green,blue:: in each line, "
            'background first) or a labelmap.json ({"1": "road"})'
        )
    if not found:
        labels = [label for label in assumed_names(export.labels, reading) if label.lower() != BACKGROUND]
        return MapNames(dict(enumerate(labels, start=1)), {})
    reading.label_files[export.relative(found[0])] = found[0]
    return _from_json(found[0]) if found[0].suffix.lower() == ".json" else _from_text(found[0])


def _from_text(path: Path) -> MapNames:
    """Read CVAT's and Datumaro's ``label:red,green,blue:parts:actions``, numbered by line; or ``red green blue label``."""
    names: dict[int, str] = {}
    colours: dict[int, int] = {}
    lines = [line for line in lines_of(path) if line and not line.startswith("#")]
    has_background = any(_name_and_colour(line, path)[0].lower() == BACKGROUND for line in lines)
    for number, line in enumerate(lines, start=0 if has_background else 1):
        name, colour = _name_and_colour(line, path)
        if name in names.values():
            raise BadExport(f"{path.name}: the class '{name}' stands twice; correct the list")
        if name.lower() != BACKGROUND:
            names[number] = name
        if colour is not None:
            colours[colour] = 0 if name.lower() == BACKGROUND else number
    return _checked(path, MapNames(names, colours))


def _name_and_colour(line: str, path: Path) -> tuple[str, int | None]:
    name, colon, rest = line.partition(":")
    fields = rest.split(":")[0].split(",") if colon else line.split()[:3]
    name = name.strip() if colon else " ".join(line.split()[3:])
    if colon and fields == [""]:
        return name, None
    try:
        red, green, blue = (int(field) for field in fields)
    except ValueError as error:
        raise BadExport(f"{path.name}: '{line[:60]}' is no class with a colour; expected label:red,green,blue::") from error
    return name, red << 16 | green << 8 | blue


def _from_json(path: Path) -> MapNames:
    """Read ``{"1": "road"}``, ``{"road": 1}`` or ``[{"id": 1, "name": "road", "color": [128, 64, 128]}]``."""
    try:
        content: Any = json.loads(path.read_bytes())
        if isinstance(content, list):
            numbers = {int(item["id"]): str(item["name"]).strip() for item in content}
            colours = {_colour(item["color"]): int(item["id"]) for item in content if item.get("color")}
        else:
            pairs = [(name, number) if isinstance(number, int) else (number, name) for name, number in content.items()]
            numbers, colours = {int(number): str(name).strip() for name, number in pairs}, {}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BadExport(
            f'{path.name} names no classes of label maps ({error}); expected {{"1": "road"}} or [{{"id": 1, "name": "road"}}]'
        ) from error
    names = {number: name for number, name in numbers.items() if number and name.lower() != BACKGROUND}
    return _checked(path, MapNames(names, {colour: number if number in names else 0 for colour, number in colours.items()}))


def _colour(sides: Sequence[int]) -> int:
    red, green, blue = sides
    return red << 16 | green << 8 | blue


def _checked(path: Path, names: MapNames) -> MapNames:
    if not names.by_number or not all(names.by_number.values()):
        raise BadExport(f"{path.name} names no class, or one of them is empty; correct the list")
    return names
