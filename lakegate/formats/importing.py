"""Read an annotation export into samples: nothing is dropped, moved or renamed in silence.

Datumaro's importers do the reading; each result is compared with what the label file itself says, because Datumaro rounds
coordinates to 2 decimals and skips some objects with a log line only. What differs becomes a problem of that sample.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from lakegate.canonical import FLOAT_DECIMALS, sha256_bytes, sha256_file
from lakegate.declarations import DatasetDeclaration
from lakegate.errors import BadDeclaration, BadExport, nearest
from lakegate.formats.coco import read_coco, stage_coco
from lakegate.formats.export_files import ExportFiles, open_export
from lakegate.formats.reading import Reading, SourceObject, SourceRecord, printable
from lakegate.formats.recognising import Format, check_format, recognise
from lakegate.formats.staging import Stage, difference, import_through_datumaro
from lakegate.formats.voc import read_voc, stage_voc
from lakegate.formats.yolo import read_yolo, stage_yolo
from lakegate.quality.problems import SampleProblem
from lakegate.samples import Annotation, ImportedSample, Sample, Split, draw_split

__all__ = ["ImportResult", "import_export", "recognise"]

STAGES: dict[Format, tuple[str, Stage]] = {
    "voc": ("voc_detection", stage_voc),
    "coco": ("coco_instances", stage_coco),
    "yolo": ("yolo", stage_yolo),
}


@dataclass(frozen=True)
class ImportResult:
    """What an export holds. Samples with a problem that leaves them without labels or image are in ``problems`` only.

    ``samples`` ascend by id; ``unlabelled`` are images without a label file, relative to the images' folder;
    ``source_digest`` is the same for the same export wherever it lies.
    """

    samples: list[ImportedSample]
    unlabelled: list[Path]
    format: str
    notes: list[str]
    source_digest: str
    problems: list[SampleProblem]


def import_export(
    source: Path,
    images: Path | None,
    declaration: DatasetDeclaration,
    source_format: str = "auto",
    limit_to: set[str] | None = None,
) -> ImportResult:
    """Read an export.

    Args:
        source: folder of the export, or one COCO file.
        images: folder of the images where they are not below ``source``; sample ids are paths below it.
        declaration: gives labels, renames and the split.
        source_format: ``auto``, ``voc``, ``coco`` or ``yolo``.
        limit_to: sample ids to read; all where None.

    Raises:
        BadExport: the export as a whole is missing, empty, ambiguous or unreadable. What is wrong with single samples
            stands in ``problems`` instead.
    """
    known, export, reading = read_export(source, images, source_format, declaration.labels)
    for path in export.unprintable:
        reason = "its name holds signs that cannot be printed, so no sample can be called so; rename the file"
        reading.problem(printable(path.stem), export.relative(path), "name_is_printable", reason)
    if limit_to is not None:
        _limit(reading, export, limit_to)
    records = _unambiguous(reading, export, limit_to)
    records = _faithful(known, reading, records)
    samples = [_sample(record, known, declaration, reading) for record in records]
    kept = sorted((sample for sample in samples if sample is not None), key=lambda item: item.sample.id)
    unlabelled = _unlabelled(export, reading, limit_to)
    if unlabelled:
        reading.notes.append(f"{len(unlabelled)} images have no label file and are not published")
    return ImportResult(
        samples=kept,
        unlabelled=unlabelled,
        format=known,
        notes=reading.notes,
        source_digest=_source_digest(known, export, reading, declaration, limit_to),
        problems=sorted(set(reading.problems), key=lambda item: (item.sample_id, item.rule, item.file, item.reason)),
    )


def read_export(
    source: Path, images: Path | None, source_format: str, declared: Sequence[str]
) -> tuple[Format, ExportFiles, Reading]:
    """Find the format, the images and the labels, without judging labels; raises ``BadExport``."""
    known = recognise(source) if source_format == "auto" else check_format(source_format)
    export = open_export(source, images)
    readers: dict[Format, Callable[[ExportFiles], Reading]] = {
        "voc": read_voc,
        "coco": read_coco,
        "yolo": partial(read_yolo, declared=declared),
    }
    return known, export, readers[known](export)


def _limit(reading: Reading, export: ExportFiles, limit_to: set[str]) -> None:
    known = {*export.by_id, *(record.sample_id for record in reading.records), *(item.sample_id for item in reading.problems)}
    missing = sorted(limit_to - known)
    if missing:
        raise BadExport(
            f"{len(missing)} of the {len(limit_to)} samples asked for are not in the export, the first is '{missing[0]}'"
            f"{nearest(missing[0], known) if len(known) < 10_000 else ''}"
        )
    reading.records = [record for record in reading.records if record.sample_id in limit_to]
    reading.problems = [item for item in reading.problems if item.sample_id in limit_to]


def _unambiguous(reading: Reading, export: ExportFiles, limit_to: set[str] | None) -> list[SourceRecord]:
    """Keep the records whose image and label file are the only ones of their sample."""
    twice = {sample_id: paths for sample_id, paths in export.by_id.items() if len(paths) > 1}
    for sample_id, paths in twice.items():
        if limit_to is None or sample_id in limit_to:
            names = [export.relative(path) for path in paths]
            reason = f"{len(names)} images have the name of one sample: {', '.join(names)}; rename all but one"
            reading.problem(sample_id, names[1], "stem_is_unique", reason)
    labelled = Counter(record.sample_id for record in reading.records)
    for record in reading.records:
        if labelled[record.sample_id] > 1:
            files = sorted(item.label_file for item in reading.records if item.sample_id == record.sample_id)
            reason = f"{len(files)} sets of labels belong to this image: {', '.join(files[:3])}; give the one that counts"
            reading.problem(record.sample_id, files[0], "labels_are_unique", reason)
    kept = [item for item in reading.records if labelled[item.sample_id] == 1 and item.sample_id not in twice]
    return sorted(kept, key=lambda record: record.sample_id)


def _faithful(known: Format, reading: Reading, records: list[SourceRecord]) -> list[SourceRecord]:
    """Let Datumaro import the records; keep those where its reading and the file agree."""
    if not records:
        return []
    datumaro_format, stage = STAGES[known]
    imported, errors = import_through_datumaro(datumaro_format, stage, records, reading.labels)
    kept = []
    for number, record in enumerate(records):
        reason = errors.get(number) or difference(record.objects, imported.get(number, []))
        if reason or number not in imported:
            reason = f"Datumaro cannot import it as it is: {reason or 'no item'}; correct the label file"
            reading.problem(record.sample_id, record.label_file, "import_is_faithful", reason)
        else:
            kept.append(record)
    return kept


def _sample(record: SourceRecord, known: Format, declaration: DatasetDeclaration, reading: Reading) -> ImportedSample | None:
    objects = [replace(item, label=declaration.rename.get(item.label, item.label)) for item in record.objects]
    undeclared = sorted({item.label for item in objects} - set(declaration.labels))
    if undeclared:
        words = "; ".join(f"'{label}' is no label of the dataset{nearest(label, declaration.labels)}" for label in undeclared)
        reading.problem(record.sample_id, record.label_file, "label_is_declared", words)
        return None
    if record.stated_size_px not in (None, record.size_px):
        reading.problem(record.sample_id, record.label_file, "size_matches", _size_reason(record))
    group = _group(record, declaration.split.group)
    split = _split(record, group, declaration, reading)
    if split is None:
        return None
    width, height = record.size_px
    sample = Sample(
        id=record.sample_id,
        width_px=width,
        height_px=height,
        annotations=tuple(map(_annotation, objects)),
        split=split,
        group=group,
        tags=record.tags,
        source={"format": known, "file": record.label_file, **record.source},
        captured_at=record.captured_at,
        frame=record.frame,
    )
    return ImportedSample(sample, record.image)


def _annotation(item: SourceObject) -> Annotation:
    box = item.bbox_xywh_px
    return Annotation(
        label=item.label,
        bbox_xywh_px=None if box is None else tuple(round(side, FLOAT_DECIMALS) for side in box),  # type: ignore[arg-type]
        attributes=item.attributes,
        author=item.author,
        origin=item.origin,
        polygons_px=tuple(tuple(round(number, FLOAT_DECIMALS) for number in polygon) for polygon in item.polygons_px),
        rle=item.rle,
        keypoints=tuple(
            replace(point, x_px=round(point.x_px, FLOAT_DECIMALS), y_px=round(point.y_px, FLOAT_DECIMALS))
            for point in item.keypoints
        ),
        track_id=item.track_id,
    )


def _size_reason(record: SourceRecord) -> str:
    stated, real = record.stated_size_px or (0, 0), record.size_px
    turned = "; the sides are swapped: the boxes were drawn on the turned image" if stated == real[::-1] else ""
    return f"the label file says {stated[0]} × {stated[1]} px, the image has {real[0]} × {real[1]} px{turned}"


def _group(record: SourceRecord, rule: str) -> str:
    """Return the group of a sample: its clip, or itself, or what the pattern (its first group) finds in its id."""
    sample_id = record.sample_id
    if rule == "name":
        return record.clip or sample_id
    try:
        found = re.search(rule, sample_id)
    except re.error as error:
        raise BadDeclaration(f"[split] group = '{rule}' is not 'name' and no regular expression: {error}") from error
    if found is None:
        return sample_id
    return (found.group(1) if found.re.groups else found.group()) or sample_id


def _split(record: SourceRecord, group: str, declaration: DatasetDeclaration, reading: Reading) -> Split | None:
    if declaration.split.source == "hash":
        return draw_split(group, declaration.split.test, declaration.split.val)
    if record.split is None:
        reason = "[split] from = 'given', but no list and no folder of the export says train, val or test for it"
        reading.problem(record.sample_id, record.label_file, "split_is_given", reason)
    return record.split


def _unlabelled(export: ExportFiles, reading: Reading, limit_to: set[str] | None) -> list[Path]:
    spoken_for = {record.sample_id for record in reading.records} | {item.sample_id for item in reading.problems}
    return [
        paths[0].relative_to(export.images_dir)
        for sample_id, paths in sorted(export.by_id.items())
        if sample_id not in spoken_for and (limit_to is None or sample_id in limit_to)
    ]


def _source_digest(
    known: Format, export: ExportFiles, reading: Reading, declaration: DatasetDeclaration, limit_to: set[str] | None
) -> str:
    """Return SHA-256 over names and contents of what was read, the declaration's digest and the limit."""
    chosen = limit_to if limit_to is not None else set(export.by_id)
    lines = [f"label\t{name}\t{sha256_file(path)}" for name, path in reading.label_files.items()]
    for sample_id in chosen & set(export.by_id):
        for path in export.by_id[sample_id]:
            lines.append(f"image\t{path.relative_to(export.images_dir).as_posix()}\t{sha256_file(path)}")
    if limit_to is not None:
        lines += [f"only\t{sample_id}" for sample_id in limit_to]
    return sha256_bytes("\n".join([known, declaration.digest, *sorted(lines)]).encode(errors="surrogateescape"))
