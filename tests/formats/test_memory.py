"""Importing holds a small part of an export in memory: names, offsets, and one part of the records."""

import gc
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from lakegate.formats import importing, json_stream, spool
from lakegate.formats.importing import import_export, read_export

from .exports import declare, write_coco, write_voc

OBJECTS = [("car", (float(number), 2.0, 3.0, 4.0)) for number in range(60)]  # in memory over 30,000 bytes for one image


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small exports are treated as large ones are: spools go to disk, files are read in pieces."""
    monkeypatch.setattr(spool, "IN_MEMORY_BYTES", 1)
    monkeypatch.setattr(json_stream, "PIECE_CHARS", 4096)


def bytes_per_image(write: Callable, read: Callable, folder: Path, sizes: tuple[int, int]) -> float:
    """By how much the peak grows with one more image; a first run loads what is imported only once.

    The least of three: threads that other tests of this process left running may take memory meanwhile.
    """
    exports = {
        number: write(folder / str(number), {f"{index:04d}": ((100, 50), OBJECTS) for index in range(number)})
        for number in (2, *sizes)
    }
    read(exports[2])
    peaks = [min(peak_bytes(read, exports[number], number) for _ in range(3)) for number in sizes]
    return (peaks[1] - peaks[0]) / (sizes[1] - sizes[0])


def peak_bytes(read: Callable, export: Path, n_images: int) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        assert read(export) == n_images * len(OBJECTS)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_reading_a_coco_file_holds_little_more_than_names(tmp_path):
    def read(export: Path) -> int:
        return sum(len(record.objects) for record in read_export(export, None, "coco")[2].records)

    assert bytes_per_image(write_coco, read, tmp_path, (40, 120)) < 5_000


def test_importing_holds_one_part_of_the_records(tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "RECORDS_AT_ONCE", 20)

    def read(export: Path) -> int:
        return sum(len(item.sample.annotations) for item in import_export(export, None, declare()).samples)

    assert bytes_per_image(write_voc, read, tmp_path, (20, 60)) < 15_000
