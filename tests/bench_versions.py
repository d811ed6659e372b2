"""Recording, getting and comparing versions: `lakegate.lake` called directly, beside DVC and git-lfs on the same files."""

import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from infra import processes
from lakegate.lake import publish
from lakegate.lake.changes import open_changes
from lakegate.lake.client import LakeClient
from lakegate.lake.diff import diff_versions
from lakegate.lake.local_version import DatasetVersion
from lakegate.lake.publish import NeedsRevalidation, VersionNote
from lakegate.lake.versions import pin
from lakegate.lake.working_folder import get_version
from lakegate.lake.writing import write_tree
from lakegate.settings import Settings
from tests.bench_files import ADDED_SHARE, CHANGED_SHARE, write_first, write_second
from tests.bench_peers import Dvc, GitLfs, Peer, PeerMissing
from tests.bench_rows import Row

DATASET = "bench-files"
WANTED = {  # the least times faster than the peer
    ("record v1", "dvc"): 3.0,
    ("record v1", "git-lfs"): 1.0,
    ("record v2", "dvc"): 15.0,
    ("record v2", "git-lfs"): 1.0,
    ("get v2", "dvc"): 4.0,
    ("get v2", "git-lfs"): 1 / 1.5,
}
DIFF_LIMIT_S = 2.0
GROWTH_LIMIT = 1.25  # times the bytes of the changed files: lakeFS writes its own listing of them, too
MB = 1e6


@dataclass
class Steps:
    """How long each step took, and which processor time this process and the lakeFS server spent, in seconds."""

    seconds: dict[str, float] = field(default_factory=dict)
    cpu_s: tuple[float, float] = (0.0, 0.0)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure one step."""
        started = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

    @property
    def total_s(self) -> float:
        return sum(self.seconds.values())

    @property
    def words(self) -> str:
        """The steps that took longest."""
        longest = sorted(self.seconds.items(), key=lambda item: -item[1])[:3]
        spent = f"processor time: {self.cpu_s[0]:.1f} s here, {self.cpu_s[1]:.1f} s in lakeFS, on {os.cpu_count()} cores"
        return f"{', '.join(f'{name} {seconds:.1f} s' for name, seconds in longest)}; {spent}"


@contextmanager
def lakefs(home: Path) -> Iterator[Settings]:
    """A lakeFS server of its own with a publisher's state in ``home``."""
    from infra.lakefs_binary import find_or_build
    from infra.lakefs_server import start_lakefs, stop_lakefs
    from infra.publisher_key import ensure_publisher_key
    from infra.stack import write_stack_file

    home.mkdir(parents=True)
    os.environ["LAKEGATE_HOME"] = str(home)
    ensure_publisher_key(home)
    try:
        endpoint = start_lakefs(home, find_or_build(Settings.load(), print).path)
        write_stack_file(home, lakefs_endpoint=endpoint, prefect_api_url="", reports_url="")
        yield Settings.load()
    finally:
        stop_lakefs(home)


def record(client: LakeClient, settings: Settings, dataset: str, tag: str, folder: Path) -> tuple[DatasetVersion, Steps]:
    """Record the files of ``folder`` as a version: scan, hash, send, commit, attest, merge, tag."""
    steps = Steps()
    cpu_before = _cpu_s(settings)
    with steps.step("scan"):
        wanted: dict[str, os.PathLike[str]] = {"dataset.toml": folder / "dataset.toml"}
        for name in ("images", "annotations"):
            wanted |= {f"{name}/{entry.name}": entry for entry in os.scandir(folder / name)}
    note = VersionNote(tag, tag, settings.user, secrets.token_hex(32))
    with steps.step("branch"):
        branch = publish.prepare_branch(client, dataset, tag, note.source_digest)
    with steps.step("hash and send"):
        written = write_tree(client, dataset, branch, wanted)
    with steps.step("commit"):
        commit = publish.commit_branch(client, dataset, branch, note)
    with steps.step("attest"):
        rules = {"report_html": "<p>bench</p>", "rules_digest": "0" * 64, "publisher": settings.user}
        publish.attest(client, settings, dataset, commit, report_json=b"{}", **rules)
    with steps.step("merge and tag"):
        merged = publish.merge_version(client, settings, dataset, branch, note)
        if isinstance(merged, NeedsRevalidation):
            raise SystemExit("main moved while the bench ran")
        version = publish.tag_version(client, dataset, tag, merged)
    ours_s, lakefs_s = (after - before for after, before in zip(_cpu_s(settings), cpu_before, strict=True))
    steps.cpu_s = (ours_s, lakefs_s)
    print(f"  ours {tag}: {steps.total_s:.2f} s, {written.uploaded} objects sent ({steps.words})", flush=True)
    return version, steps


def _cpu_s(settings: Settings) -> tuple[float, float]:
    """Return the processor time that this process and the lakeFS server of this state folder have spent so far."""
    server = processes.recorded(settings.home, "lakefs")
    found = None if server is None else processes.find(server)
    return sum(os.times()[:2]), 0.0 if found is None else sum(found.cpu_times()[:2])


def reader_of(settings: Settings, home: Path) -> Settings:
    """Return settings of another machine: an empty cache, and the publisher's public key."""
    shutil.copytree(settings.home / "keys", home / "keys")
    return settings.model_copy(update={"home": home})


def bench_versions(folder: Path, n_images: int) -> list[Row]:
    """Measure ours and both peers on ``n_images`` images with a label file each."""
    files = folder / "files"
    print(f"writing {n_images} images of 20 to 100 KB with a label file each", flush=True)
    write_first(files, n_images)
    peers = list(_peers(folder / "peers", files))
    n_changed, n_added = max(int(n_images * CHANGED_SHARE), 1), max(int(n_images * ADDED_SHARE), 1)
    with lakefs(folder / "publisher") as settings:
        client = LakeClient(settings)
        client.ensure_repository(DATASET)
        reader = reader_of(settings, folder / "reader")
        first, steps_v1 = record(client, settings, DATASET, "v1", files)
        seconds = {("record v1", peer.name): peer.record("v1") for peer in peers}
        get_version(LakeClient(reader), reader, first, folder / "got")
        for peer in peers:
            peer.clone_at("v1")
        n_bytes = write_second(files, n_images, n_changed, n_added)
        for peer in peers:
            write_second(peer.work, n_images, n_changed, n_added)
        time.sleep(2)  # both sides know files of the last two seconds less well
        before, listed_before = _sizes_bytes(settings.home / "lakefs" / "data")
        second, steps_v2 = record(client, settings, DATASET, "v2", files)
        after, listed_after = _sizes_bytes(settings.home / "lakefs" / "data")
        growth, listed = after - before, listed_after - listed_before
        seconds |= {("record v2", peer.name): peer.record("v2") for peer in peers}
        get_s = _get_second(reader, folder / "got")
        seconds |= {("get v2", peer.name): peer.get("v2") for peer in peers}
        diff_s = _diff_s(settings, first, second)
    ours = {
        "record v1": (steps_v1.total_s, steps_v1.words),
        "record v2": (steps_v2.total_s, steps_v2.words),
        "get v2": (get_s, "one commit's diff, its files, and a look at every file of the folder"),
    }
    rows = [
        Row(name, *ours[name][:1], seconds[name, peer.name], peer.name, "s", WANTED[name, peer.name], reason=ours[name][1])
        for peer in peers
        for name in ours
    ]
    limit = f"limit: {GROWTH_LIMIT} x what changed"
    reason = (
        f"{listed / MB:.1f} MB are lakeFS's own listing, {listed / n_images / 2:.0f} bytes per object of the version: changes "
        f"all over it make it be written whole; objects and reports grew by {(growth - listed) / MB:.1f} MB"
    )
    grown = Row("storage growth by v2", growth / MB, GROWTH_LIMIT * n_bytes / MB, limit, "MB", reason=reason)
    return [*rows, grown, Row("exact object-level diff v1 to v2", diff_s, DIFF_LIMIT_S, "limit", "s")]


def _peers(folder: Path, files: Path) -> Iterator[Peer]:
    for kind in (Dvc, GitLfs):
        try:
            peer = kind(folder / kind.name)
        except PeerMissing as error:
            print(f"no rows for {kind.name}: {error}", file=sys.stderr)
            continue
        for name in ("images", "annotations"):
            shutil.copytree(files / name, peer.work / name)
        yield peer


def _get_second(reader: Settings, folder: Path) -> float:
    started = time.perf_counter()
    client = LakeClient(reader)
    done = get_version(client, reader, pin(client, f"{DATASET}@v2"), folder)
    seconds = time.perf_counter() - started
    print(f"  ours get v2: {seconds:.2f} s, {done.written} files written", flush=True)
    return seconds


def _diff_s(settings: Settings, old: DatasetVersion, new: DatasetVersion) -> float:
    open_changes(LakeClient(settings), settings, old, new)  # annotation files into the cache
    started = time.perf_counter()
    diff_versions(*open_changes(LakeClient(settings), settings, old, new))
    return time.perf_counter() - started


def _sizes_bytes(folder: Path) -> tuple[int, int]:
    """Return the size of everything in the store, and of lakeFS's own listings in it."""
    sizes = [(path, path.stat().st_size) for path in folder.rglob("*") if path.is_file()]
    return sum(size for _, size in sizes), sum(size for path, size in sizes if "_lakefs" in path.parts)
