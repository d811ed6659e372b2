"""What can only be seen on the whole set: empty splits, and facts that inform."""

from collections.abc import Sequence

from lakegate.declarations import DatasetDeclaration
from lakegate.quality.leaks import FLAT_CONTRAST, Compared, near_in_split, rank, twins
from lakegate.quality.rules import INFORMATION, RULES, RuleLine
from lakegate.samples import Sample

FIRST_IDS = 10


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


def information_lines(compared: Compared, declaration: DatasetDeclaration) -> list[RuleLine]:
    """Return the lines that inform and never fail a version."""
    samples, measured = compared.samples, compared.measured
    found = {item.label for sample in samples for item in sample.annotations}
    absent = [label for label in declaration.labels if label not in found]
    twice = sorted(
        sample.id
        for group in twins(samples, measured)
        for sample in group
        if sum(rank(sample) == rank(one) for one in group) > 1
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
        _near_line(compared),
        _informs("images_with_exif_rotation", len(measured.metrics), rotated),
    ]


def _informs(name: str, checked: int, ids: Sequence[str]) -> RuleLine:
    return RuleLine(name, INFORMATION[name], checked, len(ids), tuple(ids[:FIRST_IDS]), informs=True)


def _near_line(compared: Compared) -> RuleLine:
    """Say which images look like another one of their split, and which could not be compared."""
    rows = near_in_split(compared)
    n_flat = len(compared.measured.metrics) - len(compared.with_structure)
    pairs = tuple(f"{one.id} looks like {other.id} ({bits} of 64 bits differ)" for one, other, bits in rows[:FIRST_IDS])
    flat = (f"{n_flat} flat images (contrast below {FLAT_CONTRAST:g}) were not compared",) if n_flat else ()
    return RuleLine(
        "images_alike_in_split",
        INFORMATION["images_alike_in_split"],
        len(compared.with_structure) if compared.max_bits >= 0 else 0,
        len(rows),
        tuple(sorted(one.id for one, _, _ in rows)[:FIRST_IDS]),
        limit=f"at most {compared.max_bits} of 64 bits" if compared.max_bits >= 0 else "not compared",
        informs=True,
        details=pairs + flat,
    )
