"""A dataset diff in words, for the command line and the demo."""

from lakegate.lake.diff import DatasetDiff


def describe_diff(difference: DatasetDiff, old: str, new: str) -> str:
    """Return the diff as a few lines that a person can read aloud."""
    samples = difference.to_json()["samples"]
    objects, labels = difference.to_json()["objects"], difference.to_json()["labels"]
    lines = [
        f"{old} → {new}",
        "samples: " + ", ".join(f"{count} {name}" for name, count in samples.items()),
        "objects on the common samples: " + ", ".join(f"{count} {name}" for name, count in objects.items()),
        "  (moved: matched one to one at IoU ≥ 0.5 with another box; reclassified: the same box under another label)",
    ]
    for name in ("added", "removed"):
        if labels[name]:
            lines.append(f"labels {name}: {', '.join(labels[name])}")
    lines += [f"label renamed: {before} → {after}" for before, after in labels["renamed"].items()]
    lines += [
        f"label probably renamed: {before} → {after}; declare it in [rename] of dataset.toml if so"
        for before, after in labels["suggested"].items()
    ]
    return "\n".join(lines)
