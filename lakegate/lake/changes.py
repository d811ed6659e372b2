"""Only what differs between two versions, read: a diff of large versions costs what changed, and no image is fetched."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from lakegate.catalog import parse_dataset
from lakegate.errors import LakeError
from lakegate.lake.attestation import require_attested_content
from lakegate.lake.client import LakeClient
from lakegate.lake.content import content_digest
from lakegate.lake.local import cache_path, fetch_objects
from lakegate.lake.local_version import DatasetVersion, LocalImage, LocalVersion
from lakegate.lake.objects import ANNOTATIONS, DECLARATION, IMAGES, ObjectEntry
from lakegate.lake.versions import find_commit
from lakegate.samples import Sample, sample_id_of
from lakegate.settings import Settings

Entries = list[ObjectEntry]


def open_changes(
    client: LakeClient, settings: Settings, old: DatasetVersion, new: DatasetVersion, *, attested: bool = True
) -> tuple[LocalVersion, LocalVersion]:
    """Open two versions of one dataset, holding only the samples that differ.

    :func:`lakegate.lake.diff.diff_versions` of the two is that of the whole versions. Each commit is listed once: the listing
    gives the content digest, which has to be attested, and what differs. Images are named by their SHA-256 as the listing
    claims it and are not fetched: ``path`` is where they would lie.

    Args:
        attested: False only for a publisher, who compares before there is an attestation.

    Raises:
        Unattested: no valid attestation covers one of the contents.
        ChecksumMismatch: an annotation's bytes are not those that the listing promises.
    """
    return _open(client, settings, (old, new), attested, whole=False)


def open_references(
    client: LakeClient, settings: Settings, dataset: str, old: str, new: str, *, whole: bool
) -> tuple[LocalVersion, LocalVersion]:
    """As :func:`open_changes`, for tags, branches or commits that are pinned here.

    Args:
        whole: open all samples, still without their images, not only those that differ.

    Raises:
        VersionNotFound: there is no such version; names the nearest one. Unattested, ChecksumMismatch: as above.
    """
    first, second = (DatasetVersion(dataset, ref, find_commit(client, dataset, ref), "") for ref in (old, new))
    return _open(client, settings, (first, second), attested=True, whole=whole)


def fetch_images(client: LakeClient, settings: Settings, version: LocalVersion, names: Iterable[str]) -> None:
    """Bring the images of these samples into the cache, where ``version.images`` says that they lie; verified."""
    wanted = {version.images[name].sha256 for name in names if not version.images[name].path.exists()}
    if not wanted:
        return
    commit = version.version.commit
    entries = client.complete_sha256(
        version.version.dataset, commit, client.list_objects(version.version.dataset, commit, IMAGES)
    )
    once = {str(entry.sha256): entry for entry in entries if entry.sha256 in wanted}
    fetch_objects(client, settings, version.version.dataset, commit, once.values())


def _open(
    client: LakeClient, settings: Settings, versions: tuple[DatasetVersion, DatasetVersion], attested: bool, whole: bool
) -> tuple[LocalVersion, LocalVersion]:
    with ThreadPoolExecutor(2) as pool:
        listed = list(pool.map(lambda version: _list(client, settings, version, attested), versions))
    names = None if whole else _changed_samples(listed[0][1], listed[1][1])
    known: dict[tuple[str, str], Sample] = {}  # by sample and SHA-256: what did not change is parsed once
    old, new = (_open_some(client, settings, version, entries, names, known) for version, entries in listed)
    return old, new


def _list(client: LakeClient, settings: Settings, version: DatasetVersion, attested: bool) -> tuple[DatasetVersion, Entries]:
    """List a commit with a SHA-256 for each object; what is not attested is refused."""
    entries = client.list_objects(version.dataset, version.commit)
    if any(entry.sha256 is None for entry in entries):
        entries = client.complete_sha256(version.dataset, version.commit, entries)
    digest = content_digest(entries)
    if attested:
        require_attested_content(client, settings, version.dataset, version.commit, digest)
    return replace(version, content_digest=digest), entries


def _changed_samples(old: Entries, new: Entries) -> set[str]:
    sides = [{(entry.path, entry.sha256) for entry in entries} for entries in (old, new)]
    return {sample_id_of(path) for path, _ in sides[0] ^ sides[1] if path.startswith((IMAGES, ANNOTATIONS))}


def _samples_among(entries: Entries, names: set[str] | None) -> list[tuple[str, ObjectEntry]]:
    """Return sample id and object of each image and annotation file of these samples (``None``: of all)."""
    found = []
    for entry in entries:
        folder, _, inner = entry.path.partition("/")
        if f"{folder}/" in (IMAGES, ANNOTATIONS) and (names is None or inner in names or inner.rpartition(".")[0] in names):
            found.append((sample_id_of(entry.path), entry))
    return found if names is None else [(name, entry) for name, entry in found if name in names]


def _open_some(
    client: LakeClient,
    settings: Settings,
    version: DatasetVersion,
    entries: Entries,
    names: set[str] | None,
    known: dict[tuple[str, str], Sample],
) -> LocalVersion:
    """Open the samples ``names`` (``None``: all); labels that stand in ``known`` are not read again."""
    chosen = _samples_among(entries, names)
    labels = {name: entry for name, entry in chosen if entry.path.startswith(ANNOTATIONS)}
    images = {
        name: LocalImage(cache_path(settings, str(entry.sha256)), str(entry.sha256))
        for name, entry in chosen
        if entry.path.startswith(IMAGES)
    }
    if labels.keys() != images.keys():
        odd = ", ".join(sorted(labels.keys() ^ images.keys())[:10])
        raise LakeError(f"{version.reference}: samples without image or without annotation file: {odd}; publish it again")
    declarations = [entry for entry in entries if entry.path == DECLARATION]
    if not declarations:
        raise LakeError(f"{version.reference} has no {DECLARATION}: it was not made by `lakegate data publish`")
    unread = [entry for name, entry in labels.items() if (name, str(entry.sha256)) not in known]
    paths = fetch_objects(client, settings, version.dataset, version.commit, [*declarations, *unread])
    for name, entry in labels.items():
        if (name, str(entry.sha256)) not in known:
            known[name, str(entry.sha256)] = Sample.from_json(name, paths[entry.path].read_bytes())
    where = f"{version.reference}/{DECLARATION}"
    return LocalVersion(
        version=version,
        declaration=parse_dataset(version.dataset, paths[DECLARATION].read_text(), where),
        samples=tuple(known[name, str(labels[name].sha256)] for name in sorted(labels)),
        images=images,
    )
