"""Measuring image files."""

import struct
import zlib

import cv2
import numpy as np
import pytest
import simplejpeg

from lakegate.errors import BadImage
from lakegate.imaging import read_image
from lakegate.quality.images import MetricsCache, measure_image, measure_many
from tests.quality.building import write_jpeg


def test_a_flat_grey_picture_has_its_grey_value_and_no_contrast_entropy_or_edges(tmp_path):
    cv2.imwrite(str(tmp_path / "flat.png"), np.full((30, 60, 3), 128, np.uint8))
    metrics = measure_image(tmp_path / "flat.png")
    assert (metrics.format, metrics.width_px, metrics.height_px, metrics.aspect) == ("PNG", 60, 30, 2.0)
    assert (metrics.brightness, metrics.contrast, metrics.entropy, metrics.blur) == (128.0, 0.0, 0.0, 0.0)


def test_a_blurred_copy_is_less_sharp(tmp_path):
    noise_HW = np.random.default_rng(1).integers(0, 255, (64, 64), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "sharp.png"), noise_HW)
    cv2.imwrite(str(tmp_path / "soft.png"), cv2.GaussianBlur(noise_HW, (0, 0), 3))
    assert measure_image(tmp_path / "soft.png").blur < 0.01 * measure_image(tmp_path / "sharp.png").blur


def test_an_exif_rotation_is_reported_and_not_applied(samples_dir):
    metrics = measure_image(samples_dir / "broken_images" / "exif_orientation" / "Portrait_6.jpg")
    assert (metrics.exif_orientation, metrics.width_px, metrics.height_px) == (6, 1800, 1200)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "0 bytes"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "a web page"),
        (b"GIF89a\x01\x00\x01\x00", "a GIF; export it as PNG"),
        (b"\x00\x01\x02\x03" * 9, "the bytes 00 01 02 03"),
    ],
)
def test_what_is_no_image_is_refused_with_file_name_and_reason(tmp_path, content, reason):
    (tmp_path / "cat.jpg").write_bytes(content)
    with pytest.raises(BadImage, match=rf"cat\.jpg: .*{reason}"):
        measure_image(tmp_path / "cat.jpg")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_a_truncated_jpeg_is_refused(tmp_path, share):
    data = write_jpeg(tmp_path / "cat.jpg", size_px=(320, 240)).read_bytes()
    (tmp_path / "cat.jpg").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BadImage, match=r"cat\.jpg: not a whole"):
        measure_image(tmp_path / "cat.jpg")


def png_claiming(side_px):
    """Return a PNG of a few bytes whose header claims ``side_px`` squared pixels."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", side_px, side_px, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0" * 64)),
        (b"IEND", b""),
    ]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("side_px", [10_000, 40_000])
@pytest.mark.filterwarnings("ignore:Image size")
def test_a_file_that_would_unfold_to_gigabytes_is_refused_before_it_is_decoded(tmp_path, side_px):
    (tmp_path / "bomb.png").write_bytes(png_claiming(side_px))
    with pytest.raises(BadImage, match=r"bomb\.png: .*pixels"):
        measure_image(tmp_path / "bomb.png")


@pytest.mark.filterwarnings("ignore")
def test_every_file_of_the_broken_images_is_accepted_or_refused_with_its_name_and_a_reason(samples_dir):
    accepted, refused = [], {}
    for path in sorted((samples_dir / "broken_images").rglob("*.*")):
        if not path.is_file():
            continue
        try:
            metrics = measure_image(path)
        except BadImage as error:
            refused[path.name] = str(error)
            continue
        accepted.append(path.name)
        assert read_image(path).shape == (metrics.height_px, metrics.width_px, 3), "training reads what quality accepted"
    assert len(accepted) + len(refused) >= 130
    assert all(reason.startswith(f"{name}: ") and len(reason) > len(name) + 10 for name, reason in refused.items())
    assert {"truncated_jpeg.jpg", "broken_data_stream.png", "decompression_bomb.gif", "badwidth.bmp"} <= set(refused)
    assert {"hopper.webp", "Portrait_1.jpg", "pil_sample_cmyk.jpg"} <= set(accepted)


def test_a_second_measuring_decodes_nothing_and_a_new_image_is_the_only_one_decoded(tmp_path):
    pairs = [(f"s{number}", write_jpeg(tmp_path / f"s{number}.jpg", number)) for number in range(5)]
    cache = MetricsCache(tmp_path / "metrics")
    first = measure_many(pairs, threads=2, cache=cache)
    again = measure_many(pairs, threads=2, cache=cache)
    more = measure_many([*pairs, ("new", write_jpeg(tmp_path / "new.jpg", 99))], threads=2, cache=cache)
    assert (first.n_measured, again.n_measured, more.n_measured) == (5, 0, 1)
    assert again.metrics == first.metrics


def test_a_damaged_cache_file_is_measured_anew_and_no_half_file_stays_behind(tmp_path):
    path = write_jpeg(tmp_path / "cat.jpg")
    cache = MetricsCache(tmp_path / "metrics")
    found = measure_many([("cat", path)], 1, cache).metrics["cat"]
    cache.path_of(found.sha256).write_text("{")
    again = measure_many([("cat", path)], 1, cache)
    assert (again.n_measured, again.metrics["cat"]) == (1, found)
    assert [file.suffix for file in (tmp_path / "metrics").rglob("*.*")] == [".json"]


def test_a_changed_file_under_the_same_name_is_measured_again(tmp_path):
    cache = MetricsCache(tmp_path / "metrics")
    dark = measure_many([("cat", write_jpeg(tmp_path / "cat.jpg", 1, high=70))], 1, cache)
    light = measure_many([("cat", write_jpeg(tmp_path / "cat.jpg", 1, low=190, high=200))], 1, cache)
    assert light.metrics["cat"].brightness > dark.metrics["cat"].brightness + 100


def test_a_missing_file_is_a_reason_and_not_a_crash(tmp_path):
    assert "cannot be read" in measure_many([("cat", tmp_path / "cat.jpg")], 1).broken["cat"]


def test_metrics_do_not_depend_on_whether_a_grey_jpeg_was_stored_as_colour(tmp_path):
    grey_HWC = np.repeat(np.random.default_rng(3).integers(0, 255, (40, 40, 1), dtype=np.uint8), 3, axis=2)
    (tmp_path / "colour.jpg").write_bytes(simplejpeg.encode_jpeg(grey_HWC, quality=95))
    (tmp_path / "grey.jpg").write_bytes(simplejpeg.encode_jpeg(grey_HWC[:, :, :1].copy(), quality=95, colorspace="GRAY"))
    colour, grey = measure_image(tmp_path / "colour.jpg"), measure_image(tmp_path / "grey.jpg")
    assert abs(colour.brightness - grey.brightness) < 1
