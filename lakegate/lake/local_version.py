"""A dataset version on this machine: its samples in memory, its images as files named by checksum."""

from dataclasses import dataclass
from pathlib import Path

from lakegate.declarations import DatasetDeclaration
from lakegate.samples import Sample
from lakegate.slices import parse_predicate


@dataclass(frozen=True)
class DatasetVersion:
    """A pinned version: the tag that was asked for and the commit that it pointed at."""

    dataset: str
    tag: str
    commit: str
    content_digest: str

    @property
    def reference(self) -> str:
        """``dataset@tag``."""
        return f"{self.dataset}@{self.tag}"


@dataclass(frozen=True)
class LocalImage:
    """An image file whose bytes were verified against ``sha256``."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class LocalVersion:
    """All samples of one version, ascending by id, and their images by sample id."""

    version: DatasetVersion
    declaration: DatasetDeclaration
    samples: tuple[Sample, ...]
    images: dict[str, LocalImage]

    def samples_in(self, slice_name: str = "", split: str = "") -> list[Sample]:
        """Return the samples of a declared slice and a split; an empty name means all."""
        chosen = [sample for sample in self.samples if not split or sample.split == split]
        if not slice_name:
            return chosen
        predicate = parse_predicate(self.declaration.slices[slice_name].where)
        return [sample for sample in chosen if predicate(sample)]
