"""Measuring image files."""

import io
import struct
import zlib
from itertools import combinations

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from lakegate.errors import BadImage
from lakegate.imaging import decode_image, read_image
from lakegate.quality.images import measure_bytes, measure_image, measure_many
from lakegate.quality.metrics_cache import MetricsCache
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
        with Image.open(path) as image:
            image.load()
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


def test_a_jpeg_that_was_damaged_anywhere_is_never_accepted_where_training_or_pillow_would_refuse_it(samples_dir):
    whole = (samples_dir / "bccd" / "images" / "BloodImage_00000.jpg").read_bytes()
    random = np.random.default_rng(4)
    refused = 0
    for _ in range(150):
        data = bytearray(whole)
        place = int(random.integers(2, len(data)))
        if random.random() < 0.5:
            data[place] = int(random.integers(256))
        else:
            data[place : place + 300] = random.bytes(int(random.integers(0, 300)))
        try:
            metrics = measure_bytes(bytes(data))
        except BadImage:
            refused += 1
            continue
        assert decode_image(bytes(data)).shape == (metrics.height_px, metrics.width_px, 3)
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    assert refused > 75


def test_the_metrics_of_a_jpeg_decoded_at_half_size_are_those_of_its_pixels(samples_dir):
    path = samples_dir / "bccd" / "images" / "BloodImage_00000.jpg"
    found, grey_HW = measure_image(path), cv2.cvtColor(read_image(path), cv2.COLOR_RGB2GRAY)
    assert abs(found.brightness - grey_HW.mean()) < 0.5
    assert abs(found.contrast - grey_HW.std()) < 1.0
    assert (found.width_px, found.height_px) == (640, 480)


@pytest.mark.parametrize("size_px", [(1, 1), (1, 9), (3, 2), (17, 5)])
def test_a_picture_of_a_few_pixels_is_measured_too(tmp_path, size_px):
    write_jpeg(tmp_path / "tiny.jpg", size_px=size_px)
    cv2.imwrite(str(tmp_path / "tiny.png"), read_image(tmp_path / "tiny.jpg"))
    for name in ("tiny.jpg", "tiny.png"):
        found = measure_image(tmp_path / name)
        assert (found.width_px, found.height_px, len(found.phash)) == (*size_px, 16)


def bits_between(one, other):
    return (int(one, 16) ^ int(other, 16)).bit_count()


def test_the_perceptual_hash_hardly_changes_with_quality_size_and_brightness_and_much_between_pictures(samples_dir):
    paths = sorted((samples_dir / "hardhat" / "images").glob("*.jpg"))[:12]
    hashes = [measure_image(path).phash for path in paths]
    differ = []
    for path, phash in zip(paths, hashes, strict=True):
        picture_HWC = read_image(path)
        smaller = cv2.resize(picture_HWC, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
        lighter = np.clip(picture_HWC.astype(np.int16) + 12, 0, 255).astype(np.uint8)
        for changed, quality in ((picture_HWC, 60), (smaller, 90), (lighter, 90)):
            again = measure_bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(changed), quality=quality)).phash
            differ.append(bits_between(phash, again))
    assert sum(bits <= 4 for bits in differ) >= 0.9 * len(differ) and max(differ) <= 10
    assert min(bits_between(one, other) for one, other in combinations(hashes, 2)) > 8


def test_a_file_whose_digest_is_known_and_measured_is_not_even_read(tmp_path):
    path, cache = write_jpeg(tmp_path / "cat.jpg"), MetricsCache(tmp_path / "metrics")
    first = measure_many([("cat", path)], 1, cache)
    path.unlink()
    again = measure_many([("cat", path)], 1, cache, {"cat": first.metrics["cat"].sha256})
    assert (again.metrics, again.broken, again.n_measured) == (first.metrics, {}, 0)
    other = measure_many([("cat", path)], 1, cache, {"cat": "0" * 64})
    assert "cannot be read" in other.broken["cat"]
