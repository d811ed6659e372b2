"""Archives: good ones come out as they went in, evil ones are refused by name before anything is written."""

import io
import os
import stat
import struct
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakegate.errors import BadExport, UnsafeArchive
from lakegate.formats.archives import ArchiveLimits, is_archive, list_archive, unpack

FILES = {"images/a.jpg": b"picture", "annotations/ä b.json": b"{}" * 4000, "data.yaml": b""}
TAR_MODES = {"tar": "w", "tar.gz": "w:gz", "tgz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}
MIB = 1024**2


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def write_tar(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            archive.addfile(tar_member(name, len(data)), io.BytesIO(data))
    return path


def tar_member(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname = size, kind, target
    return member


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refuse(path: Path, folder: Path, words: str, limits: ArchiveLimits | None = None) -> None:
    """Both looking and unpacking refuse it, and nothing is written."""
    with pytest.raises(UnsafeArchive, match=words):
        list_archive(path, limits)
    with pytest.raises(UnsafeArchive, match=words):
        unpack(path, folder / "out", limits)
    assert not (folder / "out").exists()


@pytest.mark.parametrize("suffix", ["zip", *TAR_MODES])
def test_an_archive_comes_out_as_it_went_in(tmp_path, suffix):
    path = tmp_path / f"export.{suffix}"
    write_zip(path, FILES) if suffix == "zip" else write_tar(path, FILES, TAR_MODES[suffix])
    assert is_archive(path)
    assert {entry.path: entry.size_bytes for entry in list_archive(path)} == {name: len(data) for name, data in FILES.items()}
    unpack(path, tmp_path / "out")
    assert contents(tmp_path / "out") == FILES
    assert not any(stat.S_IMODE(item.stat().st_mode) & 0o111 for item in (tmp_path / "out").rglob("*") if item.is_file())


@pytest.mark.parametrize("write", [write_zip, write_tar])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../evil.jpg", r"'\.\./evil\.jpg' was refused: it leads out"),
        ("images/../../evil.jpg", "leads out"),
        ("..\\evil.jpg", "leads out"),
        ("/etc/evil.jpg", "'/etc/evil.jpg' was refused: it leads out"),
        ("C:\\evil.jpg", "leads out"),
        ("\\\\server\\share\\evil.jpg", "leads out"),
        ("/".join("d" * 40) + "/evil.jpg", "41 folders deep"),
        ("x" * 300, "longer than 255 bytes"),
    ],
)
def test_a_name_that_leads_out_or_too_deep_is_refused_by_name(tmp_path, write, name, words):
    path = write(tmp_path / f"evil.{'zip' if write is write_zip else 'tar'}", {"good.jpg": b"x", name: b"y"})
    refuse(path, tmp_path, words)


@pytest.mark.parametrize("write", [write_zip, write_tar])
@pytest.mark.parametrize("twice", [("a.jpg", "A.jpg"), ("Ä/1.jpg", "ä/1.JPG"), ("é.jpg", "e\u0301.jpg"), ("x.jpg", "./x.jpg")])
def test_names_that_differ_in_case_or_accents_only_are_refused(tmp_path, write, twice):
    path = write(tmp_path / f"evil.{'zip' if write is write_zip else 'tar'}", dict.fromkeys(twice, b"x"))
    refuse(path, tmp_path, "stands twice")


def test_a_file_that_is_also_a_folder_is_refused(tmp_path):
    refuse(write_zip(tmp_path / "one.zip", {"a": b"x", "a/b.jpg": b"y"}), tmp_path, "file and a folder")
    refuse(write_zip(tmp_path / "two.zip", {"a/b/c.jpg": b"y", "A/B": b"x"}), tmp_path, "file and a folder")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (tarfile.SYMTYPE, "'images' was refused: it is a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.CHRTYPE, "device"),
        (tarfile.BLKTYPE, "device"),
        (tarfile.FIFOTYPE, "a pipe"),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind, words):
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        archive.addfile(tar_member("images", kind=kind, target="/etc"))
        archive.addfile(tar_member("images/passwd", 1), io.BytesIO(b"x"))
    refuse(tmp_path / "evil.tar", tmp_path, words)


@pytest.mark.parametrize(("kind", "words"), [(stat.S_IFLNK, "symbolic link"), (stat.S_IFCHR, "device"), (stat.S_IFIFO, "pipe")])
def test_links_and_devices_in_a_zip_are_refused(tmp_path, kind, words):
    info = zipfile.ZipInfo("images")
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr(info, "/etc")
    refuse(tmp_path / "evil.zip", tmp_path, words)


def test_a_name_that_is_not_utf8_is_refused_and_one_that_only_does_not_say_so_is_read(tmp_path):
    write_zip(tmp_path / "latin.zip", {"b\x00\x00.jpg".replace("\x00", "q"): b"x"})
    data = (tmp_path / "latin.zip").read_bytes()
    (tmp_path / "latin.zip").write_bytes(data.replace(b"bqq.jpg", b"b\xe4\xff.jpg"))
    refuse(tmp_path / "latin.zip", tmp_path, r"'b\\udce4\\udcff\.jpg' was refused: its name is not UTF-8")
    (tmp_path / "unsaid.zip").write_bytes(data.replace(b"bqq.jpg", "bä.jpg".encode()))  # as macOS packs
    unpack(tmp_path / "unsaid.zip", tmp_path / "plain")
    assert contents(tmp_path / "plain") == {"bä.jpg": b"x"}
    flagged = write_zip(tmp_path / "flagged.zip", {"bä.jpg": b"x"}).read_bytes()
    (tmp_path / "flagged.zip").write_bytes(flagged.replace("bä.jpg".encode(), b"b\xe4\xff.jpg"))
    refuse(tmp_path / "flagged.zip", tmp_path, "not UTF-8")
    with tarfile.open(tmp_path / "latin.tar", "w", encoding="latin-1", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(tar_member("bä.jpg", 1), io.BytesIO(b"x"))
    refuse(tmp_path / "latin.tar", tmp_path, "not UTF-8")


def test_an_encrypted_entry_is_refused(tmp_path):
    write_zip(tmp_path / "secret.zip", {"a.jpg": b"x"})
    data = bytearray((tmp_path / "secret.zip").read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    (tmp_path / "secret.zip").write_bytes(data)
    refuse(tmp_path / "secret.zip", tmp_path, "'a.jpg' was refused: it is encrypted")


@pytest.mark.parametrize("suffix", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, suffix):
    path, files = tmp_path / f"bomb.{suffix}", {"good.jpg": b"x", "bomb.png": bytes(80 * MIB)}
    write_zip(path, files) if suffix == "zip" else write_tar(path, files, TAR_MODES[suffix])
    refuse(path, tmp_path, r"'bomb\.png' was refused: .*a zip bomb")


def test_many_small_files_are_a_bomb_too_and_the_limits_are_kept(tmp_path):
    path = write_zip(tmp_path / "many.zip", {f"{number}.png": bytes(MIB) for number in range(20)})
    refuse(path, tmp_path, r"'10\.png' was refused: with it the archive unpacks", ArchiveLimits(ratio_from_bytes=11 * MIB))
    refuse(path, tmp_path, "more than 5 files", ArchiveLimits(files=5))
    refuse(path, tmp_path, "more than 3145728 bytes", ArchiveLimits(total_bytes=3 * MIB))
    with pytest.raises(BadExport, match="have to stay free"):
        unpack(path, tmp_path / "out", ArchiveLimits(spare_bytes=2**60))


def test_a_header_that_lies_about_the_size_is_noticed_while_unpacking(tmp_path):
    write_zip(tmp_path / "lies.zip", {"a.png": bytes(5 * MIB)})
    data = bytearray((tmp_path / "lies.zip").read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", data, data.index(signature) + offset, 10)
    (tmp_path / "lies.zip").write_bytes(data)
    assert list_archive(tmp_path / "lies.zip")[0].size_bytes == 10
    with pytest.raises(UnsafeArchive, match=r"'a\.png' was refused: it is not what the listing promises"):
        unpack(tmp_path / "lies.zip", tmp_path / "out")
    assert sum(map(len, contents(tmp_path / "out").values())) <= 10


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tar.xz"])
def test_a_damaged_or_cut_archive_is_no_export(tmp_path, suffix):
    path, files = tmp_path / f"cut.{suffix}", {f"{number}.jpg": os.urandom(3000) for number in range(9)}
    write_zip(path, files) if suffix == "zip" else write_tar(path, files, TAR_MODES[suffix])
    whole = path.read_bytes()
    for cut in (0, 100, len(whole) // 2, len(whole) - 12_000):
        path.write_bytes(whole[:cut])
        with pytest.raises(BadExport, match=r"not a whole zip or tar|holds no file"):
            list_archive(path)


def test_a_tar_with_a_spoilt_header_in_the_middle_does_not_end_there_in_silence(tmp_path):
    path = write_tar(tmp_path / "spoilt.tar", {"a.jpg": b"x", "b.jpg": b"y", "c.jpg": b"z"})
    data = bytearray(path.read_bytes())
    data[1024:1030] = b"\xff" * 6
    path.write_bytes(data)
    with pytest.raises(BadExport, match="without its end mark after 1 files"):
        list_archive(path)


def test_a_header_that_would_fill_the_memory_is_not_read(tmp_path):
    with tarfile.open(tmp_path / "pax.tar.gz", "w:gz") as archive:
        archive.addfile(tar_member("headers", 40 * MIB, kind=tarfile.XHDTYPE), io.BytesIO(bytes(40 * MIB)))
    with pytest.raises(BadExport, match="a header of"):
        list_archive(tmp_path / "pax.tar.gz")


def test_an_archive_of_another_kind_is_named(tmp_path):
    (tmp_path / "export.7z").write_bytes(b"7z")
    with pytest.raises(BadExport, match="pack it as zip or tar"):
        is_archive(tmp_path / "export.7z")
    (tmp_path / "labels.json").write_text("{}")
    assert not is_archive(tmp_path / "labels.json")


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_no_spoilt_byte_makes_an_archive_write_outside_or_crash(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("fuzz")
    kind = data.draw(st.sampled_from(["zip", "tar", "tar.gz"]))
    path = folder / f"fuzz.{kind}"
    write_zip(path, FILES) if kind == "zip" else write_tar(path, FILES, TAR_MODES[kind])
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with suppress(BadExport):
        unpack(path, folder / "out")
    assert {item.name for item in folder.iterdir()} <= {path.name, "out"}
