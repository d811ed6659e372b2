"""Leaks: an image that a model is judged on, or its copy, its like, or its neighbour from one group, is also trained on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lakegate.quality.duplicates import Nearest, hash_array, nearest_in, nearest_other
from lakegate.quality.earlier_test import EarlierTestImages
from lakegate.quality.image_metrics import MeasuredImages
from lakegate.quality.problems import SampleProblem
from lakegate.samples import Sample

FLAT_CONTRAST = 3.0  # grey levels; below it a picture has no structure, and its perceptual hash is chance
LEAK_RULES = ("no_leak_between_splits", "no_group_in_two_splits", "no_near_leak_between_splits", "not_in_earlier_test")
_KEEP_FIRST = ("test", "val", "train")  # of twins in two splits, the test image stays: it is what models were judged on
_KEEP_BOTH_WORDS = "if both must stay, give both the same group; if they only look alike, lower [quality] near_duplicate_bits"


@dataclass(frozen=True)
class Compared:
    """The samples whose images can be compared, and how: shared by all rules about likeness."""

    samples: tuple[Sample, ...]
    measured: MeasuredImages
    files: Mapping[str, str]
    max_bits: int  # of 64; -1: near duplicates are not looked for

    @property
    def with_structure(self) -> list[Sample]:
        """The samples whose perceptual hash says something."""
        metrics = self.measured.metrics
        return [one for one in self.samples if one.id in metrics and metrics[one.id].contrast >= FLAT_CONTRAST]

    def sha256(self, sample: Sample) -> str:
        """Return the digest of a measured sample's image."""
        return self.measured.metrics[sample.id].sha256

    def phashes(self, samples: Iterable[Sample]) -> list[str]:
        """Return the perceptual hashes of measured samples."""
        return [self.measured.metrics[sample.id].phash for sample in samples]

    def problem(self, sample: Sample, rule: str, reason: str) -> SampleProblem:
        """Return the row of evidence about one sample."""
        return SampleProblem(sample.id, self.files.get(sample.id, sample.id), rule, reason)


def find_leaks(compared: Compared, earlier: EarlierTestImages) -> list[SampleProblem]:
    """Return one problem per leaking sample, by the first of ``LEAK_RULES`` that it breaks."""
    found: dict[str, SampleProblem] = {}
    for rule in (_copies, _groups, _near_copies):
        for problem in rule(compared):
            found.setdefault(problem.sample_id, problem)
    for problem in _earlier(compared, earlier):
        found.setdefault(problem.sample_id, problem)
    return list(found.values())


def twins(samples: Sequence[Sample], measured: MeasuredImages) -> list[list[Sample]]:
    """Return the groups of two or more samples whose images have equal bytes."""
    by_digest: dict[str, list[Sample]] = {}
    for sample in samples:
        if sample.id in measured.metrics:
            by_digest.setdefault(measured.metrics[sample.id].sha256, []).append(sample)
    return [group for group in by_digest.values() if len(group) > 1]


def near_in_split(compared: Compared) -> list[tuple[Sample, Sample, int]]:
    """Return (sample, the one that looks like it, bits that differ) of every sample with a near duplicate in its own split."""
    if compared.max_bits < 0:
        return []
    rows = []
    for split in _KEEP_FIRST:
        samples = [sample for sample in compared.with_structure if sample.split == split]
        found = nearest_other(hash_array(compared.phashes(samples)), compared.max_bits)
        rows += [(samples[row], samples[int(found.index[row])], int(found.bits[row])) for row in _near_rows(found)]
    return [row for row in rows if compared.sha256(row[0]) != compared.sha256(row[1])]


def rank(sample: Sample) -> int:
    """Return 0 for a test sample, 1 for val, 2 for train: of two copies, the one with the lower rank is kept."""
    return _KEEP_FIRST.index(sample.split) if sample.split in _KEEP_FIRST else len(_KEEP_FIRST)


def _copies(compared: Compared) -> Iterable[SampleProblem]:
    for group in twins(compared.samples, compared.measured):
        kept = min(group, key=lambda sample: (rank(sample), sample.id))
        for sample in group:
            if rank(sample) != rank(kept):
                reason = (
                    f"the same image is sample '{kept.id}' in split {kept.split} (SHA-256 "
                    f"{compared.sha256(kept)[:12]}…); keep one of the two, or give both the same group"
                )
                yield compared.problem(sample, "no_leak_between_splits", reason)


def _groups(compared: Compared) -> Iterable[SampleProblem]:
    kept: dict[str, Sample] = {}
    for sample in sorted(compared.samples, key=lambda sample: (rank(sample), sample.id)):
        if not sample.group:
            continue
        first = kept.setdefault(sample.group, sample)
        if rank(first) != rank(sample):
            reason = (
                f"group '{sample.group}' is in split {first.split} (sample '{first.id}') and this sample of it in "
                f"{sample.split}; a group stands in one split, move the whole group"
            )
            yield compared.problem(sample, "no_group_in_two_splits", reason)


def _near_copies(compared: Compared) -> Iterable[SampleProblem]:
    if compared.max_bits < 0:
        return
    samples = compared.with_structure
    for split_rank in range(1, len(_KEEP_FIRST)):
        known = [sample for sample in samples if rank(sample) < split_rank]
        asked = [sample for sample in samples if rank(sample) == split_rank]
        found = nearest_in(hash_array(compared.phashes(asked)), hash_array(compared.phashes(known)), compared.max_bits)
        for row in _near_rows(found):
            kept = known[int(found.index[row])]
            reason = (
                f"looks like sample '{kept.id}' in split {kept.split} ({found.bits[row]} of 64 bits of the perceptual hash "
                f"differ, up to {compared.max_bits} count as the same picture); keep one of the two; {_KEEP_BOTH_WORDS}"
            )
            yield compared.problem(asked[row], "no_near_leak_between_splits", reason)


def _earlier(compared: Compared, earlier: EarlierTestImages) -> Iterable[SampleProblem]:
    by_digest = {image.sha256: image for image in reversed(earlier.images)}
    measured = compared.measured.metrics
    learned = [sample for sample in compared.samples if rank(sample) > 0 and sample.id in measured]
    for sample in learned:
        image = by_digest.get(compared.sha256(sample))
        if image:
            reason = (
                f"moved from test to {sample.split} since {image.version} (there it is sample '{image.sample_id}'); "
                "models were judged on it, so keep it in test"
            )
            yield compared.problem(sample, "not_in_earlier_test", reason)
    hashed = [image for image in earlier.images if image.phash]
    if compared.max_bits < 0:
        return
    asked = [sample for sample in compared.with_structure if rank(sample) > 0]
    known = hash_array([image.phash for image in hashed])
    found = nearest_in(hash_array(compared.phashes(asked)), known, compared.max_bits)
    for row in _near_rows(found):
        image = hashed[int(found.index[row])]
        reason = (
            f"looks like sample '{image.sample_id}' in the test split of {image.version} ({found.bits[row]} of 64 bits of the "
            f"perceptual hash differ, up to {compared.max_bits} count as the same picture); leave it out; {_KEEP_BOTH_WORDS}"
        )
        yield compared.problem(asked[row], "not_in_earlier_test", reason)


def _near_rows(found: Nearest) -> list[int]:
    return [int(row) for row in np.flatnonzero(found.index >= 0)]
