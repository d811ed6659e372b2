"""The diff of two versions as people ask for it: the numbers at once, and a page with every changed sample."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from lakegate.errors import BadInput, LakeError, VersionNotFound
from lakegate.lake.changes import fetch_images, open_changes, open_references
from lakegate.lake.client import LakeClient
from lakegate.lake.diff import DatasetDiff, diff_versions
from lakegate.lake.local_version import DatasetVersion, LocalVersion
from lakegate.lake.versions import list_versions, pin
from lakegate.lifecycle.diff_words import diff_markdown
from lakegate.pages import Page, page_of, save_page
from lakegate.quality.metrics_cache import MetricsCache
from lakegate.reports.diff_cards import chosen_samples, make_cards, samples_to_fetch
from lakegate.reports.diff_page import DiffHeading, compared_distributions, render_diff_html
from lakegate.settings import Settings
from lakegate.thumbnails import Thumbnails

Say = Callable[[str], None]


@dataclass(frozen=True)
class ShownDiff:
    """A diff with its page."""

    dataset: str
    old: str
    new: str
    difference: DatasetDiff
    page: Page

    @property
    def markdown(self) -> str:
        """The numbers, for a Prefect run."""
        return diff_markdown(self.difference, f"{self.dataset}@{self.old}", f"{self.dataset}@{self.new}")


def diff_references(client: LakeClient, settings: Settings, dataset: str, old: str, new: str) -> DatasetDiff:
    """Compare two tags, branches or commits; reads what differs only, and no image.

    Raises:
        VersionNotFound: there is no such version. Unattested: one of the two never passed validation.
    """
    return diff_versions(*open_references(client, settings, dataset, old, new, whole=False))


def show_diff(client: LakeClient, settings: Settings, dataset: str, old: str, new: str) -> ShownDiff:
    """Compare two versions and write the page; all labels are read, and the images of the changed samples that it shows.

    Raises:
        VersionNotFound, Unattested: as :func:`diff_references`. ChecksumMismatch: an image is not the one that was published.
    """
    sides = open_references(client, settings, dataset, old, new, whole=True)
    difference = diff_versions(*sides)
    for side, names in zip(sides, samples_to_fetch(*sides, chosen_samples(difference)), strict=True):
        fetch_images(client, settings, side, names)
    old_commit, new_commit = (side.version.commit for side in sides)
    html = render_diff_html(
        DiffHeading(dataset, old, new, old_commit, new_commit, settings.lakefs_endpoint.rstrip("/")),
        difference,
        make_cards(*sides, difference, Thumbnails.cached(settings), settings.threads),
        compared_distributions(*sides, _brightness(settings, sides)),
    )
    return ShownDiff(dataset, old, new, difference, save_page(settings, page_name(dataset, old, new), html))


def page_name(dataset: str, old: str, new: str) -> str:
    """Return where the page lies below ``<home>/reports``.

    >>> page_name("blood-cells", "v1", "main~2")
    'blood-cells/diff-v1-main-2.html'
    """
    return f"{dataset}/diff-{'-'.join(re.sub(r'[^A-Za-z0-9._]+', '-', ref) for ref in (old, new))}.html"


def diff_page_of(settings: Settings, dataset: str, old: str, new: str) -> Page:
    """Return where the page lies and opens; it need not be there."""
    return page_of(settings, page_name(dataset, old, new))


def version_before(client: LakeClient, dataset: str, tag: str) -> str | None:
    """Return the newest tag before ``tag`` (which need not be there yet); ``None`` for the first version."""
    try:
        known = [item.tag for item in list_versions(client, dataset)]  # newest first
    except VersionNotFound:
        return None
    earlier = known[known.index(tag) + 1 :] if tag in known else known
    return earlier[0] if earlier else None


def diff_since_before(
    client: LakeClient, settings: Settings, version: DatasetVersion, tag: str, say: Say
) -> DatasetDiff | None:
    """Compare a version that is being published, not attested yet, with the newest one before ``tag``.

    Returns:
        ``None`` for the first version, or where the one before is damaged, which is said.
    """
    before = version_before(client, version.dataset, tag)
    if before is None:
        return None
    try:
        old = pin(client, f"{version.dataset}@{before}")
        return diff_versions(*open_changes(client, settings, old, version, attested=False))
    except (LakeError, BadInput) as error:
        say(f"{before} cannot be compared with: {error}")
        return None


def show_since_before(client: LakeClient, settings: Settings, dataset: str, tag: str, say: Say) -> ShownDiff | None:
    """Write the page of what changed from the version before to ``tag``; ``None`` as for :func:`diff_since_before`."""
    before = version_before(client, dataset, tag)
    if before is None:
        return None
    try:
        return show_diff(client, settings, dataset, before, tag)
    except (LakeError, BadInput) as error:  # the version before is damaged: that must not keep this one from being shown
        say(f"there is no page of what changed since {before}: {error}")
        return None


def _brightness(settings: Settings, sides: tuple[LocalVersion, LocalVersion]) -> dict[str, float]:
    """Return what this machine measured before, by SHA-256."""
    digests = {image.sha256 for side in sides for image in side.images.values()}
    known = MetricsCache(settings.cache_dir / "metrics").load(digests)
    return {digest: found.brightness for digest, found in known.items()}
