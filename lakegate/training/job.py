"""What a training is asked to do, and what it hands back; no torch here, so flows start fast."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lakegate.canonical import exact_json, sha256_bytes
from lakegate.catalog import split_reference
from lakegate.declarations import ModelDeclaration, ModelTask
from lakegate.errors import TrainingFailed, UnknownName, nearest
from lakegate.imaging import PREPROCESSING_DIGEST
from lakegate.lake.local_version import LocalVersion
from lakegate.samples import Sample, Split

Device = Literal["cpu", "cuda"]
Report = Callable[[int, dict[str, float]], None]
VersionSample = tuple[LocalVersion, Sample]

BIT_IDENTICAL = "bit-identical on the same CPU and thread count"
SEEDED_ONLY = "seeded; not bit-identical on a GPU"
FULL_PRECISION, MIXED_PRECISION = "float32", "bfloat16 where safe, else float32"


@dataclass(frozen=True)
class StartingWeights:
    """The ``model.pt`` of an earlier run that a training starts from, and the labels of that run in class order."""

    run_id: str
    sha256: str
    path: Path
    labels: tuple[str, ...]


@dataclass(frozen=True)
class TrainingJob:
    """One training of a model on pinned versions. ``seed`` counts instead of the declaration's.

    ``start`` is what ``[architecture] init`` names, None for "random". ``processes`` share every batch, on one GPU each.
    """

    model: ModelDeclaration
    versions: list[LocalVersion]
    seed: int = 0
    threads: int = 1
    device: Device = "cpu"
    start: StartingWeights | None = None
    processes: int = 1
    task: ModelTask = "detection"

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the versions, in class order; raises ``TrainingFailed`` where they differ."""
        if not self.versions:
            raise TrainingFailed("expected at least one dataset version to train on, came none; name one as dataset@tag")
        first, *others = self.versions
        for other in others:
            if other.declaration.labels != first.declaration.labels:
                raise TrainingFailed(
                    "the datasets of one model must have the same labels in the same order: "
                    f"{first.version.reference} has {list(first.declaration.labels)}, "
                    f"{other.version.reference} has {list(other.declaration.labels)}; rename in dataset.toml and publish again"
                )
        return first.declaration.labels

    @property
    def digest(self) -> str:
        """SHA-256 of everything that the weights depend on, but for device, threads, processes and library versions."""
        content = {
            "task": self.task,
            "architecture": self.model.architecture.model_dump(mode="json", exclude={"init"}),
            "start": self.start.sha256 if self.start else "random",
            "training": self.model.training.model_dump(mode="json", exclude={"seed"}),
            "train": list(self.model.data.train),
            "versions": sorted([item.version.dataset, item.version.content_digest] for item in self.versions),
            "labels": list(self.labels),
            "seed": self.seed,
            "preprocessing": PREPROCESSING_DIGEST,
        }
        return sha256_bytes(exact_json(content))

    def train_samples(self) -> list[VersionSample]:
        """Return the samples of split ``train`` that ``[data] train`` names, each once, in a fixed order.

        Raises:
            TrainingFailed: a named dataset is not among the versions, or nothing is left to train on.
            UnknownName: a named slice is not declared by its version.
        """
        chosen = self.samples_in("train")
        if not chosen:
            counts = ", ".join(f"{item.version.reference}: {len(item.samples)} samples in all" for item in self.versions)
            raise TrainingFailed(
                f"no samples to train on: [data] train = {list(self.model.data.train)} has none in split train ({counts}); "
                "lower the test share in dataset.toml, widen the slice, or publish more images"
            )
        return chosen

    def samples_in(self, split: Split) -> list[VersionSample]:
        """Return the samples of a split that ``[data] train`` names, each once, in a fixed order; perhaps none.

        Raises:
            TrainingFailed: a named dataset is not among the versions.
            UnknownName: a named slice is not declared by its version.
        """
        by_dataset = {item.version.dataset: item for item in self.versions}
        chosen: dict[tuple[str, str], VersionSample] = {}
        for reference in self.model.data.train:
            dataset, slice_name = split_reference(reference)
            if dataset not in by_dataset:
                raise TrainingFailed(
                    f"[data] train names '{reference}', but no version of '{dataset}' was given"
                    f"{nearest(dataset, by_dataset)}; add {dataset}@<tag> to the versions"
                )
            version = by_dataset[dataset]
            if slice_name and slice_name not in version.declaration.slices:
                known = version.declaration.slices
                raise UnknownName(f"'{reference}': {version.version.reference} has no such slice{nearest(slice_name, known)}")
            for sample in version.samples_in(slice_name, split):
                chosen.setdefault((dataset, sample.id), (version, sample))
        return [chosen[key] for key in sorted(chosen)]


@dataclass(frozen=True)
class GpuFacts:
    """The GPU that a training ran on."""

    name: str
    compute_capability: str
    driver: str
    memory_bytes: int


@dataclass(frozen=True)
class TrainingResult:
    """What a training made. ``history`` has one row of metrics per epoch, of earlier attempts too.

    ``metrics`` are those of ``chosen_epoch``, whose weights ``model_path`` holds; ``chosen_because`` says why it was chosen.
    ``last_path`` holds the weights of the last epoch where that is another one.
    """

    model_path: Path
    model_sha256: str
    metrics: dict[str, float]
    durations_s: dict[str, float]
    peak_memory_bytes: int
    epochs_run: int
    resumed_from_epoch: int | None
    determinism: str
    threads: int = 1
    n_samples: dict[str, int] = field(default_factory=dict)
    history: tuple[Mapping[str, float], ...] = ()
    notes: tuple[str, ...] = ()
    gpu: GpuFacts | None = None
    chosen_epoch: int = 0
    chosen_because: str = ""
    last_path: Path | None = None
    precision: str = FULL_PRECISION
    processes: int = 1
    start: StartingWeights | None = None

