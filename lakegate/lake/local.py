"""Versions on this machine: their objects come from the cache, and from lakeFS where they are not in it."""

from collections.abc import Collection, Iterable
from pathlib import Path

from lakegate.canonical import sha256_bytes
from lakegate.catalog import parse_dataset
from lakegate.errors import BadInput, LakeError
from lakegate.lake.attestation import require_attestation
from lakegate.lake.cache import ObjectCache
from lakegate.lake.client import LakeClient
from lakegate.lake.local_version import DatasetVersion, LocalImage, LocalVersion
from lakegate.lake.objects import ANNOTATIONS, DECLARATION, IMAGES, ObjectEntry, Progress
from lakegate.lake.stat_index import StatIndex, absolute, root_of
from lakegate.samples import ImportedSample, Sample, sample_id_of
from lakegate.settings import Settings


def cache_of(settings: Settings) -> ObjectCache:
    """Return the cache of ``settings``."""
    return ObjectCache(settings.cache_dir, settings.cache_gib)


def cache_path(settings: Settings, sha256: str) -> Path:
    """Return where the bytes with this SHA-256 lie, or would lie, in the cache."""
    return cache_of(settings).path(sha256)


def seed(settings: Settings, path: Path, sha256: str) -> None:
    """Put a local file into the cache, so that a publisher does not download what it uploaded; its bytes are verified.

    Raises:
        ChecksumMismatch: the file changed meanwhile.
    """
    cache = cache_of(settings)
    if sha256 not in cache.find_whole([sha256]):
        cache.store(path.read_bytes(), sha256, str(path))
        cache.used([], [sha256])


def seed_samples(settings: Settings, imported: Iterable[ImportedSample]) -> None:
    """Seed the cache with images and annotation files that a publisher uploaded; known files are not read again."""
    cache, items = cache_of(settings), list(imported)
    index = StatIndex(settings.cache_dir, root_of(absolute(item.image) for item in items))
    stored: list[str] = []

    def store(data: bytes, sha256: str, name: str) -> None:
        if not cache.path(sha256).exists():
            cache.store(data, sha256, name)
            stored.append(sha256)

    for item in items:
        known = index.find(absolute(item.image))
        if known is None or not cache.path(known.sha256).exists():
            data = item.image.read_bytes()
            store(data, sha256_bytes(data), item.sample.id)
        labels = item.sample.to_json()
        store(labels, sha256_bytes(labels), item.sample.id)
    cache.used([], stored)


def fetch_object(client: LakeClient, settings: Settings, repository: str, commit: str, entry: ObjectEntry) -> Path:
    """Return a local copy of an object; fetched and verified when it is not in the cache yet.

    Raises:
        ChecksumMismatch: the bytes in lakeFS are not those that the listing promises.
    """
    return fetch_objects(client, settings, repository, commit, [entry])[entry.path]


def fetch_objects(
    client: LakeClient,
    settings: Settings,
    repository: str,
    commit: str,
    entries: Iterable[ObjectEntry],
    progress: Progress | None = None,
) -> dict[str, Path]:
    """Fetch what is not in the cache on all connections at once; returns the local path of each object's path.

    The files stay for the life of this process, whatever the cache's limit: other processes may sweep it at any time.

    Raises:
        ChecksumMismatch: bytes in lakeFS are not those that the listing promises.
    """
    cache = cache_of(settings)
    digests = {entry.path: str(entry.sha256) for entry in client.complete_sha256(repository, commit, entries)}
    cache.lease("reading", digests.values())
    whole = cache.find_whole(digests.values())
    missing = {sha256: path for path, sha256 in digests.items() if sha256 not in whole}
    n_here = len(digests) - len(missing)
    stored: list[str] = []

    def fetch(item: tuple[str, str]) -> None:
        sha256, path = item
        cache.store(client.read(repository, commit, path), sha256, f"{repository}@{commit[:12]}/{path}")
        stored.append(sha256)

    def fetched(done: int, _: int) -> None:
        if progress:
            progress(n_here + done, len(digests))

    try:
        client.in_parallel(fetch, missing.items(), fetched)
    finally:
        cache.used(list(digests.values()), stored)
    if progress and not missing:
        progress(len(digests), len(digests))
    return {path: cache.path(sha256) for path, sha256 in digests.items()}


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
    wanted = version_objects(client, version)
    by_path = {entry.path: entry for entry in wanted}
    if DECLARATION not in by_path:
        raise LakeError(f"{version.reference} has no {DECLARATION}: it was not made by `lakegate data publish`")
    images = _images_by_sample(version, by_path)
    lease(settings, version, wanted)
    paths = fetch_objects(client, settings, version.dataset, version.commit, wanted, progress)
    text = paths[DECLARATION].read_text()
    return LocalVersion(
        version=version,
        declaration=parse_dataset(version.dataset, text, f"{version.reference}/{DECLARATION}"),
        samples=tuple(Sample.from_json(name, paths[f"{ANNOTATIONS}{name}.json"].read_bytes()) for name in sorted(images)),
        images={name: LocalImage(paths[path], str(by_path[path].sha256)) for name, path in images.items()},
    )


class OpenedVersions:
    """Versions opened once; opening verifies the attestation."""

    def __init__(self, client: LakeClient, settings: Settings) -> None:
        self._client, self._settings = client, settings
        self._versions: dict[str, LocalVersion] = {}

    def version(self, pinned: DatasetVersion) -> LocalVersion:
        """Return the opened version."""
        if pinned.commit not in self._versions:
            self._versions[pinned.commit] = open_version(self._client, self._settings, pinned)
        return self._versions[pinned.commit]


def fetch_images(
    client: LakeClient, settings: Settings, version: DatasetVersion, wanted_sha256: Collection[str]
) -> dict[str, LocalImage]:
    """Bring some images of a version onto this machine; return those that the version has, by SHA-256.

    Raises:
        Unattested: no valid attestation covers the content.
        ChecksumMismatch: bytes in lakeFS are not those that the content digest promises.
    """
    require_attestation(client, settings, version.dataset, version.commit)
    images = [entry for entry in version_objects(client, version) if entry.path.startswith(IMAGES)]
    known = client.complete_sha256(version.dataset, version.commit, images)
    wanted = {str(entry.sha256): entry for entry in known if entry.sha256 in wanted_sha256}
    paths = fetch_objects(client, settings, version.dataset, version.commit, wanted.values())
    return {sha256: LocalImage(paths[entry.path], sha256) for sha256, entry in wanted.items()}


def version_objects(client: LakeClient, version: DatasetVersion) -> list[ObjectEntry]:
    """Return the objects of a version that people work with: declaration, images, annotation files; ascending by path.

    Raises:
        BadInput: a path would lead out of a folder.
    """
    entries = client.manifest(version.dataset, version.commit).entries
    wanted = [entry for entry in entries if entry.path == DECLARATION or entry.path.startswith((IMAGES, ANNOTATIONS))]
    for entry in wanted:
        if ".." in entry.path.split("/"):
            raise BadInput(f"{version.reference}: '{entry.path}' leads out of the folder; it was not fetched")
    return wanted


def lease(settings: Settings, version: DatasetVersion, entries: Iterable[ObjectEntry]) -> None:
    """Keep a version's files in the cache for the life of this process."""
    cache_of(settings).lease(f"{version.dataset}-{version.commit}", (str(entry.sha256) for entry in entries))


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
