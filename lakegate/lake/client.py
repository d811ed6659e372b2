"""lakeFS as Lakegate uses it: listings as raw JSON, uploads on many connections, "no changes" is success."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from lakegate.canonical import sha256_bytes
from lakegate.errors import ChecksumMismatch, ServiceRefused, VersionExists
from lakegate.lake.bulk import many_rows
from lakegate.lake.content import Digests, digests_of
from lakegate.lake.manifest import Manifest, ManifestStore
from lakegate.lake.objects import Change, Commit, Content, ObjectEntry, Progress, load
from lakegate.lake.repository import set_up_repository
from lakegate.lake.transport import PAGE, NoChanges, Transport, part, when_raced
from lakegate.settings import Settings

SHA256 = re.compile(r"[0-9a-f]{64}")
NEAR = 20  # newest ancestors that are looked at for a known manifest


class LakeClient:
    """One client may be shared by threads. Every method raises ``ServiceUnavailable`` when lakeFS does not answer.

    ``settings`` are those that it was made with: where trusted keys, roles and secrets lie for what it reads and writes.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._transport = Transport(settings)
        self._manifests = ManifestStore(settings.cache_dir / "manifests")

    @classmethod
    def from_settings(cls, settings: Settings | None = None) -> "LakeClient":
        """Connect to the lakeFS of ``settings``, by default of this checkout."""
        return cls(settings or Settings.load())

    # -- objects

    def list_objects(self, repository: str, ref: str, prefix: str = "") -> list[ObjectEntry]:
        """List everything below ``prefix``, ascending by path (20,000 objects take about 0.2 s)."""
        url = f"repositories/{part(repository)}/refs/{part(ref)}/objects/ls"
        rows = self._transport.pages(url, f"list {repository}@{ref}", user_metadata="true", presign="false", prefix=prefix)
        return [_entry(row) for row in rows]

    def read(self, repository: str, ref: str, path: str) -> bytes:
        """Return an object's bytes, unverified; ``lake.local`` verifies them."""
        url = f"repositories/{part(repository)}/refs/{part(ref)}/objects"
        return self._transport.request("GET", url, f"read {repository}@{ref}/{path}", params={"path": path}).data

    def upload(self, repository: str, branch: str, path: str, data: Content, digests: Digests | None = None) -> None:
        """Store one object with its SHA-256 as metadata; ``digests`` saves hashing where they are known.

        Raises:
            ChecksumMismatch: lakeFS stored other bytes than were sent; they were removed from the branch again.
        """
        content = load(data)
        known = digests or digests_of(content)
        response = self._transport.request(
            "POST",
            f"repositories/{part(repository)}/branches/{part(branch)}/objects",
            f"store {path} on {repository}@{branch}",
            params={"path": path},
            body=content,
            headers={"Content-Type": "application/octet-stream", "X-Lakefs-Meta-Sha256": known.sha256},
        )
        stored = response.json()["checksum"]
        if stored != known.md5:
            self.delete_many(repository, branch, [path])
            raise ChecksumMismatch(
                f"{path}: sent bytes with MD5 {known.md5}, lakeFS stored {stored}; they were removed from {branch}; "
                "something between here and lakeFS changes bytes (a proxy, a full disk): look there, then run it again"
            )

    def upload_many(
        self, repository: str, branch: str, items: Mapping[str, Content], progress: Progress | None = None
    ) -> None:
        """Upload on all connections at once; the first error stops the rest. What was sent stays on the branch."""
        self._transport.in_parallel(lambda item: self.upload(repository, branch, *item), items.items(), progress)

    def delete_many(self, repository: str, branch: str, paths: Sequence[str]) -> None:
        """Delete objects from a branch (uncommitted); paths that are not there are no error."""
        url = f"repositories/{part(repository)}/branches/{part(branch)}/objects/delete"
        for start in range(0, len(paths), PAGE):
            batch = {"paths": list(paths[start : start + PAGE])}
            answer = self._transport.request("POST", url, f"delete objects of {repository}@{branch}", json=batch)
            failed = answer.json().get("errors") or []
            if failed:
                raise ServiceRefused(f"lakeFS did not delete {len(failed)} objects of {branch}, first: {failed[0]}")

    def has_uncommitted(self, repository: str, branch: str) -> bool:
        """Tell whether something was written to the branch and not committed."""
        return bool(self.uncommitted(repository, branch, 1))

    def uncommitted(self, repository: str, branch: str, limit: int | None = None) -> list[Change]:
        """Return what was written to the branch and not committed: at most ``limit`` changes (None: all)."""
        url = f"repositories/{part(repository)}/branches/{part(branch)}/diff"
        return [Change(row["path"], row["type"]) for row in self._transport.pages(url, f"look at {repository}@{branch}", limit)]

    def complete_sha256(self, repository: str, ref: str, entries: Iterable[ObjectEntry]) -> list[ObjectEntry]:
        """Return the entries with a SHA-256 each: those that people uploaded without one are fetched and hashed."""
        listed = list(entries)
        found: dict[str, str] = {}

        def fetch(entry: ObjectEntry) -> None:
            found[entry.path] = sha256_bytes(self.read(repository, ref, entry.path))

        self._transport.in_parallel(fetch, [entry for entry in listed if entry.sha256 is None])
        return [entry if entry.sha256 else entry._replace(sha256=found[entry.path]) for entry in listed]

    @many_rows()
    def manifest(self, repository: str, ref: str) -> Manifest:
        """Return everything that is committed at ``ref``: by a diff where an ancestor is known here, else by a listing.

        Raises:
            VersionNotFound: there is no such repository or reference.
        """
        at_once = self._manifests.of_commit(repository, ref)
        if at_once:
            return at_once
        line = self.log(repository, ref, NEAR)
        known = self._manifests.nearest(repository, [commit.meta_range_id for commit in line])
        commit = line[0]
        if known and known[0] == 0:
            return self._manifests.remember(repository, commit.meta_range_id, known[1], commit.id)
        if known:
            entries = self._brought_forward(repository, line[known[0]], commit, known[1])
        else:
            entries = self.list_objects(repository, commit.id)
        manifest = Manifest.of(self.complete_sha256(repository, commit.id, entries))
        self._manifests.keep(repository, commit.meta_range_id, manifest)
        return self._manifests.remember(repository, commit.meta_range_id, manifest, commit.id)

    def _brought_forward(self, repository: str, old: Commit, new: Commit, base: Manifest) -> list[ObjectEntry]:
        changed = self.changed_objects(repository, old.id, new.id)
        return [entry for entry in base.entries if entry.path not in changed] + [item for item in changed.values() if item]

    def changed_objects(self, repository: str, old: str, new: str, prefix: str = "") -> dict[str, ObjectEntry | None]:
        """Return what differs between two commits, by path: how it stands in ``new``; ``None`` where it is not there."""
        path = f"repositories/{part(repository)}/refs/{part(old)}/diff/{part(new)}"
        what = f"compare {old} with {new} of {repository}"
        rows = list(self._transport.pages(path, what, type="two_dot", include_right_stats="true", prefix=prefix))
        if all("right" in row for row in rows if row["type"] != "removed"):
            return {row["path"]: None if row["type"] == "removed" else _entry({**row, **row["right"]}) for row in rows}
        listed = {entry.path: entry for entry in self.list_objects(repository, new, prefix)}  # the server says too little
        return {row["path"]: listed.get(row["path"]) for row in rows}

    def content_digest(self, repository: str, ref: str) -> str:
        """Return the content digest of everything that is committed at ``ref``; give a commit, a branch may move meanwhile."""
        return self.manifest(repository, ref).content_digest

    def in_parallel(self, act: Any, items: Iterable[Any], progress: Progress | None = None) -> None:
        """Call ``act(item)`` on all connections at once."""
        self._transport.in_parallel(act, items, progress)

    # -- branches, commits, merges, tags

    def create_branch(self, repository: str, branch: str, source: str, exist_ok: bool = False) -> None:
        """Make a branch at ``source``; an existing one is left as it is where ``exist_ok``, wherever it points."""
        try:
            with self._transport.sdk(f"make branch {branch} of {repository}", {409: VersionExists}) as sdk:
                sdk.branches_api.create_branch(repository, {"name": branch, "source": source})
        except VersionExists:
            if not exist_ok:
                raise

    def delete_branch(self, repository: str, branch: str) -> None:
        """Remove a branch; its commits stay."""
        with self._transport.sdk(f"delete branch {branch} of {repository}") as sdk:
            sdk.branches_api.delete_branch(repository, branch)

    def branches(self, repository: str, prefix: str = "") -> dict[str, str]:
        """Return the commit of each branch whose name begins with ``prefix``."""
        rows = self._transport.pages(f"repositories/{part(repository)}/branches", f"list {repository}", prefix=prefix)
        return {row["id"]: row["commit_id"] for row in rows}

    def commit(
        self, repository: str, branch: str, message: str, metadata: Mapping[str, str], allow_empty: bool = False
    ) -> str:
        """Commit what is staged and return the commit; with nothing staged, the branch's head, unless ``allow_empty``."""
        body = {"message": message, "metadata": dict(metadata), "allow_empty": allow_empty}

        def act() -> str:
            with self._transport.sdk(f"commit on {repository}@{branch}") as sdk:
                return str(sdk.commits_api.commit(repository, branch, body).id)

        try:
            return when_raced(act)
        except NoChanges:
            return self.head(repository, branch).id

    def merge(
        self, repository: str, source: str, destination: str, message: str, metadata: Mapping[str, str],
        *, allow_empty: bool = False, keep_ours: bool = False,
    ) -> str:  # fmt: skip
        """Merge ``source`` (a branch or commit) and return the merge commit; with nothing new, the destination's head.

        ``allow_empty`` makes a commit also where both hold the same; with ``keep_ours``, what both changed stays as it is.

        Raises:
            PublishConflict: both sides changed the same object.
        """
        body = {"message": message, "metadata": dict(metadata), "allow_empty": allow_empty}
        if keep_ours:
            body["strategy"] = "dest-wins"

        def act() -> str:
            with self._transport.sdk(f"merge {source} into {repository}@{destination}") as sdk:
                return str(sdk.refs_api.merge_into_branch(repository, source, destination, body).reference)

        try:
            return when_raced(act)
        except NoChanges:
            return self.head(repository, destination).id

    def merge_base(self, repository: str, source: str, destination: str) -> str:
        """Return the newest commit that both have."""
        url = f"repositories/{part(repository)}/refs/{part(source)}/merge/{part(destination)}"
        answer = self._transport.request("GET", url, f"compare {source} with {repository}@{destination}")
        return str(answer.json()["base_commit_id"])

    def diff(self, repository: str, old: str, new: str, kind: str = "two_dot") -> list[Change]:
        """Return what differs from ``old`` to ``new``; ``three_dot`` compares with their common base and shows conflicts."""
        path = f"repositories/{part(repository)}/refs/{part(old)}/diff/{part(new)}"
        rows = self._transport.pages(path, f"compare {old} with {new} of {repository}", type=kind)
        return [Change(row["path"], row["type"]) for row in rows]

    def head(self, repository: str, ref: str) -> Commit:
        """Return the commit that a branch, tag or commit id stands for.

        Raises:
            VersionNotFound: there is no such repository or reference.
        """
        url = f"repositories/{part(repository)}/commits/{part(ref)}"
        return _commit(self._transport.request("GET", url, f"find {repository}@{ref}").json())

    def log(self, repository: str, ref: str, amount: int | None = None, first_parent: bool = True) -> list[Commit]:
        """Return the newest ``amount`` commits of ``ref`` (None: all), newest first."""
        path = f"repositories/{part(repository)}/refs/{part(ref)}/commits"
        only = str(first_parent).lower()
        return [_commit(row) for row in self._transport.pages(path, f"read the log of {repository}", amount, first_parent=only)]

    def tags(self, repository: str) -> dict[str, str]:
        """Return the commit of each tag."""
        rows = self._transport.pages(f"repositories/{part(repository)}/tags", f"list the tags of {repository}")
        return {row["id"]: row["commit_id"] for row in rows}

    def create_tag(self, repository: str, tag: str, commit: str) -> None:
        """Tag a commit; the same tag on the same commit is fine.

        Raises:
            VersionExists: the tag stands on another commit.
        """
        try:
            with self._transport.sdk(f"tag {repository}@{tag}", {409: VersionExists}) as sdk:
                sdk.tags_api.create_tag(repository, {"id": tag, "ref": commit})
        except VersionExists as error:
            taken = self.head(repository, tag).id
            if taken != commit:
                raise VersionExists(
                    f"{repository}@{tag} is commit {taken[:12]} already, expected {commit[:12]}; choose another version name"
                ) from error

    # -- repositories

    def repositories(self) -> list[str]:
        """Return the names of all repositories."""
        return [str(row["id"]) for row in self._transport.pages("repositories", "list the repositories")]

    def ensure_repository(self, name: str, protected_branches: tuple[str, ...] = ("main",)) -> None:
        """Make the repository if it is missing, and repair its protection; returns when the protection holds."""
        set_up_repository(self, self._transport, name, protected_branches)


def _entry(row: dict[str, Any]) -> ObjectEntry:
    claimed = (row.get("metadata") or {}).get("sha256", "")
    sha256 = claimed if SHA256.fullmatch(claimed) else None  # anybody may write metadata: it must not become a path
    return ObjectEntry(row["path"], row["checksum"], int(row["size_bytes"]), sha256)


def _commit(row: dict[str, Any]) -> Commit:
    return Commit(
        id=row["id"],
        meta_range_id=row["meta_range_id"],
        message=row["message"],
        metadata=row.get("metadata") or {},
        created_at=datetime.fromtimestamp(row["creation_date"], UTC),
        parents=tuple(row["parents"]),
    )
