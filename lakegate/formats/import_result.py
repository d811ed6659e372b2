"""What came out of an import."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lakegate.quality.problems import SampleProblem
from lakegate.samples import ImportedSample, Sample


@dataclass(frozen=True)
class ImportResult:
    """What an export holds. Samples with a problem that leaves them without labels or image are in ``problems`` only.

    ``samples`` ascend by id; ``unlabelled`` are images without a label file, relative to the images' folder;
    ``source_digest`` is the same for the same export wherever it lies; ``problem_images`` are the images of the samples
    that have a problem, by sample id, as far as there are any; ``undeclared`` are the samples with a label that the dataset
    does not declare, without shapes: a filter may leave them out.
    """

    samples: Sequence[ImportedSample]
    unlabelled: list[Path]
    format: str
    notes: list[str]
    source_digest: str
    problems: list[SampleProblem]
    problem_images: Mapping[str, Path] = field(default_factory=dict)
    undeclared: Mapping[str, Sample] = field(default_factory=dict)
