"""The page of a diff: numbers, labels, distributions, and every changed sample before and after."""

from dataclasses import dataclass

from lakegate.html import render
from lakegate.lake.diff import DatasetDiff, declared_renames
from lakegate.lake.local_version import LocalVersion
from lakegate.reports.diff_cards import KINDS, OBJECT_KINDS, PICTURES_PER_CHUNK, DiffCards
from lakegate.reports.distributions import Distribution, distributions_of

KIND_WORDS = {
    "relabelled": "labels or tags differ",
    "reimaged": "another image under the same name",
    "resplit": "in another split or group",
    "added": "only in the new version",
    "removed": "only in the old version",
}
# colours of Okabe and Ito for photographs; each kind also has its own line, so colour is never alone: colour, dashes, width
LINES = {
    "added": ("#00c08b", "", 2.6),
    "removed": ("#ff7a1a", "8 4", 2.6),
    "moved": ("#56b4e9", "3 2", 2.2),
    "reclassified": ("#f49ac8", "10 3 2 3", 2.6),
    "edited": ("#f0e442", "1 3", 2.2),
    "same": ("#ffffff", "", 1.0),
}
LINE_WORDS = {
    "added": "added object",
    "removed": "removed object",
    "moved": "moved: another shape, matched at IoU of at least 0.5",
    "reclassified": "reclassified: another label",
    "edited": "other attributes or track",
    "same": "unchanged",
}


@dataclass(frozen=True)
class DiffHeading:
    """Which versions are compared. ``lake_url`` is the lakeFS server for links to single files, or empty."""

    dataset: str
    old: str
    new: str
    old_commit: str = ""
    new_commit: str = ""
    lake_url: str = ""


def render_diff_html(
    heading: DiffHeading, difference: DatasetDiff, cards: DiffCards, distributions: list[Distribution]
) -> str:
    """Render the page; it holds everything that it shows."""
    return render(
        "diff.html.j2",
        heading=heading,
        numbers=difference.to_json(),
        difference=difference,
        cards=cards,
        distributions=distributions,
        kinds=[{"name": kind, "words": KIND_WORDS[kind], "n": len(getattr(difference, kind))} for kind in KINDS],
        lines=[{"name": kind, "words": LINE_WORDS[kind], "line": LINES[kind]} for kind in OBJECT_KINDS],
        pictures_per_chunk=PICTURES_PER_CHUNK,
        suggestions=difference.labels.suggestions(),
        data={
            "labels": cards.labels,
            "kinds": KINDS,
            "objectKinds": OBJECT_KINDS,
            "lines": [LINES[kind] for kind in OBJECT_KINDS],
            "cards": cards.cards,
            "dataset": heading.dataset,
            "commits": [heading.old_commit, heading.new_commit],
            "lake": heading.lake_url,
        },
    )


def compared_distributions(old: LocalVersion, new: LocalVersion, brightness: dict[str, float]) -> list[Distribution]:
    """Return the distributions of two whole versions; declared renames are one row."""
    return distributions_of(old, new, declared_renames(old, new), brightness)
