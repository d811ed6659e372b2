"""Which files of a YOLO export are what: label files, lists of class names, lists of images."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from lakegate.errors import BadExport
from lakegate.formats.export_files import SPLIT_WORDS, ExportFiles, leads_outside, split_in
from lakegate.formats.reading import Reading
from lakegate.samples import Split

NAME_FILES = ("data.yaml", "data.yml", "dataset.yaml", "obj.names", "classes.txt")
NOT_LABELS = frozenset({"classes", "train", "val", "valid", "test", "notes", "license", "licence", "requirements"})


def yolo_label_files(root: Path, files: list[Path]) -> list[Path]:
    """Return the label files of a YOLO export: ``.txt`` below a folder ``labels``, else those that hold class and box."""
    texts = [path for path in files if path.suffix.lower() == ".txt" and not path.name.lower().startswith("readme")]
    in_labels = [path for path in texts if any(part.lower() == "labels" for part in path.relative_to(root).parts[:-1])]
    if in_labels:
        return in_labels
    texts = [path for path in texts if path.stem.lower() not in NOT_LABELS]
    return texts if any(_is_yolo_line(_first_line(path)) for path in texts) else []


def name_file(export: ExportFiles) -> Path | None:
    """Return the file that names the classes; the first of NAME_FILES that the export has."""
    by_name = {path.name.lower(): path for path in reversed(export.files)}
    return next((by_name[name] for name in NAME_FILES if name in by_name), None)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the fields of a ``data.yaml``; raises ``BadExport`` where it is none."""
    import yaml

    try:
        content: Any = yaml.safe_load(path.read_bytes())
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadExport(f"{path.name} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise BadExport(f"{path.name} has no 'names'; expected a list of class names")
    return {str(name): value for name, value in content.items()}


def class_names(path: Path) -> list[str]:
    """Return the class names in order; empty for an empty list.

    Raises:
        BadExport: a name is empty or stands twice, numbers are missing, or there is no list.
    """
    names = _names_in_yaml(path) if path.suffix in (".yaml", ".yml") else lines_of(path)
    if names and (len(set(names)) < len(names) or not all(names)):
        raise BadExport(f"{path.name}: a class name is empty or stands twice: {', '.join(names)}; correct the list")
    return names


def _names_in_yaml(path: Path) -> list[str]:
    names = read_yaml(path).get("names")
    if isinstance(names, list):
        return [str(name).strip() for name in names]
    if isinstance(names, dict):  # class number: name
        if set(names) != set(range(len(names))):
            raise BadExport(f"{path.name}: names must be numbered 0 to {len(names) - 1}, they are {', '.join(map(str, names))}")
        return [str(names[number]).strip() for number in range(len(names))]
    raise BadExport(f"{path.name} has no 'names'; expected a list of class names")


def split_lists(export: ExportFiles, reading: Reading) -> list[Path]:
    """Find ``train.txt``, ``val.txt`` … of image paths; a path that leads outside is a problem of the list."""
    lists = [
        path
        for path in export.files
        if path.suffix == ".txt" and path.stem in SPLIT_WORDS and not yolo_label_files(export.root, [path])
    ]
    for path in lists:
        reading.label_files[export.relative(path)] = path
        for line in filter(leads_outside, lines_of(path)):
            stem = PurePosixPath(line.replace("\\", "/")).stem
            reason = f"its line '{line}' leads out of the export; expected a path below it"
            reading.problem(export.find(stem) or stem, export.relative(path), "file_name_is_inside", reason)
    return lists


def folders_of_splits(content: Mapping[str, Any]) -> dict[str, Split]:
    """Return the folders that ``train``, ``val`` and ``test`` of a ``data.yaml`` name, as far as their paths do not say it.

    A folder of two splits says nothing about its images, and is left out.
    """
    splits: dict[str, set[Split]] = {}
    for split, entry in _folder_entries(content):
        parts = [part for part in PurePosixPath(entry.replace("\\", "/")).parts if part not in (".", "..", "/")]
        folder = "/".join(part for part in parts if part.lower() not in ("images", "labels"))
        if folder and split_in(PurePosixPath(*parts, "x")) is None:
            splits.setdefault(folder, set()).add(split)
    return {folder: next(iter(found)) for folder, found in splits.items() if len(found) == 1}


def _folder_entries(content: Mapping[str, Any]) -> Iterator[tuple[Split, str]]:
    for word in ("train", "val", "test"):
        value = content.get(word)
        for entry in value if isinstance(value, list) else [value]:
            if isinstance(entry, str) and not entry.endswith(".txt"):
                yield SPLIT_WORDS[word], entry


def lines_of(path: Path) -> list[str]:
    """Return a text file's lines without blanks around them and without empty ones at its end; broken letters stay visible."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig", errors="backslashreplace").splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def assumed_names(declared: Sequence[str], reading: Reading) -> list[str]:
    """Return the dataset's labels as class names, and say so; raises ``BadExport`` where the dataset has none yet."""
    if not declared:
        raise BadExport("the export does not name its classes; add a classes.txt with one name per line, in class order")
    reading.notes.append(
        f"the export does not name its classes: read as the order of labels in dataset.toml ({', '.join(declared)})"
    )
    return list(declared)


def _first_line(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline(4096)


def _is_yolo_line(line: str) -> bool:
    fields = line.split()
    try:
        return len(fields) >= 5 and fields[0].isdigit() and all(abs(float(field)) <= 2 for field in fields[1:5])
    except ValueError:
        return False
