"""What a merge of two branches comes to, before anything is written: files to put, and conflicts with both sides."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from lakegate.catalog import declaration_path
from lakegate.declarations import DatasetDeclaration
from lakegate.errors import BadInput, nearest
from lakegate.lake.client import LakeClient
from lakegate.lake.local import fetch_object
from lakegate.lake.object_merge import ABSENT, REMOVED, MergeConflict, Side, merge_samples
from lakegate.lake.objects import ACTIONS, ANNOTATIONS, DECLARATION, IMAGES, MAIN, ObjectEntry
from lakegate.lake.repository import read_actions
from lakegate.lifecycle.label_file_form import find_fault, unknown_keys
from lakegate.quality.validation import count_of
from lakegate.samples import Sample, annotation_object, sample_id_of
from lakegate.settings import Settings

SIDES: tuple[Side, Side] = ("ours", "theirs")
SHOWN = 10
Listing = Mapping[str, ObjectEntry]


@dataclass(frozen=True)
class MergePlan:
    """``files`` are to be put on the merge branch (``None``: removed); everything else lakeFS merges by itself."""

    files: Mapping[str, bytes | None]
    conflicts: tuple[MergeConflict, ...]
    merged: tuple[str, ...]  # samples whose objects were merged
    n_ours: int  # files that only ours changed
    n_theirs: int

    def lines(self, ours: str, theirs: str) -> list[str]:
        """Return what is merged in words."""
        lines = [f"files changed on {ours} only: {self.n_ours}; on {theirs} only: {self.n_theirs}"]
        if self.merged:
            named = f"{', '.join(self.merged[:SHOWN])}{' …' if len(self.merged) > SHOWN else ''}"
            lines.append(f"{count_of(len(self.merged), 'sample')} changed on both, merged object by object: {named}")
        return lines


class ThreeStates:
    """Everything in three commits: the base that both sides have, ours, theirs."""

    def __init__(self, client: LakeClient, settings: Settings, dataset: str, base: str, ours: str, theirs: str) -> None:
        self._client, self._settings, self._dataset = client, settings, dataset
        self._commits = (base, ours, theirs)
        self.listings: tuple[Listing, ...] = tuple(client.manifest(dataset, commit).by_path for commit in self._commits)

    def sha256(self, path: str) -> list[str | None]:
        """Return the SHA-256 in all three; ``None`` where the path is not there."""
        return [listing[path].sha256 if path in listing else None for listing in self.listings]

    def read(self, path: str) -> list[bytes | None]:
        """Return the verified bytes in all three."""
        return [self._bytes(number, path) for number in range(3)]

    def of(self, side: Side, path: str) -> bytes | None:
        """Return the verified bytes on one side."""
        return self._bytes(1 + SIDES.index(side), path)

    def _bytes(self, number: int, path: str) -> bytes | None:
        entry = self.listings[number].get(path)
        if entry is None:
            return None
        commit = self._commits[number]
        return fetch_object(self._client, self._settings, self._dataset, commit, entry).read_bytes()


def plan_merge(
    states: ThreeStates, declaration: DatasetDeclaration, settings: Settings, resolve: Mapping[str, Side]
) -> MergePlan:
    """Decide what becomes of every file that both sides changed in different ways.

    Args:
        states: the three commits.
        declaration: of the checkout; its ``dataset.toml`` counts where the two sides differ.
        settings: where the declaration lies.
        resolve: the side that decides, by sample id or path; "" for all others.

    Raises:
        BadInput: ``resolve`` names something that was not changed on both sides.
    """
    planning = _Planning(states, settings, declaration, resolve)
    paths = sorted({path for listing in states.listings for path in listing})
    only = [0, 0]
    for path in paths:
        base, ours, theirs = states.sha256(path)
        if ours == theirs or base in (ours, theirs):
            only[0] += ours != base and ours != theirs
            only[1] += theirs != base and ours != theirs
        else:
            planning.decide(path)
    planning.check_names()
    return MergePlan(planning.files, tuple(planning.conflicts), tuple(planning.merged), only[0], only[1])


@dataclass
class _Planning:
    """The plan under way."""

    states: ThreeStates
    settings: Settings
    declaration: DatasetDeclaration
    resolve: Mapping[str, Side]
    files: dict[str, bytes | None] = field(default_factory=dict)
    conflicts: list[MergeConflict] = field(default_factory=list)
    merged: list[str] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)  # names of what a side could decide

    def decide(self, path: str) -> None:
        """Merge one file that both sides changed, or add a conflict."""
        if path == DECLARATION:
            self.files[path] = declaration_path(self.settings, self.declaration.name).read_bytes()
        elif path.startswith(ACTIONS):
            self.files[path] = read_actions((MAIN,)).get(path)
        elif path.startswith(ANNOTATIONS) and path == annotation_object(sample_id_of(path)):
            self._sample(path)
        elif path.startswith(IMAGES):
            self._whole(sample_id_of(path), f"image {path}", path, lambda: self._take_image(path))
        else:
            self._whole(path, "file", path, lambda: self._take([path], self._side(path)))

    def _sample(self, path: str) -> None:
        name = sample_id_of(path)
        base, ours, theirs = self.states.read(path)
        if ours is None or theirs is None:
            self._whole(name, "sample", path, lambda: self._take(self._paths_of(name), self._side(name)))
            return
        faults = [_unusable(data) for data in (base, ours, theirs) if data is not None]
        if any(faults):
            what = f"annotation file, whose objects cannot be merged ({next(fault for fault in faults if fault)})"
            self._whole(name, what, path, lambda: self._take([path], self._side(name)))
            return
        before = None if base is None else Sample.from_json(name, base)
        result = merge_samples(before, Sample.from_json(name, ours), Sample.from_json(name, theirs), self._side(name))
        self.conflicts += result.conflicts
        if not result.conflicts:
            self.files[path] = result.sample.to_json()
            self.merged.append(name)

    def _whole(self, name: str, what: str, path: str, take: Callable[[], None]) -> None:
        """Take all of one side, where one was named; else the two sides are a conflict."""
        if self._side(name):
            take()
            return
        base, *sides = self.states.sha256(path)
        words = [ABSENT if base is None else f"SHA-256 {base[:12]}"]
        words += [REMOVED if side is None else f"SHA-256 {side[:12]}" for side in sides]
        self.conflicts.append(MergeConflict(name, what, *words))

    def _take_image(self, path: str) -> None:
        name = sample_id_of(path)
        self._take([one for one in self._paths_of(name) if one.startswith(IMAGES)], self._side(name))

    def _take(self, paths: Sequence[str], side: Side | None) -> None:
        if side:
            self.files |= {path: self.states.of(side, path) for path in paths}

    def check_names(self) -> None:
        """Refuse a resolution for something that is in no conflict: it is a typing slip."""
        for name in self.resolve:
            if name and name not in self.asked:
                raise BadInput(f"'{name}' is not changed on both sides{nearest(name, self.asked)}")

    def _side(self, name: str) -> Side | None:
        self.asked.add(name)
        return self.resolve.get(name) or self.resolve.get("")

    def _paths_of(self, name: str) -> list[str]:
        """Return the annotation file and every image of a sample, on whichever side."""
        everywhere = {path for listing in self.states.listings for path in listing if path.startswith(IMAGES)}
        return [annotation_object(name), *sorted(path for path in everywhere if sample_id_of(path) == name)]


def _unusable(data: bytes) -> str:
    fault = find_fault(data)
    if fault:
        return fault
    unknown = unknown_keys(data)
    return f"unknown keys {', '.join(unknown)}" if unknown else ""
