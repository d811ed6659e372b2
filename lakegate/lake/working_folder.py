"""A version as files: a folder of a person's own, brought from version to version by the diff, and read-only snapshots."""

import errno
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lakegate.canonical import sha256_file
from lakegate.errors import BadInput
from lakegate.lake.attestation import require_attestation
from lakegate.lake.bulk import many_rows
from lakegate.lake.cache import ASIDE, ObjectCache
from lakegate.lake.client import LakeClient
from lakegate.lake.local import cache_of, fetch_objects, lease, version_objects
from lakegate.lake.local_version import DatasetVersion
from lakegate.lake.objects import ObjectEntry, Progress
from lakegate.lake.stat_index import FileState
from lakegate.settings import Settings

RECORD = ".lakegate-version.json"
INCOMING = ".lakegate-incoming.json"
ABSENT = ""
NAMED = 10  # edited files that an error names


@dataclass(frozen=True)
class GetSummary:
    """Numbers of files: of the version, and those that were written and removed to get there."""

    files: int
    written: int
    removed: int


@dataclass(frozen=True)
class FolderRecord:
    """What Lakegate put into a folder: by path the SHA-256 and the file's state.

    ``incoming`` was on its way when this was written: SHA-256 by path, ``ABSENT`` for what was to be removed.
    """

    dataset: str
    reference: str
    files: Mapping[str, tuple[str, FileState]]
    incoming: Mapping[str, str]


@many_rows()
def get_version(
    client: LakeClient, settings: Settings, version: DatasetVersion, folder: Path, progress: Progress | None = None
) -> GetSummary:
    """Make ``folder`` hold an attested version as it lies in lakeFS; one that holds another version gets the diff only.

    The files are copies: editing them does not reach the cache. Files that are not of a version stay. Killed in between, the
    same call ends the work.

    Raises:
        BadInput: the folder holds something else, or files of it were edited (nothing is changed then), or a path would lead
            out of it. Unattested, ChecksumMismatch: as :func:`lakegate.lake.local.open_version`.
    """
    require_attestation(client, settings, version.dataset, version.commit)
    entries = {entry.path: entry for entry in version_objects(client, version)}
    record = _read_record(folder, version)
    kept = _check_unedited(folder, record, entries)
    missing = [entry for path, entry in entries.items() if path not in kept or kept[path][0] != entry.sha256]
    gone = [path for path in record.files.keys() | record.incoming.keys() if path not in entries]
    fetched = fetch_objects(client, settings, version.dataset, version.commit, missing, progress)
    incoming = {entry.path: str(entry.sha256) for entry in missing}
    moving = {**record.incoming, **incoming, **dict.fromkeys(gone, ABSENT)}
    folder.mkdir(parents=True, exist_ok=True)
    if not record.reference:
        _write_record(folder, version.dataset, "", {})
    if moving:
        _write(folder / INCOMING, {"from": record.reference, "incoming": moving})
    client.in_parallel(lambda item: _place(item[1], folder / item[0]), fetched.items())
    for path in gone:
        (folder / path).unlink(missing_ok=True)
    files = {path: kept[path] for path in entries if path not in incoming}
    files |= {path: (sha256, FileState.of(folder / path)) for path, sha256 in incoming.items()}
    _write_record(folder, version.dataset, version.reference, files)
    (folder / INCOMING).unlink(missing_ok=True)
    return GetSummary(len(entries), len(missing), len(gone))


@many_rows()
def snapshot_version(
    client: LakeClient, settings: Settings, version: DatasetVersion, progress: Progress | None = None
) -> tuple[Path, str]:
    """Return a read-only folder with an attested version as it lies in lakeFS, made of hard links into the cache.

    One per commit, disposable, kept for the life of this process. The second value says in a sentence where links were not
    possible and the files were copied; else it is empty.

    Raises:
        BadInput, Unattested, ChecksumMismatch: as :func:`get_version`.
    """
    require_attestation(client, settings, version.dataset, version.commit)
    entries = version_objects(client, version)
    cache = cache_of(settings)
    lease(settings, version, entries)
    paths = fetch_objects(client, settings, version.dataset, version.commit, entries, progress)
    folder = settings.cache_dir / "snapshots" / version.dataset / version.commit
    with cache.locked(f"snapshot-{version.dataset}-{version.commit}"):
        if _is_linked(folder, paths):
            return folder, ""
        _remove_aside(folder)
        return folder, _link_all(cache, folder, paths, [str(entry.sha256) for entry in entries])


def _link_all(cache: ObjectCache, folder: Path, paths: Mapping[str, Path], sha256s: Iterable[str]) -> str:
    aside = folder.with_name(f"{ASIDE}{folder.name}")
    shutil.rmtree(aside, ignore_errors=True)
    sentence = ""
    for parent in {aside / Path(path).parent for path in paths}:
        parent.mkdir(parents=True, exist_ok=True)
    with cache.relinking(sha256s):
        for path, local in paths.items():
            try:
                (aside / path).hardlink_to(local)
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM):
                    raise
                shutil.copy2(local, aside / path)
                sentence = f"files were copied, because {aside.parent} takes no hard links of the cache ({error.strerror})"
    aside.rename(folder)
    return sentence


def _is_linked(folder: Path, paths: Mapping[str, Path]) -> bool:
    """Tell whether the snapshot is made of these files: a damaged one was fetched again and is another inode."""
    try:
        return all((folder / path).stat().st_ino == local.stat().st_ino for path, local in paths.items())
    except OSError:
        return False


def _remove_aside(folder: Path) -> None:
    if folder.exists():
        aside = folder.with_name(f"{ASIDE}old-{folder.name}")
        folder.rename(aside)
        shutil.rmtree(aside)


def _place(local: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f"{ASIDE}{target.name}")
    shutil.copyfile(local, aside)
    aside.replace(target)


def _check_unedited(
    folder: Path, record: FolderRecord, entries: Mapping[str, ObjectEntry]
) -> dict[str, tuple[str, FileState]]:
    """Return what lies in the folder as recorded, with its state now; raises ``BadInput`` naming what a person edited."""
    kept, edited = {}, []
    root = f"{folder}{os.sep}"
    for path, recorded in record.files.items():
        sha256, state = recorded
        now = _state(f"{root}{path}")
        if now == state:
            kept[path] = recorded
            continue
        found = sha256_file(folder / path) if now else ABSENT
        if found not in (sha256, record.incoming.get(path)):
            edited.append(path)
        elif now:
            kept[path] = found, now
    for path in entries.keys() - record.files.keys():
        now = _state(folder / path)
        if now:
            found = sha256_file(folder / path)
            if found not in (entries[path].sha256, record.incoming.get(path)):
                edited.append(path)
            else:
                kept[path] = found, now
    if edited:
        names = ", ".join(sorted(edited)[:NAMED]) + (" …" if len(edited) > NAMED else "")
        raise BadInput(
            f"{len(edited)} files of {folder} were edited or removed since {record.reference or 'it was made'}: {names}; "
            "nothing was changed. Publish the edits, or take another folder"
        )
    return kept


def _state(path: str | Path) -> FileState | None:
    try:
        return FileState.of(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _read_record(folder: Path, version: DatasetVersion) -> FolderRecord:
    empty = FolderRecord(version.dataset, "", {}, {})
    if not folder.exists() or all(item.name.startswith(ASIDE) for item in folder.iterdir()):
        return empty
    try:
        content = json.loads((folder / RECORD).read_bytes())
        paths, sha256s, *states = content["files"] or ((), ())
        rows = zip(sha256s, map(FileState, *states), strict=True) if states else ()
        files = dict(zip(paths, rows, strict=True))
        record = FolderRecord(content["dataset"], content["reference"], files, _read_incoming(folder, content["reference"]))
    except FileNotFoundError as error:
        words = f"{folder} is not empty, and no version lies in it; give a new folder for {version.reference}"
        raise BadInput(words) from error
    except (ValueError, TypeError, KeyError) as error:
        raise BadInput(f"{folder / RECORD} cannot be read ({error}); give a new folder for {version.reference}") from error
    if record.dataset != version.dataset:
        raise BadInput(f"{folder} is not empty: it holds {record.reference}; give a new folder for {version.reference}")
    return record


def _read_incoming(folder: Path, reference: str) -> dict[str, str]:
    """Return what was on its way from ``reference`` when an earlier call was killed."""
    try:
        content = json.loads((folder / INCOMING).read_bytes())
    except FileNotFoundError:
        return {}
    return dict(content["incoming"]) if content["from"] == reference else {}


def _write_record(folder: Path, dataset: str, reference: str, files: Mapping[str, tuple[str, FileState]]) -> None:
    columns = list(zip(*((path, sha256, *state) for path, (sha256, state) in files.items()), strict=True))
    _write(folder / RECORD, {"dataset": dataset, "reference": reference, "files": columns})


def _write(path: Path, content: object) -> None:
    aside = path.with_name(f"{ASIDE}{path.name}")
    aside.write_text(json.dumps(content), encoding="utf-8")
    aside.replace(path)
