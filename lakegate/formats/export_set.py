"""What is exported, whatever the format: samples with their image files, and what the format could not hold, counted."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from lakegate.declarations import Task
from lakegate.samples import Annotation, Sample

IMAGES = "images"


@dataclass(frozen=True)
class ExportItem:
    """A sample and its image. ``suffix`` is the image's own, with the dot: files of the cache have none."""

    sample: Sample
    image: Path
    suffix: str

    @property
    def file_name(self) -> str:
        """The image's path below ``images/``."""
        return f"{self.sample.id}{self.suffix}"


@dataclass(frozen=True)
class ExportSet:
    """Samples of one dataset, in class order of ``labels``. ``has_splits`` is False where nobody drew a split yet."""

    name: str
    task: Task
    labels: tuple[str, ...]
    items: Sequence[ExportItem]
    has_splits: bool = True

    @property
    def by_split(self) -> dict[str, list[ExportItem]]:
        """The items by split; one set called ``default`` where there are no splits."""
        found: dict[str, list[ExportItem]] = {}
        for item in self.items:
            found.setdefault(item.sample.split if self.has_splits else "default", []).append(item)
        return found

    @property
    def annotations(self) -> Iterator[Annotation]:
        """All annotations, sample after sample."""
        return (annotation for item in self.items for annotation in item.sample.annotations)

    @cached_property
    def points(self) -> dict[str, list[str]]:
        """The names of the keypoints that objects of each label have, in the order in which they come."""
        found: dict[str, dict[str, None]] = {label: {} for label in self.labels}
        for annotation in self.annotations:
            found.setdefault(annotation.label, {}).update(dict.fromkeys(point.name for point in annotation.keypoints))
        return {label: list(names) for label, names in found.items()}

    @cached_property
    def all_points(self) -> list[str]:
        """The names of all keypoints, label after label."""
        return list(dict.fromkeys(name for names in self.points.values() for name in names))


@dataclass
class Losses:
    """Counts what one format cannot hold, and what was written in another shape."""

    format: str
    written: int = 0
    _left_out: Counter[str] = field(default_factory=Counter)
    _changed: Counter[str] = field(default_factory=Counter)
    _said: list[str] = field(default_factory=list)

    def leave_out(self, what: str, number: int = 1) -> None:
        """Count something that is not in the export, for example "attributes of objects"."""
        self._left_out[what] += number

    def change(self, how: str) -> None:
        """Count an object that was written in another shape, for example "masks written as their outlines"."""
        self._changed[how] += 1

    def say(self, sentence: str) -> None:
        """Add a sentence to the notes."""
        self._said.append(sentence)

    def check_words(self, annotation: Annotation, *, attributes: bool, track_id: bool, origin: bool) -> None:
        """Count the words of an object that the format has no place for; the flags name those that it has one for."""
        if annotation.attributes and not attributes:
            self.leave_out("attributes of objects")
        if annotation.track_id and not track_id:
            self.leave_out("track ids of objects")
        if annotation.author:
            self.leave_out("authors of objects")
        if annotation.origin and not origin:
            self.leave_out("origins of objects")

    @property
    def notes(self) -> list[str]:
        """One sentence for each kind of loss."""
        left_out = sorted((what, number) for what, number in self._left_out.items() if number)
        changed = sorted(self._changed.items())
        notes = [f"not in the {self.format} export: {number} {what}" for what, number in left_out]
        return [*notes, *(f"{number} {how}" for how, number in changed), *self._said]
