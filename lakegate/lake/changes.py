"""Only what differs between two versions, read: a diff of large versions costs what changed, and no image is fetched."""

from lakegate.catalog import parse_dataset
from lakegate.lake.attestation import require_attestation
from lakegate.lake.client import LakeClient
from lakegate.lake.local import cache_path, fetch_objects
from lakegate.lake.local_version import DatasetVersion, LocalImage, LocalVersion
from lakegate.lake.objects import ANNOTATIONS, DECLARATION, IMAGES
from lakegate.samples import Sample, sample_id_of
from lakegate.settings import Settings


def open_changes(
    client: LakeClient, settings: Settings, old: DatasetVersion, new: DatasetVersion
) -> tuple[LocalVersion, LocalVersion]:
    """Open two versions of one dataset, holding only the samples that lakeFS says differ.

    :func:`lakegate.lake.diff.diff_versions` of the two is that of the whole versions. Images are named by their SHA-256 as
    the listing claims it and are not fetched: ``path`` is where they would lie.

    Raises:
        Unattested: no valid attestation covers one of the contents.
        ChecksumMismatch: an annotation's bytes are not those that the listing promises.
    """
    changes = client.diff(new.dataset, old.commit, new.commit)
    names = {sample_id_of(item.path) for item in changes if item.path.startswith((IMAGES, ANNOTATIONS))}
    return _open_some(client, settings, old, names), _open_some(client, settings, new, names)


def _open_some(client: LakeClient, settings: Settings, version: DatasetVersion, names: set[str]) -> LocalVersion:
    require_attestation(client, settings, version.dataset, version.commit)
    listed = client.list_objects(version.dataset, version.commit)
    chosen = [
        entry
        for entry in listed
        if entry.path == DECLARATION or (entry.path.startswith((IMAGES, ANNOTATIONS)) and sample_id_of(entry.path) in names)
    ]
    entries = client.complete_sha256(version.dataset, version.commit, chosen)
    texts = [entry for entry in entries if not entry.path.startswith(IMAGES)]
    paths = fetch_objects(client, settings, version.dataset, version.commit, texts)
    images = {
        sample_id_of(entry.path): LocalImage(cache_path(settings, str(entry.sha256)), str(entry.sha256))
        for entry in entries
        if entry.path.startswith(IMAGES)
    }
    where = f"{version.reference}/{DECLARATION}"
    return LocalVersion(
        version=version,
        declaration=parse_dataset(version.dataset, paths[DECLARATION].read_text(), where),
        samples=tuple(Sample.from_json(name, paths[f"{ANNOTATIONS}{name}.json"].read_bytes()) for name in sorted(images)),
        images=images,
    )
