"""Read what people left on a branch: files edited by hand, labels without image, images without labels; each fault is a row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from lakegate.catalog import parse_dataset
from lakegate.declarations import DatasetDeclaration
from lakegate.errors import BadInput
from lakegate.lake.client import LakeClient
from lakegate.lake.local import fetch_objects
from lakegate.lake.local_version import DatasetVersion, LocalImage, LocalVersion
from lakegate.lake.objects import ACTIONS, ANNOTATIONS, DECLARATION, IMAGES, ObjectEntry
from lakegate.lifecycle.label_file_form import find_fault, unknown_keys
from lakegate.quality.problems import SampleProblem
from lakegate.quality.validation import count_of
from lakegate.samples import Sample, annotation_object, sample_id_of
from lakegate.settings import Settings

SHOWN = 10


@dataclass(frozen=True)
class RefContent:
    """What lies at a commit, as far as it can be read.

    ``problems`` has one row per file that is not usable; ``canonical`` holds the bytes that files edited by hand should have.
    """

    local: LocalVersion
    problems: tuple[SampleProblem, ...]
    notes: tuple[str, ...]
    canonical: Mapping[str, bytes] = field(default_factory=dict)


def read_content(
    client: LakeClient, settings: Settings, version: DatasetVersion, declaration: DatasetDeclaration | None = None
) -> RefContent:
    """Read a commit that nobody attested; nothing is dropped without a row or a note.

    Args:
        declaration: instead of the commit's own ``dataset.toml``.

    Raises:
        BadInput, BadDeclaration: the commit holds no usable declaration, and none was given.
        ChecksumMismatch: bytes in lakeFS are not those that the listing promises.
    """
    listed = client.manifest(version.dataset, version.commit).entries
    entries = [item for item in listed if item.path == DECLARATION or item.path.startswith((IMAGES, ANNOTATIONS))]
    paths = fetch_objects(client, settings, version.dataset, version.commit, entries)
    problems, image_paths, label_paths = _sort_files(entries)
    notes = _foreign_note(listed)
    samples, canonical, odd = [], {}, list[str]()
    for name, path in sorted(label_paths.items()):
        data = paths[path].read_bytes()
        fault = find_fault(data)
        if fault:
            problems.append(SampleProblem(name, path, "label_file_readable", fault))
            continue
        sample = Sample.from_json(name, data)
        samples.append(sample)
        if unknown_keys(data):
            odd.append(f"{path} ({', '.join(unknown_keys(data))})")
        elif sample.to_json() != data:
            canonical[path] = sample.to_json()
    if odd:
        notes.append(_counted(odd, "annotation file", "with keys that Lakegate does not know, kept as written"))
    if canonical:
        words = "not in canonical form (edited by hand?), rewritten in the version"
        notes.append(_counted(list(canonical), "annotation file", words))
    if declaration is None:
        declaration = _declaration_of(version, paths[DECLARATION].read_bytes() if DECLARATION in paths else None)
    sha256 = {entry.path: str(entry.sha256) for entry in entries}
    images = {name: LocalImage(paths[path], sha256[path]) for name, path in image_paths.items()}
    return RefContent(LocalVersion(version, declaration, tuple(samples), images), tuple(problems), tuple(notes), canonical)


def _sort_files(entries: Sequence[ObjectEntry]) -> tuple[list[SampleProblem], dict[str, str], dict[str, str]]:
    """Return what is wrong with the names of the files, and the path of each sample's image and label file."""
    problems: list[SampleProblem] = []
    images: dict[str, str] = {}
    labels: dict[str, str] = {}
    for path in sorted(entry.path for entry in entries if entry.path != DECLARATION):
        name = sample_id_of(path)
        if ".." in PurePosixPath(path).parts:
            problems.append(SampleProblem(name, path, "path_stays_inside", "the path leads out of the dataset; rename it"))
        elif path.startswith(IMAGES):
            other = images.setdefault(name, path)
            if other != path:
                reason = f"{other} is the same sample; rename or delete one of the two images"
                problems.append(SampleProblem(name, path, "one_image_per_sample", reason))
        elif path != annotation_object(name):
            reason = f"expected {annotation_object(name)}; rename or delete it"
            problems.append(SampleProblem(name, path, "label_file_readable", reason))
        else:
            labels[name] = path
    for name in sorted(images.keys() - labels.keys()):
        reason = (
            f"the image has no {annotation_object(name)}; add one (an empty list of annotations means background), "
            "or delete the image"
        )
        problems.append(SampleProblem(name, images[name], "label_file_exists", reason))
    return problems, images, labels


def _foreign_note(listed: Sequence[ObjectEntry]) -> list[str]:
    known = (IMAGES, ANNOTATIONS, ACTIONS)
    foreign = [entry.path for entry in listed if entry.path != DECLARATION and not entry.path.startswith(known)]
    return [_counted(foreign, "file", "of no sample, kept in the version and read by nothing")] if foreign else []


def _declaration_of(version: DatasetVersion, data: bytes | None) -> DatasetDeclaration:
    if data is None:
        raise BadInput(f"{version.reference} has no {DECLARATION}; take a branch that was made from main")
    return parse_dataset(version.dataset, data.decode(errors="replace"), f"{version.reference}/{DECLARATION}")


def _counted(names: Sequence[str], noun: str, words: str) -> str:
    return f"{count_of(len(names), noun)} {words}: {', '.join(names[:SHOWN])}{' …' if len(names) > SHOWN else ''}"
