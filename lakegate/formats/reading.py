"""What a reader hands on: one record per labelled image, and a list of what could not be read."""

from dataclasses import dataclass, field
from pathlib import Path

from lakegate.formats.spool import Spool
from lakegate.geometry import Keypoint, Polygon, Rle
from lakegate.quality.problems import SampleProblem
from lakegate.samples import Box, Sample, Split

SizePx = tuple[int, int]  # width, height


@dataclass(frozen=True)
class SourceObject:
    """One object as its label file states it; ``bbox_xywh_px`` is exact, and may lie outside or have no area.

    It is None for a label of the whole image, and the box around the shape where the file gives another shape only. The
    other fields are those of :class:`lakegate.samples.Annotation`.
    """

    label: str
    bbox_xywh_px: Box | None
    attributes: dict[str, str] = field(default_factory=dict)
    polygons_px: tuple[Polygon, ...] = ()
    rle: Rle | None = None
    keypoints: tuple[Keypoint, ...] = ()
    track_id: str = ""
    author: str = ""
    origin: str = ""


@dataclass(frozen=True)
class SourceRecord:
    """One image together with its label file.

    ``label_file`` is relative to the export (POSIX), ``size_px`` is (width, height) from the image's own header,
    ``stated_size_px`` is what the label file says.
    """

    sample_id: str
    label_file: str
    label_path: Path
    image: Path
    size_px: SizePx
    objects: tuple[SourceObject, ...]
    stated_size_px: SizePx | None = None
    split: Split | None = None
    tags: tuple[str, ...] = ()
    source: dict[str, str] = field(default_factory=dict)  # beyond format and file: task, job, licence
    clip: str = ""  # the video that a frame is of; its frames are one group
    frame: int | None = None
    captured_at: str = ""


def record_spool() -> Spool[SourceRecord]:
    """Return an empty sequence of records on disk, known by their sample ids."""
    return Spool(lambda record: record.sample_id)


@dataclass
class Reading:
    """Everything that one reader found. ``labels`` are the names as the export spells them, in class order."""

    records: Spool[SourceRecord] = field(default_factory=record_spool)
    problems: list[SampleProblem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    label_files: dict[str, Path] = field(default_factory=dict)  # all that were read, by relative name
    undeclared: dict[str, Sample] = field(default_factory=dict)  # samples with a label that the dataset does not declare

    def problem(self, sample_id: str, file: str, rule: str, reason: str) -> None:
        """Add one row of evidence."""
        self.problems.append(SampleProblem(printable(sample_id), printable(file), rule, printable(reason)))


def printable(text: str) -> str:
    """Return the text with control signs and broken letters escaped, so that any name can be shown.

    >>> printable("a\\nb")
    'a\\\\nb'
    """
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
