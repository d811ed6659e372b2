"""Which version of a dataset last changed what a flip is about: all flips of a dataset are followed back together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from lakegate.errors import BadInput
from lakegate.evaluation.judged import Flip
from lakegate.evaluation.matrix import Matrix
from lakegate.lake.client import LakeClient
from lakegate.lake.local import fetch_objects
from lakegate.lake.local_version import LocalVersion
from lakegate.lake.object_identity import content_of, identify_objects
from lakegate.lake.objects import ANNOTATIONS
from lakegate.lake.versions import versions_behind
from lakegate.samples import Annotation, Sample, annotation_object
from lakegate.settings import Settings

_Place = int | None  # of an object among a sample's annotations; None: all labels of the sample together


@dataclass
class _Trail:
    """One sample as an earlier version has it, and where what is asked for stands there, by its place in the judged one.

    ``renamed``: old names of labels to the names that the judged version has for them: a rename is no change.
    """

    sample: Sample
    renamed: Mapping[str, str]
    places: dict[_Place, _Place] = field(default_factory=dict)

    def step_back(self, before: Sample | None) -> list[_Place]:
        """Go on to the state before; returns what was otherwise there or was not there, and follows it no further."""
        old, new = self._named_as_now(before), self._named_as_now(self.sample)
        pairs = identify_objects(old, new, (self.sample.width_px, self.sample.height_px)).pairs
        same: dict[_Place, _Place] = {j: i for i, j in pairs if _says_the_same(old[i], new[j])}
        if before is not None and len(same) == len(old) == len(new):
            same[None] = None
        changed = [place for place, now in self.places.items() if now not in same]
        self.places = {place: same[now] for place, now in self.places.items() if now in same}
        self.sample = before or self.sample
        return changed

    def _named_as_now(self, sample: Sample | None) -> list[Annotation]:
        found = sample.annotations if sample else ()
        return [replace(item, label=self.renamed[item.label]) if item.label in self.renamed else item for item in found]


def name_versions(
    client: LakeClient, settings: Settings, matrix: Matrix, judged: Iterable[LocalVersion], before: LocalVersion | None
) -> Matrix:
    """Return the matrix with the version of each flip: the one that last changed the object, as `lakegate data blame` says.

    Unlike there, a new name that ``[rename]`` of the judged version gives to a label changes no object. Of a new false alarm,
    which is no labelled object, it is the version that last changed any label of the sample. A flip on a superseded sample is
    followed back from the version whose labels it was judged on.

    Args:
        judged: the versions whose samples were judged, one for each dataset.
        before: the version that superseded samples are judged as.

    Raises:
        ChecksumMismatch: bytes in lakeFS are not those that an earlier version promises.
    """
    by_name = {item.version.dataset: item for item in judged}
    if before is not None:
        by_name[before.version.reference] = before
    flips = (*matrix.flips, *matrix.superseded_flips)
    found = {
        name: last_changes(client, settings, version, [flip for flip in flips if flip.dataset == name])
        for name, version in by_name.items()
    }

    def named(unnamed: Sequence[Flip]) -> tuple[Flip, ...]:
        return tuple(replace(flip, version=found[flip.dataset][flip.sample_id, flip.object_index]) for flip in unnamed)

    return replace(matrix, flips=named(matrix.flips), superseded_flips=named(matrix.superseded_flips))


def last_changes(
    client: LakeClient, settings: Settings, version: LocalVersion, flips: Iterable[Flip]
) -> dict[tuple[str, _Place], str]:
    """Return the version that last changed what each flip is about, by sample and place of the object.

    Costs one diff for each version before, and the label files of these samples where they differ. What changed after the
    newest version goes by the reference that was asked for.
    """
    trails = _trails(version, flips)
    if not trails:
        return {}
    dataset, commit = version.version.dataset, version.version.commit
    history = versions_behind(client, dataset, client.head(dataset, commit))
    found: dict[tuple[str, _Place], str] = {}
    tag = history[0][0] or version.version.tag
    for (_, newer), (older_tag, older) in pairwise(history):
        for sample_id, sample in _changed_samples(client, settings, dataset, newer.id, older.id, trails).items():
            found |= {(sample_id, place): tag for place in trails[sample_id].step_back(sample)}
            if not trails[sample_id].places:
                del trails[sample_id]
        if not trails:
            break
        tag = older_tag
    return found | {(sample_id, place): tag for sample_id, trail in trails.items() for place in trail.places}


def _says_the_same(old: Annotation, new: Annotation) -> bool:
    return old == new or content_of(old) == content_of(new)


def _trails(version: LocalVersion, flips: Iterable[Flip]) -> dict[str, _Trail]:
    asked = {(flip.sample_id, flip.object_index) for flip in flips}
    names = {sample_id for sample_id, _ in asked}
    renamed = _followed(version.declaration.rename, version.declaration.labels)
    trails = {sample.id: _Trail(sample, renamed) for sample in version.samples if sample.id in names}
    for sample_id, place in asked:
        trails[sample_id].places[place] = place
    return trails


def _followed(rename: Mapping[str, str], labels: Sequence[str]) -> dict[str, str]:
    """Return old name to name now, for old names that are no label any more; a name given twice is followed to the end."""
    found = {old: new for old, new in rename.items() if old not in labels}
    for _ in found:
        found = {old: found.get(new, new) for old, new in found.items()}
    return found


def _changed_samples(
    client: LakeClient, settings: Settings, dataset: str, newer: str, older: str, names: Iterable[str]
) -> dict[str, Sample | None]:
    """Return those of the samples whose label file is another one in ``older``, as it is there; ``None``: not there.

    A file that is no sample counts as not there: somebody tagged it past the rules, and what came after put it right.
    """
    changed = client.changed_objects(dataset, newer, older, ANNOTATIONS)
    entries = {name: changed[annotation_object(name)] for name in names if annotation_object(name) in changed}
    files = fetch_objects(client, settings, dataset, older, [entry for entry in entries.values() if entry])
    return {name: _read(name, files[entry.path]) if entry else None for name, entry in entries.items()}


def _read(sample_id: str, path: Path) -> Sample | None:
    try:
        return Sample.from_json(sample_id, path.read_bytes())
    except BadInput:
        return None
