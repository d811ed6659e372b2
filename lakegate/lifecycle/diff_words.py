"""A dataset diff in words: for the command line, the demo and a Prefect run."""

from lakegate.lake.diff import DatasetDiff

LEGEND = (
    "moved: matched one to one at IoU ≥ 0.5 (of masks where there are, else of boxes) with another shape; "
    "reclassified: the same object under another label"
)


def describe_diff(difference: DatasetDiff, old: str, new: str) -> str:
    """Return the diff as a few lines that a person can read aloud."""
    samples, objects = difference.to_json()["samples"], difference.to_json()["objects"]
    lines = [
        f"{old} → {new}",
        "samples: " + ", ".join(f"{count} {name}" for name, count in samples.items()),
        "objects on the common samples: " + ", ".join(f"{count} {name}" for name, count in objects.items()),
        f"  ({LEGEND})",
    ]
    lines += quiet_changes(difference)
    return "\n".join(lines + label_lines(difference))


def diff_markdown(difference: DatasetDiff, old: str, new: str) -> str:
    """Return the diff for a Prefect run: two tables and the changes of labels."""
    numbers = difference.to_json()
    lines = [f"### {old} → {new}", ""]
    for group in ("samples", "objects"):
        names = list(numbers[group])
        what = "samples" if group == "samples" else "objects on the common samples"
        lines += [f"| {what} | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
        lines += [f"| number | {' | '.join(str(numbers[group][name]) for name in names)} |", ""]
    lines += [f"- {line}" for line in (*quiet_changes(difference), *label_lines(difference))]
    return "\n".join([*lines, "", LEGEND[0].upper() + LEGEND[1:] + "."]) + "\n"


def quiet_changes(difference: DatasetDiff) -> list[str]:
    """Return what the numbers of ``--json`` do not hold: moves between splits or groups, edited attributes."""
    lines = []
    if difference.resplit:
        lines.append(f"of the common samples, {len(difference.resplit)} in another split or group")
    if difference.objects.edited:
        lines.append(f"objects with other attributes or another track: {difference.objects.edited}")
    return lines


def label_lines(difference: DatasetDiff) -> list[str]:
    """Return one line for each change of the labels; what looks like a rename is said once, with its evidence."""
    labels = difference.labels
    guessed = {*labels.suggested, *labels.suggested.values()}
    lines = []
    for what, names in (("added", labels.added), ("removed", labels.removed)):
        rest = [name for name in names if name not in guessed]
        lines += [f"labels {what}: {', '.join(rest)}"] if rest else []
    lines += [f"label renamed: {before} → {after}" for before, after in labels.renamed.items()]
    return lines + [
        f"label probably renamed: {words}; if so, declare it in [rename] of dataset.toml, and leave the old name out of labels"
        for words in labels.suggestions()
    ]
