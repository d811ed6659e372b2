"""Thumbnails: small, true to the picture, kept by content, never in the way when the cache is damaged."""

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from lakegate.canonical import sha256_bytes
from lakegate.errors import BadImage
from lakegate.thumbnails import Thumbnails, make_thumbnail

RED = (200, 30, 40)


def write_picture(path: Path, size_px: tuple[int, int] = (640, 480)) -> Path:
    Image.new("RGB", size_px, RED).save(path)
    return path


@pytest.mark.parametrize(("size_px", "small_px"), [((640, 480), (160, 120)), ((99, 301), (53, 160)), ((40, 30), (40, 30))])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp"])
def test_a_thumbnail_keeps_shape_and_colour_and_is_never_enlarged(tmp_path, suffix, size_px, small_px):
    found = make_thumbnail(write_picture(tmp_path / f"red{suffix}", size_px).read_bytes(), 160)
    pixels_HWC = simplejpeg.decode_jpeg(found.jpeg)
    assert (found.width_px, found.height_px) == size_px
    assert (pixels_HWC.shape[1], pixels_HWC.shape[0]) == small_px
    assert np.abs(pixels_HWC.reshape(-1, 3).mean(axis=0) - RED).max() < 4


def test_a_second_page_reads_neither_the_image_nor_decodes_it(tmp_path):
    image, thumbnails = write_picture(tmp_path / "red.jpg"), Thumbnails(tmp_path / "kept")
    digest = sha256_bytes(image.read_bytes())
    first = thumbnails.get(image, 160)
    image.unlink()
    assert thumbnails.get(image, 160, digest) == first == thumbnails.find(digest, 160)
    assert thumbnails.find(digest, 320) is None


@pytest.mark.parametrize("damage", [lambda data: data[:-30], lambda data: data[:0], lambda data: b"x" * len(data)])
def test_a_damaged_file_of_the_cache_is_made_again(tmp_path, damage):
    image, thumbnails = write_picture(tmp_path / "red.jpg"), Thumbnails(tmp_path / "kept")
    first = thumbnails.get(image, 160)
    (kept,) = (path for path in (tmp_path / "kept").rglob("*") if path.is_file())
    kept.write_bytes(damage(kept.read_bytes()))
    assert thumbnails.get(image, 160) == first == thumbnails.find(sha256_bytes(image.read_bytes()), 160)


def test_truncated_and_absent_files_are_bad_images(tmp_path):
    image = write_picture(tmp_path / "red.jpg")
    image.write_bytes(image.read_bytes()[:-200])
    with pytest.raises(BadImage, match="deliver the image again"):
        Thumbnails().get(image, 160)
    with pytest.raises(BadImage, match="cannot be read"):
        Thumbnails().get(tmp_path / "nowhere.jpg", 160)


def test_several_processes_may_fill_one_cache(tmp_path):
    image, kept = write_picture(tmp_path / "red.png"), tmp_path / "kept"
    with multiprocessing.get_context("fork").Pool(4) as pool:
        made = pool.starmap(Thumbnails(kept).get, [(image, 160)] * 40)
    assert len(set(made)) == 1
    assert [path.name for path in kept.rglob("*") if path.is_file()] == [sha256_bytes(image.read_bytes())]
