"""Label maps: one picture per image whose pixels are numbers of instances, or of classes. 0 is background.

Instances: each number is one object; the classes come from the dataset's single label, or from a semantic map of the same name
(``SegmentationObject/`` beside ``SegmentationClass/``). Classes: numbers, or colours where a ``labelmap.txt`` names them.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from lakegate.errors import BadExport, BadImage
from lakegate.formats.export_files import SPLIT_WORDS, ExportFiles, key_of, listed_splits, split_in
from lakegate.formats.label_map_names import VOID, VOID_COLOUR, MapNames, name_files, read_names
from lakegate.formats.reading import Reading, SizePx, SourceObject, SourceRecord
from lakegate.formats.registry import Format
from lakegate.formats.run_lengths import rles_of_map
from lakegate.geometry import Rle
from lakegate.masks import box_of_rle
from lakegate.samples import Split

MAP_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".bmp"})
MAP_FOLDERS = frozenset({
    "masks", "labels", "annotations", "segmentationobject", "segmentationclass", "instances", "instance", "semantic",
    "label_maps", "labelmaps",
})  # fmt: skip
MAP_ENDINGS = ("_mask", "_label", "_labels", "_seg", "_instance", "_semantic", "_labelids", "_instanceids")
UNNAMED = "object"
COLOUR_MODES = frozenset({"RGB", "RGBA"})
MODES_16_BIT = frozenset({"I;16", "I;16B", "I;16L", "I"})
MODES = frozenset({"1", "L", "P", *COLOUR_MODES, *MODES_16_BIT})
MapArray = npt.NDArray[np.int64]


@dataclass
class _Maps:
    """What all maps of an export share."""

    names: MapNames
    splits: dict[str, Split]
    semantic: dict[str, Path]  # maps of the classes of instances, by key
    void_pixels: Counter[str] = field(default_factory=Counter)  # by file


def kinds_of_maps(source: Path, files: Sequence[Path], images_dir: Path) -> list[Format]:
    """Return what the pictures beside the images may be; nothing where one of them is a photograph."""
    maps = _map_files(source, files, images_dir)
    modes = {mode_of(path) for path in maps}
    named = bool(name_files(files))
    if not maps or not modes <= MODES:
        return []
    folders = {part.lower() for path in maps for part in path.parts[:-1]}
    if modes <= MODES_16_BIT or {"segmentationobject", "segmentationclass"} <= folders:
        return ["instance-masks"]
    if modes & COLOUR_MODES:
        return ["semantic-masks"] if named else []
    if named or modes == {"P"}:
        return ["semantic-masks"]
    return ["instance-masks", "semantic-masks"]


def read_instance_masks(export: ExportFiles) -> Reading:
    """Read one object per number of each map, with the mask as run lengths and the box around it.

    Raises:
        BadExport: there is no map, or nothing says which class an instance is of.
    """
    files = _map_files(export.root, export.files, export.images_dir)
    semantic = {_key(export, path): path for path in files if _is_in(path, "segmentationclass")}
    reading = Reading()
    names = read_names(export, reading) if semantic else _only_class(export, reading)
    files = [path for path in files if path not in set(semantic.values())]
    return _read_all(export, reading, _Maps(names, _splits(export), semantic), files, True)


def _only_class(export: ExportFiles, reading: Reading) -> MapNames:
    """Return the dataset's single label as the class of all instances; a stand-in where there is no dataset yet."""
    if export.task is None and not export.labels:
        reading.notes.append(f"maps of instances do not say classes: all are called '{UNNAMED}' here, put in their real name")
        return MapNames({1: UNNAMED}, {})
    if len(export.labels) != 1:
        raise BadExport(
            f"maps of instances do not say classes, and the dataset declares {len(export.labels)} labels "
            f"({', '.join(export.labels)}); put maps of the classes beside them (SegmentationClass/ beside "
            "SegmentationObject/), or declare one label"
        )
    return MapNames({1: export.labels[0]}, {})


def read_semantic_masks(export: ExportFiles) -> Reading:
    """Read one object per class of each map, with the mask of all its pixels; raises ``BadExport`` where there is no map."""
    files = _map_files(export.root, export.files, export.images_dir)
    reading = Reading()
    maps = _Maps(read_names(export, reading), _splits(export), {})
    return _read_all(export, reading, maps, files, False)


def _read_all(export: ExportFiles, reading: Reading, maps: _Maps, files: Sequence[Path], instances: bool) -> Reading:
    if not files:
        raise BadExport(f"no label maps below {export.root.name}; expected .png or .tif, and the images in another folder")
    reading.labels = maps.names.labels
    for path in files:
        _read_map(export, reading, maps, path, instances)
    if maps.void_pixels:
        words = f"{maps.void_pixels.total()} pixels of {len(maps.void_pixels)} maps are void ({VOID})"
        reading.notes.append(f"{words} and belong to no object; the first map is {min(maps.void_pixels)}")
    return reading


def _read_map(export: ExportFiles, reading: Reading, maps: _Maps, path: Path, instances: bool) -> None:
    relative, key = export.relative(path), _key(export, path)
    reading.label_files[relative] = path
    sample_id = next(filter(None, (export.find(name) for name in _image_names(key))), None)
    if sample_id is None:
        reason = f"its image is missing: nothing among {len(export.by_id)} images is called '{PurePosixPath(key).name}'"
        reading.problem(key, relative, "image_exists", reason)
        return
    image = export.by_id[sample_id][0]
    try:
        size_px = export.size_px(image)
    except BadImage as error:
        reading.problem(sample_id, export.relative(image), "image_is_whole", str(error))
        return
    try:
        objects = _objects(export, reading, maps, path, size_px, instances)
    except BadImage as error:
        reading.problem(sample_id, relative, "label_file_is_whole", str(error))
    except ValueError as error:
        reading.problem(sample_id, relative, "mask_fits_image", str(error))
    except LookupError as error:
        reading.problem(sample_id, relative, "label_is_declared", str(error.args[0]))
    else:
        split = split_in(PurePosixPath(relative)) or split_in(PurePosixPath(sample_id)) or maps.splits.get(sample_id)
        reading.records.append(SourceRecord(sample_id, relative, path, image, size_px, objects, split=split))


def _objects(
    export: ExportFiles, reading: Reading, maps: _Maps, path: Path, size_px: SizePx, instances: bool
) -> tuple[SourceObject, ...]:
    """Read one map.

    Raises:
        BadImage: it cannot be decoded.
        ValueError: it has another size than the image.
        LookupError: a number or a colour has no name.
    """
    relative = export.relative(path)
    numbers_HW = read_map(path, size_px)
    if not instances:
        return _classes(_named_numbers(path, numbers_HW, maps, relative), maps.names)
    label_path = maps.semantic.get(_key(export, path))
    if label_path is None and maps.semantic:
        raise LookupError(f"no map of the classes (SegmentationClass) belongs to '{relative}'")
    if label_path is None:
        label = maps.names.by_number[1]
        return tuple(_object(label, rle, {}) for _, rle in sorted(rles_of_map(without_border(path, numbers_HW)).items()))
    reading.label_files[export.relative(label_path)] = label_path
    classes_HW = _named_numbers(label_path, read_map(label_path, size_px), maps, export.relative(label_path))
    instances_HW = without_border(path, numbers_HW)
    labels = _majority(instances_HW, classes_HW)
    found = sorted(rles_of_map(instances_HW).items())
    return tuple(_object(_name(labels[number], maps.names), rle, {}) for number, rle in found)


def _classes(classes_HW: MapArray, names: MapNames) -> tuple[SourceObject, ...]:
    found = sorted(rles_of_map(classes_HW).items())
    return tuple(_object(_name(number, names), rle, {"kind": "semantic"}) for number, rle in found)


def _object(label: str, rle: Rle, attributes: dict[str, str]) -> SourceObject:
    return SourceObject(label, box_of_rle(rle), attributes, rle=rle)


def _name(number: int, names: MapNames) -> str:
    if number not in names.by_number:
        known = ", ".join(f"{key} {name}" for key, name in sorted(names.by_number.items()))
        raise LookupError(f"the value {number} has no name; named are {known}" if number else "an instance lies on background")
    return names.by_number[number]


def _majority(instances_HW: MapArray, classes_HW: MapArray) -> dict[int, int]:
    """Return the class that most pixels of each instance have."""
    top = int(classes_HW.max()) + 1
    pairs, counts = np.unique(instances_HW * top + classes_HW, return_counts=True)
    return {int(pair) // top: int(pair) % top for pair in pairs[np.argsort(counts, kind="stable")]}


def _named_numbers(path: Path, numbers_HW: MapArray, maps: _Maps, relative: str) -> MapArray:
    """Return the numbers of classes: colours are looked up, void pixels counted and put to 0."""
    mode = mode_of(path)
    is_colour = mode in COLOUR_MODES
    void_HW = numbers_HW == (VOID_COLOUR if is_colour else VOID)
    if bool(void_HW.any()) and mode not in MODES_16_BIT and VOID not in maps.names.by_number:
        maps.void_pixels[relative] += int(void_HW.sum())
        numbers_HW = np.where(void_HW, 0, numbers_HW)
    if not is_colour:
        return numbers_HW
    colours, places = np.unique(numbers_HW, return_inverse=True)
    known = maps.names.numbers_by_colour | {0: 0}
    unknown = [int(colour) for colour in colours if int(colour) not in known]
    if unknown:
        words = ", ".join(f"{colour >> 16},{colour >> 8 & 255},{colour & 255}" for colour in unknown[:3])
        raise LookupError(f"{len(unknown)} colours have no name in the label map, the first are {words}")
    return np.array([known[int(colour)] for colour in colours], np.int64)[places].reshape(numbers_HW.shape)


def without_border(path: Path, numbers_HW: MapArray) -> MapArray:
    """Put to 0 what Pascal VOC draws around objects: 255 in maps with a palette, one colour in those without."""
    border = {"P": VOID, "RGB": VOID_COLOUR, "RGBA": VOID_COLOUR}.get(mode_of(path))
    return numbers_HW if border is None else np.where(numbers_HW == border, 0, numbers_HW)


def read_map(path: Path, size_px: SizePx) -> MapArray:
    """Return the map's numbers, colours as red << 16 | green << 8 | blue; shape (height, width).

    Raises:
        BadImage: it cannot be decoded, or holds neither numbers nor colours.
        ValueError: it has another size (width, height) than the image.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            mode, pixels = opened.mode, np.asarray(opened)
    except UnidentifiedImageError as error:
        raise BadImage(f"{path.name} is not an image; expected a label map") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadImage(f"{path.name} cannot be read as a label map: {error}") from error
    if mode not in MODES:
        raise BadImage(f"{path.name} has pixels of the kind {mode}; expected numbers of 8 or 16 bits, a palette or colours")
    if pixels.shape[1::-1] != size_px:
        words = f"the map has {pixels.shape[1]} × {pixels.shape[0]} px, the image has {size_px[0]} × {size_px[1]} px"
        raise ValueError(f"{words}; make the map from the image as it is stored")
    wide = pixels.astype(np.int64)
    return wide if wide.ndim == 2 else wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def _map_files(root: Path, files: Sequence[Path], images_dir: Path) -> list[Path]:
    """Return the pictures that are not below the images' folder; none where the images' folder is the export."""
    if root.is_relative_to(images_dir):
        return []
    return [path for path in files if path.suffix.lower() in MAP_SUFFIXES and not path.is_relative_to(images_dir)]


def mode_of(path: Path) -> str:
    """Return Pillow's name for the kind of pixels; empty where it is no picture."""
    from PIL import Image

    try:
        with Image.open(path) as opened:
            return opened.mode
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return ""


def _key(export: ExportFiles, path: Path) -> str:
    return key_of(PurePosixPath(export.relative(path)), MAP_FOLDERS)


def _image_names(key: str) -> list[str]:
    """Return what the image of a map may be called: as the map, or without the ending that says that it is one."""
    return [key, *(key[: -len(ending)] for ending in MAP_ENDINGS if key.lower().endswith(ending))]


def _is_in(path: Path, folder: str) -> bool:
    return any(part.lower() == folder for part in path.parts[:-1])


def _splits(export: ExportFiles) -> dict[str, Split]:
    """Return the splits that lists of images give; an image in two lists has none."""
    lists = [path for path in export.files if path.suffix.lower() == ".txt" and path.stem.lower() in SPLIT_WORDS]
    splits, torn = listed_splits(lists)
    return {key: split for key, split in splits.items() if key not in torn}
