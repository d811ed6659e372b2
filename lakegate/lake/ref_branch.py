"""The branch on which something that lies in lakeFS already becomes a version: pinned, made whole, committed."""

from collections.abc import Mapping
from dataclasses import dataclass

from lakegate.canonical import sha256_bytes
from lakegate.errors import BadInput, LakeError
from lakegate.failpoints import reach
from lakegate.lake.client import LakeClient
from lakegate.lake.local_version import DatasetVersion
from lakegate.lake.objects import ANNOTATIONS, DECLARATION, MAIN, Commit
from lakegate.lake.publish import FROM_REF, VersionNote, find_tagged, version_branch
from lakegate.lake.repository import read_actions
from lakegate.lake.versions import pin

SHOWN = 5


@dataclass(frozen=True)
class PinnedRef:
    """What a branch, tag or commit stood for in one moment."""

    version: DatasetVersion
    commit: Commit
    is_branch: bool

    @property
    def words(self) -> str:
        """The reference as a person reads it."""
        kind = "branch" if self.is_branch else "ref"
        return f"{kind} {self.version.tag}, commit {self.commit.id[:12]}"


def pin_ref(client: LakeClient, dataset: str, ref: str) -> PinnedRef:
    """Resolve a branch, tag or commit once.

    Raises:
        VersionNotFound: there is no such dataset or reference. LakeError: the branch holds changes that nobody committed.
    """
    version = pin(client, f"{dataset}@{ref}")
    is_branch = ref in client.branches(dataset, ref)
    if is_branch:
        open_changes = client.uncommitted(dataset, ref)
        if open_changes:
            names = ", ".join(f"{change.path} ({change.kind})" for change in open_changes[:SHOWN])
            raise LakeError(
                f"branch '{ref}' of '{dataset}' holds what nobody committed ({len(open_changes)}): {names}"
                f"{' …' if len(open_changes) > SHOWN else ''}; commit or reset them in lakeFS, then run it again"
            )
    return PinnedRef(version, client.head(dataset, version.commit), is_branch)


def source_digest_of(client: LakeClient, pinned: PinnedRef, tag: str) -> str:
    """Return the source digest of a version that is made from a commit, the one of an earlier try where there was one.

    Raises:
        VersionExists: the tag is taken by other content.
    """
    dataset = pinned.version.dataset
    own = sha256_bytes(f"commit:{pinned.commit.id}".encode())
    tagged = client.tags(dataset).get(tag)
    if tagged is not None:
        known = client.head(dataset, tagged).metadata.get("source_digest", "")
        if known != own:
            find_tagged(client, dataset, tag, pinned.version.content_digest)
        return known or own
    if pinned.commit.metadata.get("version") == tag:  # a try that was killed between the merge into main and the tag
        return pinned.commit.metadata.get("source_digest") or own
    return own


def prepare_ref_branch(client: LakeClient, pinned: PinnedRef, tag: str, source_digest: str) -> str:
    """Make the version branch at the pinned commit, and return its name; the one of an earlier try is kept.

    Raises:
        BadInput: all of the ref is in ``main`` already.
    """
    dataset, branch = pinned.version.dataset, version_branch(tag, source_digest)
    client.ensure_repository(dataset)
    if branch in client.branches(dataset, branch):
        return branch
    main = client.head(dataset, MAIN).id
    if pinned.version.tag != MAIN and client.merge_base(dataset, pinned.commit.id, main) == pinned.commit.id != main:
        raise BadInput(
            f"everything on '{pinned.version.tag}' of '{dataset}' is in main already, and main has more; "
            f"audit main instead: `lakegate data publish {dataset} --ref main --version {tag}`"
        )
    client.create_branch(dataset, branch, pinned.commit.id, exist_ok=True)
    return branch


def commit_ref_branch(
    client: LakeClient, pinned: PinnedRef, branch: str, note: VersionNote, files: Mapping[str, bytes]
) -> str:
    """Commit ``files`` and what the repository needs, and return the commit; done before, it is the branch's head.

    There is a commit also where nothing changes: it names the version and who published it.
    """
    dataset = pinned.version.dataset
    head = client.head(dataset, branch).id
    if head != pinned.commit.id:
        return head
    client.upload_many(dataset, branch, files)
    reach("uploading")
    metadata = {
        "publisher": note.publisher,
        "version": note.tag,
        "source_digest": note.source_digest,
        "n_samples": str(len(client.list_objects(dataset, branch, ANNOTATIONS))),
        FROM_REF: pinned.version.tag,
    }
    commit = client.commit(dataset, branch, note.message, metadata, allow_empty=True)
    reach("committed")
    return commit


def missing_files(client: LakeClient, pinned: PinnedRef, declaration_text: str) -> dict[str, bytes]:
    """Return the hooks and the declaration that the commit lacks or has otherwise; the checkout's declaration counts."""
    wanted = {**read_actions((MAIN,)), DECLARATION: declaration_text.encode()}
    present = {entry.path: entry.sha256 for entry in client.manifest(pinned.version.dataset, pinned.commit.id).entries}
    return {path: data for path, data in wanted.items() if present.get(path) != sha256_bytes(data)}
