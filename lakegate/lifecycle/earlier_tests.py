"""What earlier versions of a dataset hold: their test images, which nobody may learn from, and the version to compare with."""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

from lakegate.canonical import exact_json
from lakegate.errors import Unattested, VersionNotFound
from lakegate.lake.attestation import require_attestation
from lakegate.lake.client import LakeClient
from lakegate.lake.local import fetch_objects
from lakegate.lake.objects import ANNOTATIONS, IMAGES, ObjectEntry
from lakegate.lake.versions import VersionInfo, list_versions
from lakegate.quality.earlier_test import EarlierTestImage, EarlierTestImages
from lakegate.quality.image_metrics import ImageMetrics
from lakegate.quality.images import measure_many
from lakegate.quality.leaks import FLAT_CONTRAST
from lakegate.quality.metrics_cache import MetricsCache
from lakegate.quality.parent import ParentVersion
from lakegate.samples import Sample, annotation_object, sample_id_of
from lakegate.settings import Settings

_SUMMARY_VERSION = 1


@dataclass(frozen=True)
class _Image:
    """One sample of an earlier version, without its labels' shapes."""

    sample_id: str
    path: str  # in lakeFS
    sha256: str
    split: str
    group: str
    labels: dict[str, int]  # objects per label


def collect_earlier_tests(client: LakeClient, settings: Settings, dataset: str, before: str = "") -> EarlierTestImages:
    """Return the test images of all attested versions before ``before`` (all versions where that tag does not exist yet).

    What a version holds is read once per commit and then kept in the cache; images are fetched only where their metrics
    are not known.

    Raises:
        BadInput, ChecksumMismatch: an earlier version cannot be read.
    """
    seen: dict[str, EarlierTestImage] = {}
    tags: list[str] = []
    for version, images in _earlier(client, settings, dataset, before):
        tags.append(version.tag)
        fresh = [image for image in images if image.split == "test" and image.sha256 not in seen]
        metrics = _metrics(client, settings, version, fresh)
        for image in fresh:
            found = metrics.get(image.sha256)
            phash = found.phash if found and found.contrast >= FLAT_CONTRAST else ""
            seen[image.sha256] = EarlierTestImage(version.tag, image.sample_id, image.sha256, phash)
    return EarlierTestImages(tuple(seen.values()), tuple(tags))


def collect_parent(client: LakeClient, settings: Settings, dataset: str, before: str = "") -> ParentVersion | None:
    """Return what the newest attested version before ``before`` looked like; ``None`` where there is none.

    Raises:
        BadInput, ChecksumMismatch: that version cannot be read.
    """
    for version, images in _earlier(client, settings, dataset, before, at_most=1):
        metrics = _metrics(client, settings, version, images)
        return ParentVersion(
            version=version.tag,
            metrics=tuple(metrics[image.sha256] for image in images if image.sha256 in metrics),
            objects_per_image=tuple(sum(image.labels.values()) for image in images),
            objects_per_label=dict(sum((Counter(image.labels) for image in images), Counter[str]())),
            samples_per_group=dict(Counter(image.group for image in images)),
        )
    return None


def _earlier(
    client: LakeClient, settings: Settings, dataset: str, before: str, at_most: int | None = None
) -> list[tuple[VersionInfo, list[_Image]]]:
    """Return attested versions, newest first, and what they hold; a tag that nobody attested is no version."""
    try:
        known = list_versions(client, dataset)
    except VersionNotFound:
        return []
    place = next((number for number, item in enumerate(known) if item.tag == before), -1)
    found: list[tuple[VersionInfo, list[_Image]]] = []
    for version in known[place + 1 :]:
        if at_most is not None and len(found) == at_most:
            break
        try:
            found.append((version, _summary(client, settings, version)))
        except Unattested:
            continue
    return found


def _summary(client: LakeClient, settings: Settings, version: VersionInfo) -> list[_Image]:
    """Return what a commit holds, from the cache where it was read before: a commit never changes."""
    path = settings.cache_dir / "summaries" / version.dataset / f"{version.commit}-v{_SUMMARY_VERSION}.json"
    try:
        return [_Image(**row) for row in json.loads(path.read_bytes())]
    except (OSError, ValueError, TypeError):
        require_attestation(client, settings, version.dataset, version.commit)
    images = _read(client, settings, version)
    _keep(path, exact_json([asdict(image) for image in images]))
    return images


def _read(client: LakeClient, settings: Settings, version: VersionInfo) -> list[_Image]:
    repository, commit = version.dataset, version.commit
    entries = client.complete_sha256(repository, commit, client.list_objects(repository, commit))
    annotations = [entry for entry in entries if entry.path.startswith(ANNOTATIONS)]
    files = fetch_objects(client, settings, repository, commit, annotations)
    images = []
    for entry in entries:
        name = sample_id_of(entry.path) if entry.path.startswith(IMAGES) else ""
        labels = files.get(annotation_object(name))
        if name and labels:
            sample = Sample.from_json(name, labels.read_bytes())
            count = dict(Counter(item.label for item in sample.annotations))
            images.append(_Image(name, entry.path, str(entry.sha256), sample.split, sample.group, count))
    return images


def _metrics(
    client: LakeClient, settings: Settings, version: VersionInfo, images: list[_Image]
) -> dict[str, ImageMetrics]:
    """Return metrics by SHA-256; images that were never measured on this machine are fetched and measured."""
    cache = MetricsCache(settings.cache_dir / "metrics")
    known = cache.load(image.sha256 for image in images)
    missing = {image.path for image in images if image.sha256 not in known}
    if missing:
        listed = client.complete_sha256(version.dataset, version.commit, client.list_objects(version.dataset, version.commit))
        entries: list[ObjectEntry] = [entry for entry in listed if entry.path in missing]
        files = fetch_objects(client, settings, version.dataset, version.commit, entries)
        measured = measure_many(files.items(), settings.threads, cache)
        known |= {item.sha256: item for item in measured.metrics.values()}
    return known


def _keep(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{uuid4().hex}")
    aside.write_bytes(data)
    aside.replace(path)
