"""Archives as exports: zip and tar. The whole listing is checked first; then the files are unpacked one by one.

Only files and folders below the target are ever made, with the permissions that new files have here.
"""

import lzma
import shutil
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NoReturn

from lakegate.errors import BadExport, UnsafeArchive
from lakegate.formats.export_files import leads_outside
from lakegate.formats.reading import printable
from lakegate.formats.tar_stream import open_tar

ZIP_SUFFIXES = (".zip",)
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
NOT_UNPACKED = (".rar", ".7z", ".tar.zst", ".tar.lz4", ".tar.z", ".cab", ".iso")
KINDS = {tarfile.SYMTYPE: "a symbolic link", tarfile.LNKTYPE: "a hard link", tarfile.FIFOTYPE: "a pipe"}
GIB = 1024**3
CHUNK_BYTES = 1024**2
# what zipfile, tarfile and the decompressors raise on damaged or unknown content
DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error,
    EOFError, OSError, RuntimeError, ValueError, OverflowError,
)  # fmt: skip


@dataclass(frozen=True)
class ArchiveLimits:
    """What is unpacked at most. ``ratio`` (unpacked bytes per packed byte) counts from ``ratio_from_bytes`` on."""

    files: int = 2_000_000
    total_bytes: int = 1024 * GIB
    ratio: float = 200
    ratio_from_bytes: int = 64 * 1024**2
    depth: int = 32
    name_bytes: int = 255  # of one folder or file
    spare_bytes: int = GIB  # that stay free on the disk


@dataclass(frozen=True)
class ArchiveEntry:
    """One file of the listing: its path in plain POSIX form, below the archive's root, and its promised size."""

    path: str
    size_bytes: int


@dataclass
class _Listing:
    """Checks entries one after another; raises at the first that must not be unpacked."""

    archive: Path
    limits: ArchiveLimits
    entries: dict[str, ArchiveEntry] = field(default_factory=dict)  # by the name that the archive gives
    total_bytes: int = 0
    _seen: dict[str, str] = field(default_factory=dict)  # the name by what a file system that ignores case makes of it
    _folders: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, size_bytes: int, packed_bytes: int | None) -> None:
        """Check one file."""
        path = self.check_name(name)
        key = _folded(path)
        if key in self._seen:
            first = self._seen[key]
            self.refuse(name, f"it stands twice ('{first}'): names that differ in case or accents only would overwrite")
        if key in self._folders:
            self.refuse(name, f"it is a file and a folder ('{self._folders[key]}')")
        self._seen[key] = path
        self._add_folders(name, path)
        self._check_size(name, size_bytes, packed_bytes)
        self.entries[name] = ArchiveEntry(path, size_bytes)

    def check_name(self, name: str) -> str:
        """Return the path that the name means; raises where it is none below the archive's root."""
        if any("\ud800" <= sign <= "\udfff" for sign in name):
            self.refuse(name, "its name is not UTF-8; pack the export again with UTF-8 names")
        if "\0" in name:
            self.refuse(name, "its name holds a NUL sign")
        if leads_outside(name):
            self.refuse(name, "it leads out of the archive (an absolute path, a drive or '..')")
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
        if len(parts) > self.limits.depth:
            self.refuse(name, f"it lies {len(parts)} folders deep, at most {self.limits.depth} are unpacked")
        if any(len(part.encode()) > self.limits.name_bytes for part in parts):
            self.refuse(name, f"a part of its name is longer than {self.limits.name_bytes} bytes")
        return "/".join(parts)

    def refuse(self, name: str, reason: str) -> NoReturn:
        """Raise ``UnsafeArchive`` naming the entry."""
        shown = printable(name)
        shown = shown if len(shown) <= 200 else f"{shown[:200]}…"
        raise UnsafeArchive(f"{self.archive.name}: '{shown}' was refused: {reason}. Nothing of the archive is kept")

    def _add_folders(self, name: str, path: str) -> None:
        folder = path.rpartition("/")[0]
        while folder:
            key = _folded(folder)
            if key in self._seen:
                self.refuse(name, f"'{self._seen[key]}' is a file and a folder")
            if key in self._folders:
                return
            self._folders[key] = folder
            folder = folder.rpartition("/")[0]

    def _check_size(self, name: str, size_bytes: int, packed_bytes: int | None) -> None:
        limits = self.limits
        self.total_bytes += size_bytes
        if len(self.entries) >= limits.files:
            self.refuse(name, f"the archive holds more than {limits.files} files")
        if self.total_bytes > limits.total_bytes:
            self.refuse(name, f"with it the archive unpacks to more than {limits.total_bytes} bytes")
        sizes = [(self.total_bytes, self.archive.stat().st_size, "with it the archive")]
        if packed_bytes is not None:
            sizes.append((size_bytes, packed_bytes, "it"))
        for unpacked, packed, who in sizes:
            if unpacked >= limits.ratio_from_bytes and unpacked > limits.ratio * max(packed, 1):
                words = f"{who} unpacks from {packed} to {unpacked} bytes, more than {limits.ratio:g} times as much: a zip bomb"
                self.refuse(name, f"{words}; if it is none, unpack it yourself and give the folder")


def is_archive_name(name: str) -> bool:
    """Tell from a name whether it is an archive that :func:`unpack` reads.

    >>> is_archive_name("export.tar.gz"), is_archive_name("labels.json")
    (True, False)
    """
    return name.lower().endswith((*ZIP_SUFFIXES, *TAR_SUFFIXES))


def is_archive(path: Path) -> bool:
    """Tell whether a file is an archive, by its name or else its first bytes.

    Raises:
        BadExport: it is an archive of a kind that is not unpacked.
    """
    if path.name.lower().endswith(NOT_UNPACKED):
        raise BadExport(f"{path.name} is an archive of a kind that is not unpacked; pack it as zip or tar, or give the folder")
    return is_archive_name(path.name) or zipfile.is_zipfile(path)


def list_archive(path: Path, limits: ArchiveLimits | None = None) -> list[ArchiveEntry]:
    """Return the files of an archive; the whole listing is checked, nothing is written.

    Raises:
        UnsafeArchive: an entry must not be unpacked; names it. BadExport: the file is not a whole archive.
    """
    return list(_checked(path, limits or ArchiveLimits()).entries.values())


def unpack(path: Path, folder: Path, limits: ArchiveLimits | None = None) -> list[ArchiveEntry]:
    """Unpack an archive into an empty folder, after the whole listing was checked; returns its files.

    The promised sizes are checked again against what comes out. What was written stays where it fails: the caller removes
    the folder.

    Raises:
        UnsafeArchive: an entry must not be unpacked, or is not what the listing promised; names it.
        BadExport: the file is not a whole archive, or the disk is too full for it.
    """
    limits = limits or ArchiveLimits()
    listing = _checked(path, limits)
    folder.mkdir(parents=True, exist_ok=True)
    free_bytes = shutil.disk_usage(folder).free
    if listing.total_bytes + limits.spare_bytes > free_bytes:
        raise BadExport(
            f"{path.name} unpacks to {listing.total_bytes / GIB:.1f} GiB, but {free_bytes / GIB:.1f} GiB are free in {folder} "
            f"and {limits.spare_bytes / GIB:.1f} GiB have to stay free; make room, or unpack it elsewhere and give the folder"
        )
    write = _unpack_zip if _is_zip(path) else _unpack_tar
    with _damage_named(path):
        write(listing, lambda name, stream: _write(listing, name, stream, folder))
    return list(listing.entries.values())


def _checked(path: Path, limits: ArchiveLimits) -> _Listing:
    listing = _Listing(path, limits)
    with _damage_named(path):
        (_list_zip if _is_zip(path) else _list_tar)(listing)
    if not listing.entries:
        raise BadExport(f"{path.name} holds no file; expected an annotation export or images")
    return listing


def _is_zip(path: Path) -> bool:
    return not path.name.lower().endswith(TAR_SUFFIXES)


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Say which archive is damaged; a name that zipfile cannot decode is refused by name."""
    try:
        yield
    except DAMAGED as error:
        if isinstance(error, UnicodeDecodeError):
            name = bytes(error.object).decode(errors="surrogateescape")
            _Listing(path, ArchiveLimits()).refuse(name, "its name is not UTF-8")
        if isinstance(error, OSError) and error.errno:
            raise BadExport(f"{path.name} could not be unpacked: {error}") from error
        raise BadExport(f"{path.name} is not a whole zip or tar archive ({error}); pack or download it again") from error


def _list_zip(listing: _Listing) -> None:
    with zipfile.ZipFile(listing.archive) as archive:
        for info in archive.infolist():
            name = _zip_name(info)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind == stat.S_IFLNK:
                listing.refuse(name, "it is a symbolic link")
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                listing.refuse(name, "it is a device, a pipe or a socket")
            if info.flag_bits & 0x1:
                listing.refuse(name, "it is encrypted; pack the export without a password")
            if name.endswith(("/", "\\")):
                listing.check_name(name)
            else:
                listing.add(name, info.file_size, info.compress_size)


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Return the name as its bytes in UTF-8, whether the entry says that it is UTF-8 or not; other bytes as surrogates."""
    if info.flag_bits & 0x800:
        return info.orig_filename
    return info.orig_filename.encode("cp437").decode(errors="surrogateescape")


def _unpack_zip(listing: _Listing, write: Callable[[str, IO[bytes]], None]) -> None:
    with zipfile.ZipFile(listing.archive) as archive:
        for info in archive.infolist():
            name = _zip_name(info)
            if name in listing.entries:
                try:
                    with archive.open(info) as stream:
                        write(name, stream)
                except (zipfile.BadZipFile, RuntimeError, zlib.error) as error:
                    listing.refuse(name, f"it is not what the listing promises ({error})")


def _list_tar(listing: _Listing) -> None:
    with open_tar(listing.archive) as (archive, stream):
        for member in archive:
            name = member.name
            if not member.isdir() and (not member.isreg() or member.issparse()):
                listing.refuse(name, f"it is {KINDS.get(member.type, 'a device or another special file')}")
            if member.isdir():
                listing.check_name(name)
            else:
                listing.add(name, member.size, None)
            archive.members.clear()  # tarfile keeps them all otherwise
    if stream.last != bytes(tarfile.BLOCKSIZE):  # tarfile takes any damage behind the first file for the end
        raise tarfile.ReadError(f"it ends without its end mark after {len(listing.entries)} files")


def _unpack_tar(listing: _Listing, write: Callable[[str, IO[bytes]], None]) -> None:
    with open_tar(listing.archive) as (archive, _):
        for member in archive:
            content = archive.extractfile(member) if member.isreg() else None
            if content is not None:
                write(member.name, content)
            archive.members.clear()


def _write(listing: _Listing, name: str, stream: IO[bytes], folder: Path) -> None:
    entry = listing.entries.get(name)
    if entry is None:
        listing.refuse(name, "it was not in the listing a moment ago")
    target = folder / entry.path
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with target.open("xb") as file:
        while chunk := stream.read(CHUNK_BYTES):
            written += len(chunk)
            if written > entry.size_bytes:
                break
            file.write(chunk)
    if written != entry.size_bytes:
        listing.refuse(name, f"the listing promises {entry.size_bytes} bytes, {'more' if written else 'none'} came")
