"""Pascal VOC's masks: pixel value i of ``SegmentationObject/<image>.png`` is the i-th object of the XML, 255 their border."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from lakegate.formats.export_files import ExportFiles, key_of
from lakegate.formats.label_maps import COLOUR_MODES, MapArray, mode_of, read_map, without_border
from lakegate.formats.reading import SizePx, SourceObject
from lakegate.formats.run_lengths import rles_of_map
from lakegate.masks import box_of_rle

FOLDER = "segmentationobject"
COLOURS = 256


def mask_files(export: ExportFiles) -> dict[str, Path]:
    """Return the maps of objects by the images' keys; empty in a dataset whose task keeps no masks."""
    if export.task not in (None, "segmentation"):
        return {}
    return {
        key_of(PurePosixPath(export.relative(path)), (FOLDER,)): path
        for path in export.files
        if path.suffix.lower() == ".png" and any(part.lower() == FOLDER for part in path.parts[:-1])
    }


def with_masks(objects: Sequence[SourceObject], path: Path, size_px: SizePx) -> tuple[SourceObject, ...]:
    """Return the objects with their masks, in the same order; boxes stay those of the XML.

    Raises:
        BadImage: the map cannot be decoded.
        ValueError: the map has another size than the image, or does not number exactly these objects.
    """
    numbers_HW = without_border(path, read_map(path, size_px))
    if mode_of(path) in COLOUR_MODES:
        numbers_HW = _numbers_of_colours(numbers_HW)
    found = rles_of_map(numbers_HW)
    if sorted(found) != list(range(1, len(objects) + 1)):
        numbers = ", ".join(map(str, sorted(found)[:10])) or "none"
        raise ValueError(f"the map of objects numbers {numbers}, the label file holds {len(objects)} objects")
    return tuple(
        replace(item, rle=found[number], bbox_xywh_px=item.bbox_xywh_px or box_of_rle(found[number]))
        for number, item in enumerate(objects, start=1)
    )


def _numbers_of_colours(colours_HW: MapArray) -> MapArray:
    """Turn the colours of Pascal VOC's palette back into their numbers."""
    known = {_colour(number): number for number in range(COLOURS)}
    colours, places = np.unique(colours_HW, return_inverse=True)
    unknown = [int(colour) for colour in colours if int(colour) not in known]
    if unknown:
        raise ValueError(f"the map of objects holds {len(unknown)} colours that are not of Pascal VOC's palette")
    return np.array([known[int(colour)] for colour in colours], np.int64)[places].reshape(colours_HW.shape)


def _colour(number: int) -> int:
    """Return the palette's colour: the number's bits are dealt out to red, green, blue in turn, from the highest bit down.

    >>> hex(_colour(1)), hex(_colour(2)), hex(_colour(15))
    ('0x800000', '0x8000', '0xc08080')
    """
    colour = 0
    for bit in range(8):
        for channel, shift in enumerate((16, 8, 0)):
            if number >> (3 * bit + channel) & 1:
                colour |= 1 << (7 - bit) << shift
    return colour
