"""What can only be seen on the whole set: leaks between splits, empty splits, and facts that inform."""

from collections.abc import Mapping, Sequence

from lakegate.declarations import DatasetDeclaration
from lakegate.quality.images import MeasuredImages
from lakegate.quality.problems import SampleProblem
from lakegate.quality.rules import INFORMATION, RULES, RuleLine
from lakegate.samples import Sample

FIRST_IDS = 10
_KEEP_FIRST = ("test", "val", "train")  # of twins in two splits, the test image stays: it is what models were judged on


def find_leaks(samples: Sequence[Sample], measured: MeasuredImages, files: Mapping[str, str]) -> list[SampleProblem]:
    """Return one problem per sample whose bytes also stand in a split that is kept before its own."""
    problems = []
    for twins in _twins(samples, measured):
        kept = min(twins, key=lambda sample: (_rank(sample), sample.id))
        for sample in twins:
            if _rank(sample) != _rank(kept):
                reason = (
                    f"the same image is sample '{kept.id}' in split {kept.split} (SHA-256 "
                    f"{measured.metrics[sample.id].sha256[:12]}…); keep one of the two, or give both the same group"
                )
                problems.append(SampleProblem(sample.id, files[sample.id], "no_leak_between_splits", reason))
    return problems


def splits_line(samples: Sequence[Sample], declaration: DatasetDeclaration) -> RuleLine:
    """Say which split is empty, though the declaration fills it.

    A dataset drawn by hash with ``test = 1.0`` is for judging only and needs no train split; with ``test = 0`` it is for
    training only. Lists that an export gives must hold both.
    """
    table = declaration.split
    wanted = {"train": table.source == "given" or table.test + table.val < 1, "test": table.source == "given" or table.test > 0}
    count = {split: sum(sample.split == split for sample in samples) for split in wanted}
    remedy = (
        'use [split] from = "hash", or deliver both lists'
        if table.source == "given"
        else f"deliver more groups, or change [split] test = {table.test:g}"
    )
    details = tuple(
        f"no sample is in split {split}, of {len(samples)}; {remedy}" for split in wanted if wanted[split] and not count[split]
    )
    return RuleLine("splits_filled", RULES["splits_filled"], sum(wanted.values()), len(details), unit="splits", details=details)


def information_lines(samples: Sequence[Sample], declaration: DatasetDeclaration, measured: MeasuredImages) -> list[RuleLine]:
    """Return the lines that inform and never fail a version."""
    found = {item.label for sample in samples for item in sample.annotations}
    absent = [label for label in declaration.labels if label not in found]
    twice = sorted(
        sample.id
        for twins in _twins(samples, measured)
        for sample in twins
        if sum(_rank(sample) == _rank(one) for one in twins) > 1
    )
    rotated = sorted(key for key, metrics in measured.metrics.items() if metrics.exif_orientation != 1)
    empty = sorted(sample.id for sample in samples if not sample.annotations)
    labels = RuleLine(
        "labels_occur",
        INFORMATION["labels_occur"],
        len(declaration.labels),
        len(absent),
        informs=True,
        unit="labels",
        details=tuple(f"no object is labelled '{label}'" for label in absent),
    )
    return [
        labels,
        _informs("samples_without_objects", len(samples), empty),
        _informs("images_twice_in_split", len(measured.metrics), twice),
        _informs("images_with_exif_rotation", len(measured.metrics), rotated),
    ]


def _informs(name: str, checked: int, ids: Sequence[str]) -> RuleLine:
    return RuleLine(name, INFORMATION[name], checked, len(ids), tuple(ids[:FIRST_IDS]), informs=True)


def _twins(samples: Sequence[Sample], measured: MeasuredImages) -> list[list[Sample]]:
    """Return the groups of two or more samples whose images have equal bytes."""
    by_digest: dict[str, list[Sample]] = {}
    for sample in samples:
        if sample.id in measured.metrics:
            by_digest.setdefault(measured.metrics[sample.id].sha256, []).append(sample)
    return [group for group in by_digest.values() if len(group) > 1]


def _rank(sample: Sample) -> int:
    return _KEEP_FIRST.index(sample.split) if sample.split in _KEEP_FIRST else len(_KEEP_FIRST)
