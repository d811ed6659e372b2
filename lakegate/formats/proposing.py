"""Write a first ``dataset.toml`` from what an export holds: publishable unedited, and every line says why it is there."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from lakegate.catalog import parse_dataset
from lakegate.declarations import Task
from lakegate.errors import BadExport
from lakegate.formats.export_files import ExportFiles
from lakegate.formats.importing import group_of, read_export, unambiguous
from lakegate.formats.reading import Reading, SourceObject, SourceRecord, record_spool
from lakegate.formats.registry import Format
from lakegate.quality.earlier_test import EarlierTestImages
from lakegate.quality.image_metrics import ImageMetrics, MeasuredImages
from lakegate.quality.images import measure_many
from lakegate.quality.leaks import Compared, find_leaks
from lakegate.quality.rules import BOX_TOLERANCE_PX
from lakegate.samples import Sample, draw_split

MEASURED_AT_MOST = 2000
FEWEST_GROUPS = 10  # below, a share of groups is no share of samples
FOLDER_PATTERN = r"^(.+)/[^/]+$"
GROUP_PATTERNS = {
    r"^(.+?)_(?:jpg|jpeg|png)\.rf\.": "Roboflow's augmented copies of one photograph",
    FOLDER_PATTERN: "folder",
    r"^(.+?)[-_][^-_/]*\d+$": "beginning of the name, before the last number",
}


def propose_dataset_toml(source: Path, images: Path | None, source_format: str = "auto") -> str:
    """Return the text of a ``dataset.toml`` for an export (arguments as of ``import_export``).

    Raises:
        BadExport: the export cannot be read, or holds no object.
    """
    known, export, reading = read_export(source, images, source_format)
    _keep_unambiguous(export, reading)
    shapes = Counter(shape for record in reading.records for item in record.objects for shape in _shapes(item))
    task = _task(shapes)
    counts = Counter(
        item.label
        for record in reading.records
        for item in record.objects
        if task == "classification" or item.bbox_xywh_px is not None
    )
    if not counts:
        problem = f"; first problem: {reading.problems[0].file}: {reading.problems[0].reason}" if reading.problems else ""
        raise BadExport(f"{source} holds no labelled object or image, so labels cannot be proposed{problem}")
    measured = _measure(export, reading.records)
    head = [*_head(known, export, reading, counts), *_task_lines(task, shapes), *_labels(known, reading, counts)]
    split = _split_table(reading.records, task)
    leaking = _leaking(reading.records, measured, "\n".join([*head, *split]))
    lines = [
        *head,
        *_policy(reading, measured, leaking),
        *split,
        *_quality_table(reading.records, measured),
        *_slice_hint(reading.records, task),
    ]
    return "\n".join(lines) + "\n"


def _keep_unambiguous(export: ExportFiles, reading: Reading) -> None:
    places = unambiguous(reading, export)
    if len(places) < len(reading.records):
        kept = record_spool()
        for place in places:
            kept.append(reading.records[place])
        reading.records = kept


def _head(known: Format, export: ExportFiles, reading: Reading, counts: Counter[str]) -> list[str]:
    labelled = {record.sample_id for record in reading.records} | {item.sample_id for item in reading.problems}
    unlabelled = len(set(export.by_id) - labelled)
    return [
        f"# Proposed by `lakegate data init` from an export as {known}: {len(reading.records)} labelled images, "
        f"{counts.total()} labels, {unlabelled} images without labels (not published).",
        *(f"# Note: {' '.join(note.split())}" for note in reading.notes),
    ]


def _shapes(item: SourceObject) -> list[str]:
    """Return what an object has, or that it is a label of the whole image."""
    if item.bbox_xywh_px is None:
        return ["image"]
    has_mask = bool(item.polygons_px) or item.rle is not None
    return ["object", *(["mask"] if has_mask else []), *(["keypoints"] if item.keypoints else [])]


def _task(shapes: Counter[str]) -> Task:
    """Return the task that all objects serve: the one that keeps most of them as they are."""
    if not shapes["object"] and shapes["image"]:
        return "classification"
    if shapes["object"] and shapes["keypoints"] == shapes["object"]:
        return "keypoints"
    return "segmentation" if shapes["object"] and shapes["mask"] == shapes["object"] else "detection"


def _task_lines(task: Task, shapes: Counter[str]) -> list[str]:
    lines = [
        f"# {shapes[shape]} of {shapes['object']} objects have {words}, which a dataset for {task} does not keep"
        for shape, words in (("mask", "a polygon or mask"), ("keypoints", "keypoints"))
        if shapes[shape] and task != {"mask": "segmentation", "keypoints": "keypoints"}[shape]
    ]
    if shapes["image"] and task != "classification":
        lines.append(f"# {shapes['image']} labels of whole images become tags")
    return [*lines, f'task = "{task}"']


def _labels(known: Format, reading: Reading, counts: Counter[str]) -> list[str]:
    if known == "voc":
        labels, order = sorted(counts, key=lambda label: (-counts[label], label)), "most frequent first"
    else:
        labels, order = list(dict.fromkeys(label.strip() for label in reading.labels)), "as the export numbers them"
    shown = ", ".join(f"{_one_line(label)} {counts[label]}" for label in labels[:12])
    return [f"# {order}; found: {shown}", f"labels = [{', '.join(map(_quoted, labels))}] # order is the class index"]


def _policy(reading: Reading, measured: MeasuredImages, leaking: set[str]) -> list[str]:
    bad = {item.sample_id for item in reading.problems} | {item.sample_id for item in reading.records if _has_bad_box(item)}
    bad |= measured.broken.keys() | leaking
    n_unseen = len(reading.records) - len(measured.metrics) - len(measured.broken)
    if not bad and not n_unseen:
        return ['on_bad_sample = "refuse" # one bad sample stops the version; "quarantine" publishes the others']
    lines = []
    if bad:
        first = _one_line(min(bad))
        some = "1 sample" if len(bad) == 1 else f"{len(bad)} samples"
        lines.append(f"# {some} cannot be published as they are (the first is {first}); the report of a version names each.")
    if leaking:
        lines.append(f"# {len(leaking)} of them: looks like an image of a split that models are judged on")
    if n_unseen:
        lines.append(f"# {n_unseen} images were not looked at yet: they may be broken, or look like one of another split")
    words = 'they are shown and kept out; "refuse" stops the version until they are corrected'
    return [*lines, f'on_bad_sample = "quarantine" # {words}']


def _leaking(records: Sequence[SourceRecord], measured: MeasuredImages, declared: str) -> set[str]:
    """Return the samples that would be trained on and look like one that models are judged on, as a version finds them."""
    declaration = parse_dataset("proposed", declared)
    samples = []
    for record in records:
        if record.sample_id in measured.metrics:
            group = group_of(record, declaration.split.group)
            is_drawn = declaration.split.source == "hash"
            split = draw_split(group, declaration.split.test, declaration.split.val) if is_drawn else record.split
            width, height = record.size_px
            samples.append(Sample(record.sample_id, width, height, split=split or "train", group=group))
    compared = Compared(tuple(samples), measured, {}, declaration.quality.near_duplicate_bits)
    return {problem.sample_id for problem in find_leaks(compared, EarlierTestImages())}


def _has_bad_box(record: SourceRecord) -> bool:
    width_px, height_px = record.size_px
    return record.stated_size_px not in (None, record.size_px) or any(
        width <= 0
        or height <= 0
        or min(x, y) < -BOX_TOLERANCE_PX
        or x + width > width_px + BOX_TOLERANCE_PX
        or y + height > height_px + BOX_TOLERANCE_PX
        for x, y, width, height in (item.bbox_xywh_px for item in record.objects if item.bbox_xywh_px is not None)
    )


def _split_table(records: Sequence[SourceRecord], task: Task) -> list[str]:
    given = Counter(record.split for record in records)
    lines = ["", "[split]"]
    if None not in given and {"train", "test"} <= set(given):
        shares = ", ".join(f"{name} {number}" for name, number in sorted(given.items(), key=str))
        return [*lines, f'from = "given" # the export says for each image: {shares}', 'group = "name"']
    lines += ['from = "hash" # drawn by group, so a sample keeps its split in all versions', "test = 0.2"]
    for pattern, meaning in GROUP_PATTERNS.items():
        if task == "classification" and pattern == FOLDER_PATTERN:
            continue  # folders are classes there
        groups = _groups(pattern, [record.sample_id for record in records])
        if task == "classification" and groups and _groups_are_classes(pattern, records):
            continue  # a class would stand whole on one side
        if groups >= FEWEST_GROUPS:
            return [*lines, f"group = '{pattern}' # {groups} groups, by the {meaning}: near-copies stay on one side"]
        if groups > 1:
            lines.append(f"# group = '{pattern}' # would make {groups} groups, by the {meaning}: too few to draw from")
    return [*lines, 'group = "name" # each image alone; if they come from few cameras or clips, give a pattern over the path']


def _groups(pattern: str, sample_ids: Sequence[str]) -> int:
    """Return the number of groups where the pattern fits nearly all samples and really joins some; else 0."""
    found = [match.group(1) for match in (re.search(pattern, sample_id) for sample_id in sample_ids) if match]
    groups = len(set(found))
    return groups if len(found) >= 0.9 * len(sample_ids) and groups <= 0.7 * len(found) else 0


def _groups_are_classes(pattern: str, records: Sequence[SourceRecord]) -> bool:
    """Tell whether some class has so few groups that a draw would leave it out of a split."""
    groups_of: dict[str, set[str]] = {}
    for record in records:
        match = re.search(pattern, record.sample_id)
        for item in record.objects:
            groups_of.setdefault(item.label, set()).add(match.group(1) if match else record.sample_id)
    return any(len(groups) < FEWEST_GROUPS for groups in groups_of.values())


def _measure(export: ExportFiles, records: Sequence[SourceRecord]) -> MeasuredImages:
    pairs = sorted((record.sample_id, record.image) for record in records)[:: max(1, len(records) // MEASURED_AT_MOST)]
    measured = measure_many(pairs, threads=min(os.cpu_count() or 1, 8))
    if not measured.metrics:
        reason = next(iter(measured.broken.values()), "no labelled image")
        raise BadExport(f"no image below {export.images_dir.name} could be read: {reason}")
    return measured


def _quality_table(records: Sequence[SourceRecord], measured: MeasuredImages) -> list[str]:
    metrics = list(measured.metrics.values())
    sides = [side for record in records for side in record.size_px]
    sizes = Counter(record.size_px for record in records).most_common(3)
    shown = ", ".join(f"{width} × {height} px ({number})" for (width, height), number in sizes)
    lines = ["", f"[quality] # limits with a margin around what {len(metrics)} images were measured to be"]
    if measured.broken:
        lines.append(f"# {len(measured.broken)} images cannot be decoded, the first is {_one_line(min(measured.broken))}")
    return [
        *lines,
        f"min_side_px = {max(1, int(min(sides) * 0.8))} # sizes found: {shown}",
        f"max_side_px = {int(max(sides) * 1.25) + 1}",
        *_range_lines(metrics),
    ]


def _range_lines(metrics: Sequence[ImageMetrics]) -> Iterable[str]:
    brightness = [item.brightness for item in metrics]
    low, high = _widened(brightness, 255, least_margin=20)
    yield f"brightness = [{low}, {high}] # mean grey value, found {min(brightness):.0f} to {max(brightness):.0f}"
    contrast = [item.contrast for item in metrics]
    low, high = _widened(contrast, 128, least_margin=10)
    yield f"contrast = [{low}, {high}] # standard deviation of grey, found {min(contrast):.0f} to {max(contrast):.0f}"
    blur = [item.blur for item in metrics]
    yield f"blur_min = {min(blur) / 4:.3g} # variance of the Laplacian, found {min(blur):.3g} to {max(blur):.3g}"


def _widened(values: Sequence[float], highest: int, least_margin: int) -> tuple[int, int]:
    margin = max(least_margin, 0.25 * (max(values) - min(values)))
    return max(0, int(min(values) - margin)), min(highest, int(max(values) + margin) + 1)


def _slice_hint(records: Sequence[SourceRecord], task: Task) -> list[str]:
    if task == "classification":
        label = next(item.label for record in records for item in record.objects)
        where = _quoted(f"{_quoted(label)} in labels")
        return [
            "",
            "# A slice is judged on its own in the regression matrix; this one would hold the images of one class:",
            "# [slices.one-class]",
            f"# where = {where}",
        ]
    numbers = sorted(len(record.objects) for record in records)
    many = numbers[int(0.8 * (len(numbers) - 1))]
    return [
        "",
        "# A slice is judged on its own in the regression matrix; this one would hold about a fifth of the images:",
        "# [slices.crowded]",
        f'# where = "objects >= {max(many, 1)}"',
    ]


def _quoted(label: str) -> str:
    """Return a TOML basic string; its escapes are JSON's."""
    return json.dumps(label, ensure_ascii=False).replace("\x7f", "\\u007f")


def _one_line(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text)
