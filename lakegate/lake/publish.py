"""The steps of publishing, write, audit, publish: each may be killed and run again, and two publishers may run at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from lakegate.errors import BadInput, LakeError, PublishConflict, VersionExists
from lakegate.failpoints import reach
from lakegate.lake.attestation import PASS, Attestation, require_attestation, sign_and_store
from lakegate.lake.client import LakeClient
from lakegate.lake.local_version import DatasetVersion
from lakegate.lake.objects import ANNOTATIONS, DECLARATION, IMAGES, MAIN, Commit, Progress
from lakegate.lake.writing import Deferred, File, Tree, Wanted, WriteSummary, write_tree
from lakegate.samples import ImportedSample
from lakegate.settings import Settings

BRANCH_DIGEST_LENGTH = 12
MAIN_MERGED_IN = "main_merged_in"
FROM_REF = "from_ref"  # on commits that make a version of what lay in lakeFS already; they may change nothing


@dataclass(frozen=True)
class VersionNote:
    """What the commits of a version say about it, for `lakegate data log`. ``publisher`` is a claimed name."""

    tag: str
    message: str
    publisher: str
    source_digest: str
    imported_from: str = ""  # the export's address as it was given; "" for what lay in lakeFS already


@dataclass(frozen=True)
class NeedsRevalidation:
    """``main`` moved and was merged into the version branch: validate and attest ``commit``, then merge again."""

    commit: str


def version_branch(tag: str, source_digest: str) -> str:
    """Return the name of the branch on which a version is prepared."""
    return f"version-{tag}-{source_digest[:BRANCH_DIGEST_LENGTH]}"


def prepare_branch(client: LakeClient, dataset: str, tag: str, source_digest: str) -> str:
    """Make the dataset's repository if needed, and the version branch at the present head of ``main``; return its name."""
    client.ensure_repository(dataset)
    branch = version_branch(tag, source_digest)
    client.create_branch(dataset, branch, client.head(dataset, MAIN).id, exist_ok=True)
    return branch


def write_changes(
    client: LakeClient,
    dataset: str,
    branch: str,
    imported: Sequence[ImportedSample],
    declaration_text: str,
    progress: Progress | None = None,
) -> WriteSummary:
    """Make the branch hold exactly these samples and this declaration; only what differs is sent, what left is deleted.

    Raises:
        BadInput: two samples have one id. ChecksumMismatch: lakeFS stored other bytes than were sent.
    """
    wanted = _statement(imported, declaration_text)
    own = _own_commit(client, dataset, branch)
    if own is not None and Tree(client, wanted).is_in(client.manifest(dataset, own).by_path):
        return WriteSummary(uploaded=0, unchanged=len(wanted), deleted=0)  # main was merged in since: keep it

    def sent(done: int, total: int) -> None:
        if done * 2 >= total:
            reach("uploading")
        if progress:
            progress(done, total)

    return write_tree(client, dataset, branch, wanted, sent)


def commit_branch(client: LakeClient, dataset: str, branch: str, note: VersionNote) -> str:
    """Commit what was written and return the commit; written before, it is the branch's head.

    Raises:
        VersionExists: the tag is taken by other content.
    """
    commit = client.commit(dataset, branch, note.message, _metadata(note))
    find_tagged(client, dataset, note.tag, client.content_digest(dataset, commit))
    reach("committed")
    return commit


def attest(
    client: LakeClient,
    settings: Settings,
    dataset: str,
    commit: str,
    *,
    report_html: str,
    report_json: bytes,
    rules_digest: str,
    publisher: str,
    verdict: str = PASS,
) -> Attestation:
    """Sign that the commit's content passed validation, and keep the report. Only the verdict "pass" is signed."""
    statement = sign_and_store(
        client,
        settings,
        dataset=dataset,
        content_digest=client.content_digest(dataset, commit),
        report_html=report_html.encode(),
        report_json=report_json,
        rules_digest=rules_digest,
        publisher=publisher,
        verdict=verdict,
    )
    reach("attested")
    return statement


def merge_version(
    client: LakeClient, settings: Settings, dataset: str, branch: str, note: VersionNote
) -> str | NeedsRevalidation:
    """Merge the attested branch into ``main`` and return the commit of the version.

    Where ``main`` moved meanwhile it is merged into the branch instead, and the branch needs validation again.

    Raises:
        Unattested: the branch's content is not attested. VersionExists: the tag is taken by other content.
        PublishConflict: another version changed the same samples meanwhile; names them.
    """
    head = client.head(dataset, branch)
    digest = client.content_digest(dataset, head.id)
    published = find_tagged(client, dataset, note.tag, digest)
    if published:
        return published
    base = client.merge_base(dataset, head.id, MAIN)
    if base == head.id:
        commit = _merged_before(client, dataset, head.id)
    elif base != client.head(dataset, MAIN).id:
        return NeedsRevalidation(_merge_main_in(client, dataset, branch, note))
    else:
        require_attestation(client, settings, dataset, head.id)
        n_samples = sum(entry.path.startswith(ANNOTATIONS) for entry in client.manifest(dataset, head.id).entries)
        metadata = {**_metadata(note), "content_digest": digest, "n_samples": str(n_samples)}
        commit = client.merge(dataset, head.id, MAIN, note.message, metadata, allow_empty=FROM_REF in head.metadata)
        reach("merged")
    if client.content_digest(dataset, commit) != digest:  # main moved between the comparison and the merge
        return NeedsRevalidation(_merge_main_in(client, dataset, branch, note))
    require_attestation(client, settings, dataset, commit)
    return commit


def tag_version(client: LakeClient, dataset: str, tag: str, commit: str) -> DatasetVersion:
    """Tag the merged commit; the same tag with the same content is the same version.

    Raises:
        VersionExists: the tag is taken by other content.
    """
    digest = client.content_digest(dataset, commit)
    try:
        client.create_tag(dataset, tag, commit)
    except VersionExists:
        commit = find_tagged(client, dataset, tag, digest) or commit
    reach("tagged")
    return DatasetVersion(dataset, tag, commit, digest)


def find_tagged(client: LakeClient, dataset: str, tag: str, digest: str) -> str | None:
    """Return the commit of a tag that holds exactly this content; ``None`` where the tag is free.

    Raises:
        VersionExists: the tag is taken by other content.
    """
    commit = client.tags(dataset).get(tag)
    if commit is None:
        return None
    present = client.content_digest(dataset, commit)
    if present != digest:
        raise VersionExists(
            f"{dataset}@{tag} exists with other content ({present[:12]}, this export gives {digest[:12]}); "
            "versions are immutable: choose another version name"
        )
    return commit


def _statement(imported: Sequence[ImportedSample], declaration_text: str) -> Wanted:
    """Return what the branch has to hold; annotation files are made when they are looked at, so they need no memory."""
    wanted: dict[str, bytes | File | Deferred] = {}
    for number, item in enumerate(imported):
        if item.annotation_object in wanted:
            raise BadInput(f"two images are the sample '{item.sample.id}', one of them {item.image}; rename one")
        wanted[item.annotation_object] = partial(_annotation_file, imported, number)
        wanted[item.image_object] = item.image
    wanted[DECLARATION] = declaration_text.encode()
    return wanted


def _annotation_file(imported: Sequence[ImportedSample], number: int) -> bytes:
    return imported[number].sample.to_json()


def _own_commit(client: LakeClient, dataset: str, branch: str) -> str | None:
    """Return the branch's last commit before ``main`` was merged in; ``None`` where it was not."""
    head = client.head(dataset, branch)
    commit = head
    while MAIN_MERGED_IN in commit.metadata and commit.metadata[MAIN_MERGED_IN] == branch:
        commit = client.head(dataset, commit.parents[0])
    return None if commit == head else commit.id


def _metadata(note: VersionNote) -> dict[str, str]:
    metadata = {"publisher": note.publisher, "version": note.tag, "source_digest": note.source_digest}
    return {**metadata, "imported_from": note.imported_from} if note.imported_from else metadata


def _merge_main_in(client: LakeClient, dataset: str, branch: str, note: VersionNote) -> str:
    main = client.head(dataset, MAIN)
    metadata = {"publisher": note.publisher, MAIN_MERGED_IN: branch}
    try:
        # also where main moved without new content: the branch has to hold its head
        return client.merge(dataset, main.id, branch, f"Merge main into {branch}", metadata, allow_empty=True)
    except PublishConflict as error:
        changes = client.diff(dataset, branch, main.id, kind="three_dot")
        paths = sorted(change.path for change in changes if change.kind == "conflict")
        names = sorted({_named(path) for path in paths})
        raise PublishConflict(
            f"{len(names)} samples or files were changed by this version and by another one that was published meanwhile "
            f"('{main.message}', commit {main.id[:12]}): {', '.join(names[:10])}{' …' if len(names) > 10 else ''}; "
            f"bring both changes together with `lakegate data merge {dataset} {branch}`, or in the export; then publish it. "
            "An export that was made after that version, and failed before, counts as it is under another version name"
        ) from error


def _named(path: str) -> str:
    for prefix in (IMAGES, ANNOTATIONS):
        if path.startswith(prefix):
            return path.removeprefix(prefix).rsplit(".", 1)[0]
    return path


def _merged_before(client: LakeClient, dataset: str, head: str) -> str:
    """Return the commit of ``main`` that merged ``head``; ``head`` itself where the branch never had an own commit."""

    def brought_it(commit: Commit) -> bool:
        return commit.id == head or head in commit.parents[1:]

    for commit in client.log(dataset, MAIN):
        if brought_it(commit):
            return commit.id
    raise LakeError(f"commit {head[:12]} of '{dataset}' is in main, but no merge of main names it; choose another version name")
