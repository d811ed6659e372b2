"""The stream over CVAT's XML: its memory does not grow with the file, and no file makes it fail in an unknown way."""

import random
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakegate.errors import BadExport
from lakegate.formats.cvat import read_cvat
from lakegate.formats.cvat_xml import CvatImage, CvatMeta, CvatTrack, iterate_cvat
from lakegate.formats.export_files import open_export

from .cvat_files import box, cvat_xml, element, image, labels, shape, task, video_task, write_cvat

MASK = element("mask", label="car", rle="1, 3, 2", left=4, top=6, width=3, height=2)
SKELETON = element("skeleton", shape("points", "head", "1,2", outside=0, occluded=0), label="person")
WHOLE = cvat_xml(
    video_task(3, labelled=labels(["car", "person"], joints=["head"])),
    image(0, "a.png", box("car", (1, 2, 3, 4)) + shape("polygon", "car", "1,1;5,5;1,5") + MASK + SKELETON),
    element("track", box("", (1, 1, 5, 5), frame=0, keyframe=1, outside=0, occluded=0), id=0, label="car"),
)


def write_images(path: Path, n_images: int) -> Path:
    inner = "".join(box("car", (k, k, k + 9.25, k + 9.5), occluded=0, z_order=0, source="manual") for k in range(10))
    with path.open("w") as file:
        file.write(f"<annotations><meta>{task(labelled=labels(['car']))}</meta>")
        for number in range(n_images):
            file.write(image(number, f"{number:06d}.jpg", inner))
        file.write("</annotations>")
    return path


def write_tracks(path: Path, n_tracks: int) -> Path:
    inner = "".join(box("", (k, k, k + 9, k + 9), frame=k, keyframe=1, outside=0, occluded=0) for k in range(10))
    with path.open("w") as file:
        file.write(f"<annotations><meta>{video_task(10)}</meta>")
        for number in range(n_tracks):
            file.write(element("track", inner, id=number, label="car"))
        file.write("</annotations>")
    return path


def peak_bytes(path: Path) -> tuple[int, int]:
    """Number of parts, and the most memory that Python held while they went by."""
    tracemalloc.start()
    try:
        n_parts = sum(1 for _ in iterate_cvat(path))
        return n_parts, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("write", [write_images, write_tracks])
def test_ten_times_the_images_or_tracks_need_no_more_memory(tmp_path, write):
    n_small, small = peak_bytes(write(tmp_path / "small.xml", 300))
    n_large, large = peak_bytes(write(tmp_path / "large.xml", 3000))
    assert (n_small, n_large) == (301, 3001)
    assert large < 1.5 * small


def test_the_parts_come_in_the_order_of_the_file(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text(WHOLE)
    meta, picture, track = iterate_cvat(path)
    assert isinstance(meta, CvatMeta)
    assert isinstance(picture, CvatImage)
    assert isinstance(track, CvatTrack)
    assert (meta.labels, meta.joint_names) == (("car", "person"), {"person": ("head",)})
    assert [one.kind for one in picture.shapes] == ["box", "polygon", "mask", "skeleton"]
    assert (track.id, track.label, [one.frame for one in track.shapes]) == ("0", "car", [0])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (WHOLE[:-40], "not well-formed XML"),
        ("", "not well-formed XML"),
        ("<annotations><image", "not well-formed XML"),
        ("<annotation></annotation>", "begins with <annotation>"),
        ('<!DOCTYPE annotations [<!ENTITY a "b">]><annotations>&a;</annotations>', "declares a document type"),
        ('<!DOCTYPE annotations SYSTEM "http://127.0.0.1:9/x.dtd"><annotations/>', "declares a document type"),
        ('<?xml version="1.0" encoding="no-such"?><annotations/>', "not well-formed XML"),
        (cvat_xml("", element("track", box("car", (1, 1, 2, 2), frame="x"), id=0)), "the frame of a box 'car' is 'x'"),
    ],
)
def test_a_torn_or_evil_file_is_refused_with_the_reason(tmp_path, content, words):
    path = tmp_path / "annotations.xml"
    path.write_text(content)
    with pytest.raises(BadExport, match=words):
        list(iterate_cvat(path))


def test_a_thousand_million_laughs_are_not_laughed(tmp_path):
    bomb = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    (tmp_path / "a.xml").write_text(f'<!DOCTYPE annotations [<!ENTITY l0 "lol">{bomb}]><annotations>&l9;</annotations>')
    with pytest.raises(BadExport, match="declares a document type"):
        list(iterate_cvat(tmp_path / "a.xml"))


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), cut=st.integers(0, len(WHOLE)), junk=st.binary(max_size=8))
def test_a_damaged_file_gives_records_problems_or_a_refusal_never_another_error(tmp_path_factory, seed, cut, junk):
    """Bytes are cut out, put in and exchanged at places drawn from the seed."""
    folder = tmp_path_factory.mktemp("cvat")
    write_cvat(folder, WHOLE, ["a.png", "frame_000000.png"])
    content = bytearray((folder / "annotations.xml").read_bytes())
    draw = random.Random(seed)
    content[cut : cut + draw.randrange(4)] = junk
    for _ in range(draw.randrange(6)):
        content[draw.randrange(len(content))] = draw.choice(b"0123456789-.,;\"'<>/ae \x00\xff")
    (folder / "annotations.xml").write_bytes(bytes(content))
    try:
        reading = read_cvat(open_export(folder, None))
    except BadExport as error:
        assert "annotations.xml" in str(error) or "no CVAT file" in str(error)
    else:
        assert len(reading.records) + len(reading.problems) <= 8
