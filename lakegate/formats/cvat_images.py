"""Which image file CVAT means: by the name of an ``<image>``, or by the number of a video's frame."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from lakegate.formats.cvat_xml import CvatMeta, CvatTask
from lakegate.formats.export_files import IMAGE_FOLDERS, LABEL_FOLDERS, SPLIT_WORDS, ExportFiles, key_of, split_in
from lakegate.formats.shapes import last_number
from lakegate.samples import Split

NO_SUBSET = "default"  # CVAT's word for it
FRAME_PREFIX = "frame_"  # CVAT saves the frames of a video as frame_000123.PNG


@dataclass(frozen=True)
class LabelFile:
    """One XML file of an export, and what its head says."""

    path: Path
    relative: str
    meta: CvatMeta = field(default_factory=CvatMeta)

    def split_of(self, subset: str, sample_id: str) -> Split | None:
        """Return the split that the subset names, else a folder of the image, else a folder of this file or its name."""
        return (
            SPLIT_WORDS.get(subset.lower())
            or split_in(PurePosixPath(sample_id))
            or split_in(PurePosixPath(self.relative))
            or SPLIT_WORDS.get(self.path.stem.lower())
        )

    def tags_of(self, subset: str) -> tuple[str, ...]:
        """Return the subset as a tag, where it names no split."""
        return () if not subset or subset.lower() in SPLIT_WORDS or subset.lower() == NO_SUBSET else (subset,)

    def source_of(self, task: CvatTask) -> dict[str, str]:
        """Return what the version keeps of the project, and of the task or job."""
        words = {"project": self.meta.project, "job" if task.is_job else "task": task.name or task.id}
        return {name: word for name, word in words.items() if word}


@dataclass(frozen=True)
class FrameImages:
    """Sample ids by frame; ``reason`` says why there are none."""

    by_frame: Mapping[int, str] = field(default_factory=dict)
    reason: str = ""


class ImageFinder:
    """Finds the images of an export."""

    def __init__(self, export: ExportFiles) -> None:
        self._export = export

    @cached_property
    def _names_by_folder(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for sample_id in self._export.by_id:
            found[str(PurePosixPath(sample_id).parent)].append(sample_id)
        return found

    def named(self, name: str, label_file: str, subset: str) -> str | None:
        """Return the id of the sample that ``<image name="…">`` means; None where there is no such image."""
        path = PurePosixPath(name.replace("\\", "/"))
        keys = dict.fromkeys((key_of(path), str(path), key_of(path, IMAGE_FOLDERS)))
        for folder in _folders(label_file, subset):
            for key in keys:
                if (sample_id := str(folder / key)) in self._export.by_id:
                    return sample_id
        return next((found for key in keys if (found := self._export.find(key)) is not None), None)

    def frames(self, task: CvatTask, label_file: str, subset: str) -> FrameImages:
        """Return the images of a video's frames: ``frame_000123``, else names that end with exactly the video's numbers.

        Other names are refused: programs that take videos apart count from 1 or leave frames out, CVAT counts from 0, and
        labels that are one frame off look right.
        """
        reason = "no folder has images of it"
        for folder in _folders(label_file, subset, task.name):
            names = self._names_by_folder.get(str(folder), [])
            if not names:
                continue
            found = _numbered(task, names)
            if found.by_frame:
                return found
            reason = found.reason or reason
        return FrameImages(reason=reason)


def _folders(label_file: str, *names: str) -> Iterator[PurePosixPath]:
    """Yield folders to look in, the most exact first: those of the names below and beside the label file, its own, the top."""
    parts = [part for part in PurePosixPath(label_file).parent.parts if part.lower() not in IMAGE_FOLDERS | LABEL_FOLDERS]
    own = PurePosixPath(*parts)
    named = [PurePosixPath(name) for name in names if name and "/" not in name and ".." not in name]
    yield from dict.fromkeys([*(own / name for name in named), own, *named, PurePosixPath()])


def _numbered(task: CvatTask, sample_ids: list[str]) -> FrameImages:
    stems = {sample_id: PurePosixPath(sample_id).name for sample_id in sample_ids}
    frames = {name: sample_id for sample_id, name in stems.items() if name.lower().startswith(FRAME_PREFIX)}
    by_frame = {number: sample_id for name, sample_id in frames.items() if (number := last_number(name)) is not None}
    if by_frame:
        if task.stop is None or task.start in by_frame or task.stop + task.step not in by_frame:
            return FrameImages(by_frame)
        reason = (
            f"{FRAME_PREFIX}{task.start:06d} is missing, and the numbers go beyond the last frame {task.stop}: they seem to be "
            f"counted from {task.start + task.step}, CVAT counts from {task.start}; rename the images"
        )
        return FrameImages(reason=reason)
    numbers = {number: sample_id for sample_id, name in stems.items() if (number := last_number(name)) is not None}
    expected = task.frames
    if len(numbers) == len(stems) == len(expected) and all(number in expected for number in numbers):
        return FrameImages(numbers)
    return FrameImages(
        reason=f"{len(stems)} images have other names; expected {FRAME_PREFIX}000000 and so on, or names that end with "
        f"exactly the numbers {task.start} to {'the last' if task.stop is None else task.stop}"
    )

