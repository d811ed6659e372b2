"""Versions on this machine: a disposable cache of files named by SHA-256, verified when they are first fetched."""

import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from tempfile import NamedTemporaryFile

from lakegate.canonical import sha256_bytes
from lakegate.catalog import parse_dataset
from lakegate.errors import BadInput, ChecksumMismatch, LakeError
from lakegate.lake.attestation import require_attestation
from lakegate.lake.client import LakeClient
from lakegate.lake.local_version import DatasetVersion, LocalImage, LocalVersion
from lakegate.lake.objects import ANNOTATIONS, DECLARATION, IMAGES, ObjectEntry, Progress
from lakegate.samples import ImportedSample, Sample, sample_id_of
from lakegate.settings import Settings


def cache_path(settings: Settings, sha256: str) -> Path:
    """Return where the bytes with this SHA-256 lie, or would lie, in the cache."""
    return settings.cache_dir / "objects" / sha256[:2] / sha256


def seed(settings: Settings, path: Path, sha256: str) -> None:
    """Put a local file into the cache, so that a publisher does not download what it uploaded; its bytes are verified.

    Raises:
        ChecksumMismatch: the file changed meanwhile.
    """
    if not cache_path(settings, sha256).exists():
        _store(settings, path.read_bytes(), sha256, str(path))


def fetch_object(client: LakeClient, settings: Settings, repository: str, commit: str, entry: ObjectEntry) -> Path:
    """Return a local copy of an object; fetched and verified when it is not in the cache yet.

    Raises:
        ChecksumMismatch: the bytes in lakeFS are not those that the listing promises.
    """
    if entry.sha256 is None:
        (entry,) = client.complete_sha256(repository, commit, [entry])
    digest = str(entry.sha256)
    path = cache_path(settings, digest)
    if not path.is_file() or path.stat().st_size != entry.size_bytes:
        _store(settings, client.read(repository, commit, entry.path), digest, f"{repository}@{commit[:12]}/{entry.path}")
    return path


def fetch_objects(
    client: LakeClient,
    settings: Settings,
    repository: str,
    commit: str,
    entries: Iterable[ObjectEntry],
    progress: Progress | None = None,
) -> dict[str, Path]:
    """Fetch many objects on all connections at once; returns the local path of each object's path."""
    paths: dict[str, Path] = {}

    def fetch(entry: ObjectEntry) -> None:
        paths[entry.path] = fetch_object(client, settings, repository, commit, entry)

    client.in_parallel(fetch, entries, progress)
    return paths


def open_version(
    client: LakeClient,
    settings: Settings,
    version: DatasetVersion,
    *,
    attested: bool = True,
    progress: Progress | None = None,
) -> LocalVersion:
    """Bring a pinned version onto this machine and read its samples; what is unattested is refused.

    Args:
        attested: False only for the publisher itself, who validates before there is an attestation.

    Raises:
        Unattested: no valid attestation covers the content.
        ChecksumMismatch: bytes in lakeFS are not those that the content digest promises.
        BadInput, LakeError: a sample cannot be read, or lacks its image or annotation file.
    """
    if attested:
        require_attestation(client, settings, version.dataset, version.commit)
    entries = client.complete_sha256(version.dataset, version.commit, client.list_objects(version.dataset, version.commit))
    wanted = [entry for entry in entries if entry.path == DECLARATION or entry.path.startswith((IMAGES, ANNOTATIONS))]
    by_path = {entry.path: entry for entry in wanted}
    if DECLARATION not in by_path:
        raise LakeError(f"{version.reference} has no {DECLARATION}: it was not made by `lakegate data publish`")
    images = _images_by_sample(version, by_path)
    paths = fetch_objects(client, settings, version.dataset, version.commit, wanted, progress)
    text = paths[DECLARATION].read_text()
    return LocalVersion(
        version=version,
        declaration=parse_dataset(version.dataset, text, f"{version.reference}/{DECLARATION}"),
        samples=tuple(Sample.from_json(name, paths[f"{ANNOTATIONS}{name}.json"].read_bytes()) for name in sorted(images)),
        images={name: LocalImage(paths[path], str(by_path[path].sha256)) for name, path in images.items()},
    )


def get_version(
    client: LakeClient, settings: Settings, version: DatasetVersion, folder: Path, progress: Progress | None = None
) -> int:
    """Copy an attested version into ``folder`` as it lies in lakeFS; returns the number of files.

    The files are copies: editing them does not reach the cache.

    Raises:
        BadInput: the folder exists and is not empty, or a path would lead out of it. Unattested, ChecksumMismatch: as above.
    """
    if folder.exists() and any(folder.iterdir()):
        raise BadInput(f"{folder} is not empty; give a new folder for {version.reference}")
    require_attestation(client, settings, version.dataset, version.commit)
    entries = [
        entry
        for entry in client.list_objects(version.dataset, version.commit)
        if entry.path == DECLARATION or entry.path.startswith((IMAGES, ANNOTATIONS))
    ]
    for entry in entries:
        if ".." in PurePosixPath(entry.path).parts:
            raise BadInput(f"{version.reference}: '{entry.path}' leads out of the folder; it was not fetched")
    for name, path in fetch_objects(client, settings, version.dataset, version.commit, entries, progress).items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return len(entries)


def _images_by_sample(version: DatasetVersion, by_path: dict[str, ObjectEntry]) -> dict[str, str]:
    images: dict[str, str] = {}
    for path in by_path:
        if path.startswith(IMAGES):
            other = images.setdefault(sample_id_of(path), path)
            if other != path:
                raise BadInput(f"{version.reference}: {other} and {path} are one sample; rename one of the images")
    labelled = {sample_id_of(path) for path in by_path if path.startswith(ANNOTATIONS)}
    for what, names in (("annotation file", set(images) - labelled), ("image", labelled - set(images))):
        if names:
            first = ", ".join(sorted(names)[:10])
            raise LakeError(f"{version.reference}: {len(names)} samples have no {what}: {first}; publish the dataset again")
    return images


def _store(settings: Settings, data: bytes, sha256: str, where: str) -> None:
    found = sha256_bytes(data)
    if found != sha256:
        raise ChecksumMismatch(
            f"{where}: expected SHA-256 {sha256}, the bytes have {found}; they were not kept. "
            "Try again; if it stays so, the store behind lakeFS is damaged or the object was forged: publish a new version"
        )
    path = cache_path(settings, sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=".part-", delete=False) as aside:
        aside.write(data)
    Path(aside.name).chmod(0o444)
    Path(aside.name).replace(path)


def seed_samples(settings: Settings, imported: Iterable[ImportedSample]) -> None:
    """Seed the cache with the images and annotation files that a publisher is about to upload."""
    for item in imported:
        for data in (item.image.read_bytes(), item.sample.to_json()):
            digest = sha256_bytes(data)
            if not cache_path(settings, digest).exists():
                _store(settings, data, digest, item.sample.id)
