"""Which test samples are old data, and which are the diff since the version that the baseline was released on."""

from dataclasses import dataclass
from typing import Literal

from lakegate.lake.diff import diff_versions
from lakegate.lake.local_version import LocalVersion

Change = Literal["unchanged", "added", "relabelled", "reimaged"]


@dataclass(frozen=True)
class Partition:
    """What happened to each test sample since the baseline's version, and how many of the old ones left.

    ``superseded``: ids of the test samples of that version that are no old data now: removed, moved to another split,
    relabelled or re-imaged. Old data and these together are the whole test split of that version.
    """

    change_of: dict[str, Change]
    n_removed: int
    superseded: tuple[str, ...] = ()

    def count(self, change: Change) -> int:
        """Return how many test samples changed that way."""
        return sum(1 for item in self.change_of.values() if item == change)


def partition(judged: LocalVersion, before: LocalVersion | None) -> Partition:
    """Compare the test split of ``judged`` with the baseline's version, by the same diff that `lakegate data diff` shows.

    Old data is what kept both its image and its labels; a sample with both changed counts as re-imaged. Without a
    version before, every sample is added.
    """
    change_of: dict[str, Change] = {sample.id: "unchanged" for sample in judged.samples_in(split="test")}
    if before is None:
        return Partition(dict.fromkeys(change_of, "added"), 0)
    diff = diff_versions(before, judged)
    changed: tuple[tuple[Change, tuple[str, ...]], ...] = (
        ("relabelled", diff.relabelled),
        ("reimaged", diff.reimaged),
        ("added", diff.added),
    )
    for change, sample_ids in changed:
        change_of.update({sample_id: change for sample_id in sample_ids if sample_id in change_of})
    removed = set(diff.removed)
    old_tests = [sample.id for sample in before.samples_in(split="test")]
    return Partition(
        change_of,
        n_removed=sum(sample_id in removed for sample_id in old_tests),
        superseded=tuple(sample_id for sample_id in old_tests if change_of.get(sample_id) != "unchanged"),
    )
