"""What a training is validated on: split val, or a tenth of split train that it then does not learn from."""

from collections.abc import Sequence
from dataclasses import dataclass

from lakegate.canonical import sha256_bytes
from lakegate.errors import TrainingFailed
from lakegate.training.job import TrainingJob, VersionSample

HELD_OUT_PER_SAMPLE = 0.1


@dataclass(frozen=True)
class TrainingSplit:
    """Samples to learn from and samples to validate on, which ``source`` names; both empty where nothing is validated."""

    learnt: list[VersionSample]
    validated: list[VersionSample]
    source: str


def split_samples(job: TrainingJob) -> TrainingSplit:
    """Validate on split val where the datasets have one; else, with ``[training] patience``, on a tenth of train.

    The tenth is chosen by the digests of the groups, so a group is never on both sides and new images move few others.

    Raises:
        TrainingFailed: there is nothing to train on, or a single group, of which no tenth can be held out.
    """
    train, val = job.train_samples(), job.samples_in("val")
    if val:
        return TrainingSplit(train, val, "split val")
    if not job.model.training.patience:
        return TrainingSplit(train, [], "")
    held_out = _held_out_groups(train)
    return TrainingSplit(
        [item for item in train if _group(item) not in held_out],
        [item for item in train if _group(item) in held_out],
        "split train that were held out",
    )


def _held_out_groups(train: Sequence[VersionSample]) -> set[str]:
    """Take whole groups, by digest, until a tenth of the samples is reached; one group at least stays."""
    counts: dict[str, int] = {}
    for item in train:
        counts[_group(item)] = counts.get(_group(item), 0) + 1
    if len(counts) == 1:
        raise TrainingFailed(
            "[training] patience needs samples to validate on, but split train is a single group and split val is empty; "
            "set [split] val in dataset.toml, publish more groups, or leave patience out"
        )
    ordered = sorted(counts, key=lambda group: sha256_bytes(f"held out:{group}".encode()))
    chosen: set[str] = set()
    n_chosen = 0
    for group in ordered[:-1]:
        if n_chosen >= HELD_OUT_PER_SAMPLE * len(train):
            break
        chosen.add(group)
        n_chosen += counts[group]
    return chosen


def _group(item: VersionSample) -> str:
    version, sample = item
    return f"{version.version.dataset}/{sample.group or sample.id}"
