"""Who changed each object of a sample last: when, and with which version."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from lakegate.errors import UnknownName, nearest
from lakegate.lake.client import LakeClient
from lakegate.lake.local import fetch_object
from lakegate.lake.object_identity import content_of, identify_objects
from lakegate.lake.object_merge import describe_object
from lakegate.lake.objects import ANNOTATIONS, Commit
from lakegate.lake.versions import pin, versions_behind
from lakegate.samples import Annotation, Sample, annotation_object, sample_id_of, with_ids
from lakegate.settings import Settings

Change = Literal["added", "moved", "reclassified", "edited"]


@dataclass(frozen=True)
class BlamedObject:
    """The last change of one object.

    ``version`` is "" where no version has the change yet; ``by`` is the claimed name of who published it, ``author`` of who
    drew it, where an annotation tool said so. ``before`` is the object in words as it was, "" where it was added.
    """

    object_id: str
    words: str
    change: Change
    version: str
    commit: str
    by: str
    at: datetime
    author: str
    before: str


@dataclass(frozen=True)
class _State:
    """The sample at one commit; ``sha256`` of its annotation file, ``None`` where the sample is not there."""

    version: str
    commit: Commit
    sha256: str | None
    sample: Sample | None

    @property
    def objects(self) -> list[Annotation]:
        return with_ids(self.sample.annotations) if self.sample else []


def blame_sample(client: LakeClient, settings: Settings, dataset: str, sample_id: str, ref: str) -> list[BlamedObject]:
    """Return the last change of each object that the sample has at ``ref``, in the order of its annotation file.

    Versions are walked newest first; an object is followed by its id, its content, its track, then its shape. What changed
    after the newest version in the history of ``ref`` has no version yet.

    Raises:
        VersionNotFound: there is no such dataset or reference. UnknownName: no such sample there; names the nearest one.
    """
    states = _history(client, settings, dataset, sample_id, ref)
    blamed: dict[int, BlamedObject] = {}
    objects = states[0].objects
    place = {number: number for number in range(len(objects))}  # object now → the same one in the state that is looked at
    for state, older in zip(states, [*states[1:], None], strict=True):
        if older is not None and older.sha256 == state.sha256:
            continue
        place = _walk_back(state, older, place, blamed)
    return [blamed[number] for number in sorted(blamed)]


def _walk_back(
    state: _State, older: _State | None, place: dict[int, int], blamed: dict[int, BlamedObject]
) -> dict[int, int]:
    """Blame ``state`` for what ``older`` has otherwise or not; return where the other objects stand in ``older``."""
    after, before = state.objects, older.objects if older else []
    size_px = (state.sample.width_px, state.sample.height_px) if state.sample else (0, 0)
    partner = {j: i for i, j in identify_objects(before, after, size_px).pairs}
    unchanged: dict[int, int] = {}
    for number, j in place.items():
        i = partner.get(j)
        if i is not None and content_of(before[i]) == content_of(after[j]):
            unchanged[number] = i
        else:
            blamed[number] = _blame(state, after[j], None if i is None else before[i])
    return unchanged


def _blame(state: _State, item: Annotation, before: Annotation | None) -> BlamedObject:
    return BlamedObject(
        object_id=item.id,
        words=describe_object(item),
        change=_change(before, item),
        version=state.version,
        commit=state.commit.id,
        by=state.commit.metadata.get("publisher", ""),
        at=state.commit.created_at,
        author=item.author,
        before=describe_object(before) if before else "",
    )


def _change(before: Annotation | None, item: Annotation) -> Change:
    if before is None:
        return "added"
    if before.label != item.label:
        return "reclassified"
    return "moved" if before.geometry != item.geometry else "edited"


def _history(client: LakeClient, settings: Settings, dataset: str, sample_id: str, ref: str) -> list[_State]:
    """Return the sample at ``ref`` and in each version of its history, newest first."""
    head = client.head(dataset, pin(client, f"{dataset}@{ref}").commit)
    versions = versions_behind(client, dataset, head)
    states = [_state(client, settings, dataset, sample_id, tag, commit) for tag, commit in versions]
    if states[0].sample is None:
        entries = client.manifest(dataset, head.id).entries
        known = [sample_id_of(entry.path) for entry in entries if entry.path.startswith(ANNOTATIONS)]
        raise UnknownName(f"{dataset}@{ref} has no sample '{sample_id}'{nearest(sample_id, known)}")
    return states


def _state(client: LakeClient, settings: Settings, dataset: str, sample_id: str, tag: str, commit: Commit) -> _State:
    path = annotation_object(sample_id)
    for entry in client.complete_sha256(dataset, commit.id, client.list_objects(dataset, commit.id, path)):
        if entry.path == path:
            data = fetch_object(client, settings, dataset, commit.id, entry).read_bytes()
            return _State(tag, commit, entry.sha256, Sample.from_json(sample_id, data))
    return _State(tag, commit, None, None)
