"""Versions of a dataset: pinned once to a commit, listed with who made them and when."""

import re
from dataclasses import dataclass
from datetime import datetime

from lakegate.errors import BadInput, Unattested, VersionNotFound, nearest
from lakegate.lake.attestation import require_attestation
from lakegate.lake.client import LakeClient
from lakegate.lake.local_version import DatasetVersion
from lakegate.lake.objects import EVIDENCE, MAIN, Commit
from lakegate.settings import Settings


@dataclass(frozen=True)
class VersionInfo:
    """One line of `lakegate data log`. ``publisher`` is a claimed name; ``n_samples`` is ``None`` where nobody wrote it."""

    dataset: str
    tag: str
    commit: str
    message: str
    publisher: str
    created_at: datetime
    n_samples: int | None
    source_digest: str

    @property
    def reference(self) -> str:
        """``dataset@tag``."""
        return f"{self.dataset}@{self.tag}"


def pin(client: LakeClient, reference: str) -> DatasetVersion:
    """Resolve ``dataset@tag`` (or ``dataset@branch``, ``dataset@commit``) to a commit and its content digest.

    Raises:
        BadInput: the text has another shape. VersionNotFound: no such dataset or version; names the nearest one.
    """
    dataset, separator, ref = reference.partition("@")
    if not separator or not dataset or not ref:
        raise BadInput(f"'{reference}' names no version; expected dataset@version, as in blood-cells@v1")
    commit = find_commit(client, dataset, ref)
    return DatasetVersion(dataset, ref, commit, client.content_digest(dataset, commit))


def find_commit(client: LakeClient, dataset: str, ref: str) -> str:
    """Return the commit that a tag, branch or commit id of a dataset stands for; cheap: nothing is listed.

    Raises:
        VersionNotFound: no such dataset or version; names the nearest one.
    """
    try:
        return client.head(dataset, ref).id
    except VersionNotFound as error:
        raise VersionNotFound(_not_found(client, dataset, ref)) from error


def list_versions(client: LakeClient, dataset: str) -> list[VersionInfo]:
    """Return the tagged versions of a dataset, newest first: the order of ``main``, then of creation.

    Raises:
        VersionNotFound: there is no such dataset.
    """
    tags = client.tags(dataset)
    if not tags:
        client.head(dataset, MAIN)
        return []
    order = {commit.id: commit for commit in client.log(dataset, MAIN)}
    commits = {tag: order.get(commit) or client.head(dataset, commit) for tag, commit in tags.items()}
    place = {commit: number for number, commit in enumerate(order)}
    latest = len(place)

    def newest_first(item: tuple[str, Commit]) -> tuple[float, int]:
        return -item[1].created_at.timestamp(), place.get(item[1].id, latest)

    # of two names of one commit, the later word (v10 after v9) is taken for the newer one
    by_name = sorted(commits.items(), key=lambda item: _natural(item[0]), reverse=True)
    return [_info(dataset, tag, commit) for tag, commit in sorted(by_name, key=newest_first)]


def versions_behind(client: LakeClient, dataset: str, head: Commit) -> list[tuple[str, Commit]]:
    """Return the versions in the history of a commit with their tags, newest first; the commit itself comes first.

    Its tag is "" where it is no version.
    """
    ancestors = {commit.id: commit for commit in client.log(dataset, head.id, first_parent=False)}
    found = [(item.tag, ancestors[item.commit]) for item in list_versions(client, dataset) if item.commit in ancestors]
    return found if any(commit.id == head.id for _, commit in found) else [("", head), *found]


def newest_attested(client: LakeClient, settings: Settings, dataset: str) -> DatasetVersion:
    """Return the newest tagged version whose content is attested.

    Raises:
        VersionNotFound: there is no version. Unattested: none of the versions is attested; says why the newest is not.
    """
    reason: Unattested | None = None
    for version in list_versions(client, dataset):
        try:
            attestation = require_attestation(client, settings, dataset, version.commit)
        except Unattested as error:
            reason = reason or error
            continue
        return DatasetVersion(dataset, version.tag, version.commit, attestation.content_digest)
    if reason:
        raise Unattested(f"no version of '{dataset}' is attested; the newest: {reason}") from reason
    raise VersionNotFound(f"'{dataset}' has no version yet; make the first with `lakegate data publish {dataset}`")


def publisher_of(client: LakeClient, version: DatasetVersion) -> str:
    """Return the claimed name of who published a version, as `lakegate data log` shows it; "" where nobody wrote it."""
    return client.head(version.dataset, version.commit).metadata.get("publisher", "")


def _natural(tag: str) -> list[tuple[int, str]]:
    """Return a key by which v10 comes after v9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", tag) if part]


def _not_found(client: LakeClient, dataset: str, ref: str) -> str:
    repositories = client.repositories()
    if dataset not in repositories:
        return f"lakeFS has no dataset '{dataset}'{nearest(dataset, repositories)}; make it with `lakegate data publish`"
    own = (EVIDENCE, "version-", "merge-", "setup-")
    known = [*client.tags(dataset), *(branch for branch in client.branches(dataset) if not branch.startswith(own))]
    return f"'{dataset}' has no version or branch '{ref}'{nearest(ref, known)}; `lakegate data log {dataset}` lists versions"


def _info(dataset: str, tag: str, commit: Commit) -> VersionInfo:
    count = commit.metadata.get("n_samples", "")
    return VersionInfo(
        dataset=dataset,
        tag=tag,
        commit=commit.id,
        message=commit.message,
        publisher=commit.metadata.get("publisher", ""),
        created_at=commit.created_at,
        n_samples=int(count) if count.isdigit() else None,
        source_digest=commit.metadata.get("source_digest", ""),
    )
