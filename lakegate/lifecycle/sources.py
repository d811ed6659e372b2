"""Where an export or frames come from: a folder, a file, an archive, ``s3://bucket/prefix`` or ``lakefs://repository/ref/path``."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lakegate.canonical import exact_json, sha256_bytes
from lakegate.errors import BadInput, LakegateError
from lakegate.formats.archives import is_archive, is_archive_name, unpack
from lakegate.formats.export_files import IMAGE_FOLDERS, LABEL_FOLDERS, SPLIT_WORDS, leads_outside
from lakegate.lake.client import LakeClient
from lakegate.lake.local import fetch_objects
from lakegate.lake.objects import ObjectEntry
from lakegate.lifecycle.process_folder import ProcessFolder
from lakegate.settings import Settings
from lakegate.shared_store import S3, S3Store, fetch_prefix, s3_client, split_address

LAKEFS = "lakefs://"
NAMED_ARCHIVES = 5


@dataclass(frozen=True)
class OpenedSource:
    """A source on this machine: a folder, or one label file. ``close`` removes what was made for it."""

    address: str
    path: Path
    notes: tuple[str, ...] = ()
    made: tuple[ProcessFolder, ...] = ()

    def close(self) -> None:
        """Remove the unpacked or fetched copy, where there is one; the process's end does it otherwise."""
        for folder in self.made:
            folder.close()


def is_remote(address: str) -> bool:
    """Tell whether an address is not a path of this machine."""
    return address.startswith((S3, LAKEFS))


def check_address(address: str, what: str) -> None:
    """Check an address without asking a server; ``what`` names it in errors.

    Raises:
        BadInput: it has no valid shape, or is a path that does not exist here.
    """
    if address.startswith(S3):
        split_address(address)
    elif address.startswith(LAKEFS):
        split_lakefs(address)
    elif "://" in address:
        raise BadInput(f"{what} '{address}': expected a path, s3://bucket/prefix or lakefs://repository/ref/path")
    elif not address or not Path(address).exists():
        raise BadInput(
            f"{what} '{address}' does not exist where this flow runs; give the export's absolute path (a folder or an "
            "archive), s3:// or lakefs://"
        )


def split_lakefs(address: str) -> tuple[str, str, str]:
    """Split ``lakefs://repository/ref/path``; the path may be empty and has no slash at its ends.

    >>> split_lakefs("lakefs://blood-cells/main/images/")
    ('blood-cells', 'main', 'images')
    """
    repository, _, rest = address.removeprefix(LAKEFS).partition("/")
    ref, _, path = rest.partition("/")
    if not address.startswith(LAKEFS) or not repository or not ref:
        raise BadInput(f"'{address}' is no lakeFS address; expected lakefs://repository/ref or lakefs://repository/ref/path")
    return repository, ref, path.strip("/")


def open_source(settings: Settings, address: str) -> OpenedSource:
    """Bring a source onto this machine: fetch what lies elsewhere, unpack an archive into a folder of this process.

    Raises:
        BadInput: nothing lies there. BadExport: an archive is unsafe or damaged; nothing of it is kept.
        VersionNotFound: there is no such lakeFS repository or reference.
    """
    if address.startswith(S3):
        return _unpacked(settings, OpenedSource(address, _from_s3(settings, address)))
    if address.startswith(LAKEFS):
        return _unpacked(settings, _from_lakefs(settings, address))
    check_address(address, "source")
    return _unpacked(settings, OpenedSource(address, Path(address)))


def _unpacked(settings: Settings, source: OpenedSource) -> OpenedSource:
    if source.path.is_dir() or not is_archive(source.path):
        return source
    folder = ProcessFolder(settings.home)
    try:
        entries = unpack(source.path, folder.path)
    except LakegateError:
        folder.close()
        raise
    notes = [f"unpacked {len(entries)} files of {source.path.name}"]
    inner = [entry.path for entry in entries if is_archive_name(entry.path)]
    if inner:
        more = " …" if len(inner) > NAMED_ARCHIVES else ""
        notes.append(f"{len(inner)} archives inside were not unpacked: {', '.join(inner[:NAMED_ARCHIVES])}{more}")
    return OpenedSource(source.address, _only_folder(folder.path), (*source.notes, *notes), (*source.made, folder))


def _only_folder(folder: Path) -> Path:
    """Go into the one folder that an archive was packed as, so that sample ids do not begin with its name."""
    inside = [item for item in folder.iterdir() if item.name != "__MACOSX" and not item.name.startswith(".")]
    is_wrapped = len(inside) == 1 and inside[0].is_dir() and not _says_something(inside[0].name)
    return inside[0] if is_wrapped else folder


def _says_something(name: str) -> bool:
    return name.lower() in {*IMAGE_FOLDERS, *LABEL_FOLDERS, *SPLIT_WORDS}


def _from_s3(settings: Settings, address: str) -> Path:
    """Fetch a single file where the address is one, else everything below it; once per state of what lies there."""
    bucket, key = split_address(address)
    parent, _, name = key.rpartition("/")
    store = S3Store(s3_client(settings), bucket, parent)
    state = dict(store.listing(name)).get(name) if name else None
    if state is None:
        return fetch_prefix(settings, address)
    digest = sha256_bytes(exact_json([address, settings.s3_endpoint_url, state]))
    path = settings.cache_dir / "sources" / digest[:16] / name
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not store.get(name, path):
            raise BadInput(f"{address} was removed while it was fetched; try again")
    return path


def _from_lakefs(settings: Settings, address: str) -> OpenedSource:
    """Fetch the file, or everything below the path, at the commit that the reference means now."""
    repository, ref, path = split_lakefs(address)
    client = LakeClient(settings)
    commit = client.head(repository, ref).id
    listed = client.list_objects(repository, commit, path)
    entries = [entry for entry in listed if not path or entry.path == path or entry.path.startswith(f"{path}/")]
    if not entries:
        raise BadInput(f"{address} holds no file at commit {commit[:12]}; expected an export, an archive or images below it")
    base = path.rpartition("/")[0] if entries[0].path == path else path
    folder = ProcessFolder(settings.home)
    try:
        _lay_out(client, settings, repository, commit, entries, folder.path, base)
    except LakegateError:
        folder.close()
        raise
    except OSError as error:  # lakeFS may hold an object 'a' and an object 'a/b', a folder cannot
        folder.close()
        raise BadInput(f"{address} could not be laid out as a folder: {error}; give the path of a part of it") from error
    opened = folder.path / entries[0].path.rpartition("/")[2] if entries[0].path == path else folder.path
    return OpenedSource(address, opened, (f"fetched {len(entries)} files of {repository}, commit {commit[:12]}",), (folder,))


def _lay_out(
    client: LakeClient,
    settings: Settings,
    repository: str,
    commit: str,
    entries: Sequence[ObjectEntry],
    folder: Path,
    base: str,
) -> None:
    """Put objects below ``folder`` under their names relative to ``base``, as links into the cache where that is possible."""
    for entry in entries:
        if leads_outside(entry.path):
            raise BadInput(f"{repository}@{commit[:12]}: '{entry.path}' would lead out of the folder; it was not fetched")
    for name, cached in fetch_objects(client, settings, repository, commit, entries).items():
        target = folder / name.removeprefix(base).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(cached, target)
        except OSError:  # the cache lies on another file system
            shutil.copyfile(cached, target)
