"""A page to browse any version, branch or commit of a dataset: all samples listed, chosen ones with their labels drawn."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lakegate.canonical import sha256_bytes
from lakegate.catalog import load_dataset, parse_dataset
from lakegate.declarations import DatasetDeclaration
from lakegate.errors import BadInput, VersionNotFound
from lakegate.html import render
from lakegate.lake.attestation import Attestation, find_attestation
from lakegate.lake.client import LakeClient
from lakegate.lake.local import cache_path, fetch_objects
from lakegate.lake.local_version import DatasetVersion
from lakegate.lake.objects import ANNOTATIONS, DECLARATION, IMAGES, ObjectEntry, Progress
from lakegate.lake.versions import list_versions, pin
from lakegate.pages import Page, page_of, save_page
from lakegate.quality.contents import describe_contents
from lakegate.quality.gallery import PICTURE_PX, Gallery, ImageFile, Limits, choose_samples, make_gallery
from lakegate.samples import Sample, sample_id_of
from lakegate.settings import Settings
from lakegate.slices import parse_predicate
from lakegate.thumbnails import Thumbnails

PAGE_LIMITS = Limits(pictures=2_000)  # about 5 kB each: such a page has up to 15 MB, with many outlines more
UNLABELLED = "no label file"


@dataclass(frozen=True)
class ShownVersion:
    """The page and what is on it. ``unattested`` says why the content is not attested; "" where it is."""

    page: Page
    version: DatasetVersion
    n_samples: int
    n_all: int
    n_pictures: int
    unattested: str
    unreadable: tuple[str, ...]


@dataclass(frozen=True)
class _Content:
    """What lies in the commit: samples ascending by id, image entries by sample id, and label files that are no samples."""

    declaration: DatasetDeclaration
    samples: tuple[Sample, ...]
    images: dict[str, ObjectEntry]
    unreadable: tuple[str, ...]


def newest_tag(client: LakeClient, dataset: str) -> str:
    """Return the name of the newest version; raises ``VersionNotFound`` where there is none."""
    versions = list_versions(client, dataset)
    if not versions:
        raise VersionNotFound(f"'{dataset}' has no version yet; name a branch, or publish one with `lakegate data publish`")
    return versions[0].tag


def show_version(
    client: LakeClient,
    settings: Settings,
    reference: str,
    where: str = "",
    into: Path | None = None,
    progress: Progress | None = None,
) -> ShownVersion:
    """Make the page of ``dataset@version`` (or ``@branch``, ``@commit``). Only pictured images are fetched, and kept small.

    The page is for looking, so content that is not attested is shown, too, and says so; nothing else may read it.

    Args:
        where: a predicate as in ``[slices]``; empty means all samples.
        into: file to write instead of the page of this version that ``lakegate up`` serves.

    Raises:
        BadInput, VersionNotFound: the reference, the predicate or ``into`` is not usable. ChecksumMismatch: as when reading.
    """
    chosen_by = parse_predicate(where) if where else None
    if into is not None and into.is_dir():
        raise BadInput(f"{into} is a folder; name the file to write, for example {into / 'page.html'}")
    version = pin(client, reference)
    content = _read(client, settings, version, progress)
    samples = [sample for sample in content.samples if chosen_by is None or chosen_by(sample)]
    images = _fetch_pictures(client, settings, version, content, choose_samples(samples, PAGE_LIMITS.pictures), progress)
    thumbnails, labels = Thumbnails.cached(settings), content.declaration.labels
    gallery = make_gallery(samples, images, thumbnails, labels=labels, limits=PAGE_LIMITS, threads=settings.threads)
    found = find_attestation(client, settings, version.dataset, version.content_digest)
    html = _render(client, settings, version, content, samples, gallery, found, where, alone=into is not None)
    page = _write(into, html) if into is not None else save_page(settings, page_name(version, where), html)
    unattested = found if isinstance(found, str) else ""
    return ShownVersion(
        page, version, len(samples), len(content.samples), gallery.n_pictures, unattested, content.unreadable
    )


def page_name(version: DatasetVersion, where: str = "") -> str:
    """Return the page's name below ``reports/``; each predicate has a page of its own.

    >>> page_name(DatasetVersion("cells", "v1", "", ""))
    'cells/version-v1.html'
    """
    words = re.sub(r"[^\w.-]+", "-", version.tag)
    return f"{version.dataset}/version-{words}{'-' + sha256_bytes(where.encode())[:8] if where else ''}.html"


def _read(client: LakeClient, settings: Settings, version: DatasetVersion, progress: Progress | None) -> _Content:
    listed = client.list_objects(version.dataset, version.commit)
    texts = [entry for entry in listed if entry.path == DECLARATION or entry.path.startswith(ANNOTATIONS)]
    images = {sample_id_of(entry.path): entry for entry in listed if entry.path.startswith(IMAGES)}
    texts = client.complete_sha256(version.dataset, version.commit, texts)
    paths = fetch_objects(client, settings, version.dataset, version.commit, texts, progress)
    samples, unreadable = {}, []
    for path, local in sorted(paths.items()):
        if path.startswith(ANNOTATIONS):
            name = sample_id_of(path)
            try:
                samples[name] = Sample.from_json(name, local.read_bytes())
            except BadInput as error:
                unreadable.append(str(error))
    for name in images:
        samples.setdefault(name, Sample(name, 0, 0, group=name, tags=(UNLABELLED,)))
    ordered = tuple(samples[name] for name in sorted(samples))
    return _Content(_declaration(settings, version, paths.get(DECLARATION)), ordered, images, tuple(unreadable))


def _declaration(settings: Settings, version: DatasetVersion, path: Path | None) -> DatasetDeclaration:
    """Return the version's own declaration; a branch of raw frames has none, then the checkout's counts."""
    if path is None:
        return load_dataset(settings, version.dataset)
    return parse_dataset(version.dataset, path.read_text(), f"{version.reference}/{DECLARATION}")


def _fetch_pictures(
    client: LakeClient,
    settings: Settings,
    version: DatasetVersion,
    content: _Content,
    names: Sequence[str],
    progress: Progress | None,
) -> dict[str, ImageFile]:
    """Fetch the images of these samples, but those whose thumbnail is kept already."""
    wanted = [content.images[name] for name in names if name in content.images]
    entries = client.complete_sha256(version.dataset, version.commit, wanted)
    thumbnails = Thumbnails.cached(settings)
    absent = [entry for entry in entries if thumbnails.find(str(entry.sha256), PICTURE_PX) is None]
    fetched = fetch_objects(client, settings, version.dataset, version.commit, absent, progress)
    return {
        sample_id_of(entry.path): ImageFile(
            fetched.get(entry.path) or cache_path(settings, str(entry.sha256)), str(entry.sha256)
        )
        for entry in entries
    }


def _render(
    client: LakeClient,
    settings: Settings,
    version: DatasetVersion,
    content: _Content,
    samples: Sequence[Sample],
    gallery: Gallery,
    attested: Attestation | str,
    where: str,
    *,
    alone: bool,
) -> str:
    commit = client.head(version.dataset, version.commit)
    labelled = [sample for sample in samples if UNLABELLED not in sample.tags]
    report = page_of(settings, f"{version.dataset}/validation-{version.tag}.html").path
    by = commit.metadata.get("publisher", "")
    facts = [
        ("task", content.declaration.task),
        ("samples", f"{len(content.samples):,}"),
        ("commit", version.commit[:12]),
        ("of", f"{commit.created_at:%Y-%m-%d %H:%M} UTC"),
        ("by", f"{by} (unauthenticated)" if by else ""),
        ("content digest", version.content_digest[:16]),
    ]
    return render(
        "version.html.j2",
        version=version,
        message=commit.message,
        facts=[(name, value) for name, value in facts if value],
        unattested=attested if isinstance(attested, str) else "",
        where=where,
        n_all=len(content.samples),
        n_unlabelled=len(samples) - len(labelled),
        unreadable=content.unreadable,
        report="" if alone or not report.is_file() else report.name,
        contents=describe_contents(labelled, content.declaration),
        gallery=gallery,
    )


def _write(path: Path, html: str) -> Page:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    aside.write_text(html)
    aside.replace(path)
    return Page(path.resolve(), path.resolve().as_uri())
