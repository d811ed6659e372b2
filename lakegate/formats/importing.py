"""Read an annotation export into samples: nothing is dropped, moved or renamed in silence.

Boxes of Pascal VOC, COCO and YOLO are read a second time by Datumaro's importers, and both readings are compared, because
Datumaro rounds coordinates to 2 decimals and skips some objects with a log line only. What differs becomes a problem of that
sample. Records and samples lie on disk (:mod:`lakegate.formats.spool`): names and offsets stay in memory.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lakegate.canonical import FLOAT_DECIMALS, sha256_bytes, sha256_file
from lakegate.declarations import DatasetDeclaration, Task
from lakegate.errors import BadDeclaration, BadExport, nearest
from lakegate.formats.export_files import ExportFiles, open_export
from lakegate.formats.import_result import ImportResult
from lakegate.formats.reading import Reading, SourceObject, SourceRecord, printable
from lakegate.formats.recognising import recognise
from lakegate.formats.registry import FORMATS, Format, check_format, datumaro_stage, read_format
from lakegate.formats.spool import Spool
from lakegate.formats.staging import difference, import_through_datumaro
from lakegate.formats.task_fit import ShapeMissing, TaskFit
from lakegate.lake.stat_index import sha256_of_files
from lakegate.samples import Annotation, ImportedSample, Sample, Split, draw_split

__all__ = ["ImportResult", "import_export", "recognise"]

RECORDS_AT_ONCE = 1000


def import_export(
    source: Path,
    images: Path | None,
    declaration: DatasetDeclaration,
    source_format: str = "auto",
    limit_to: set[str] | None = None,
    licence: str = "",
    origin: str = "",
    cache_dir: Path | None = None,
) -> ImportResult:
    """Read an export.

    Args:
        source: folder of the export, or one file of labels.
        images: folder of the images where they are not below ``source``; sample ids are paths below it.
        declaration: gives task, labels, renames and the split.
        source_format: ``auto``, or a name of :data:`lakegate.formats.registry.FORMATS`.
        limit_to: sample ids to read; all where None.
        licence: recorded in ``source`` of each sample for which the export itself names none.
        origin: free words on where the images come from, recorded likewise.
        cache_dir: where digests of unchanged images are known; without it every image is read for ``source_digest``.

    Raises:
        BadExport: the export as a whole is missing, empty, ambiguous or unreadable. What is wrong with single samples
            stands in ``problems`` instead.
    """
    known, export, reading = read_export(source, images, source_format, declaration.task, declaration.labels)
    for path in export.unprintable:
        reason = "its name holds signs that cannot be printed, so no sample can be called so; rename the file"
        reading.problem(printable(path.stem), export.relative(path), "name_is_printable", reason)
    if limit_to is not None:
        _limit(reading, export, limit_to)
    places = unambiguous(reading, export, limit_to)
    words = {name: text.strip() for name, text in (("licence", licence), ("origin", origin)) if text.strip()}
    task_fit = TaskFit(declaration.task)
    samples: Spool[ImportedSample] = Spool(lambda item: item.sample.id)
    for records in _in_parts(reading.records, places):
        for record in _faithful(known, reading, records):
            sample = _sample(replace(record, source=words | record.source), known, declaration, reading, task_fit)
            if sample is not None:
                samples.append(sample)
    reading.notes += task_fit.notes
    unlabelled = _unlabelled(export, reading, limit_to)
    if unlabelled:
        reading.notes.append(f"{len(unlabelled)} images have no label file and are not published")
    return ImportResult(
        samples=samples,
        unlabelled=unlabelled,
        format=known,
        notes=reading.notes,
        source_digest=_source_digest(known, export, reading, declaration, limit_to, words, cache_dir),
        problems=sorted(set(reading.problems), key=lambda item: (item.sample_id, item.rule, item.file, item.reason)),
        undeclared=reading.undeclared,
        problem_images={item.sample_id: paths[0] for item in reading.problems if (paths := export.by_id.get(item.sample_id))},
    )


def read_export(
    source: Path, images: Path | None, source_format: str, task: Task | None = None, labels: Sequence[str] = ()
) -> tuple[Format, ExportFiles, Reading]:
    """Find the format, the images and the labels, without judging labels; raises ``BadExport``.

    ``task`` and ``labels`` are what the dataset declares, None and empty where there is no declaration yet.
    """
    known = recognise(source, images, task) if source_format == "auto" else check_format(source_format)
    export = open_export(source, images, task, labels)
    return known, export, read_format(known, export)


def _limit(reading: Reading, export: ExportFiles, limit_to: set[str]) -> None:
    known = {*export.by_id, *reading.records.keys, *(item.sample_id for item in reading.problems)}
    missing = sorted(limit_to - known)
    if missing:
        raise BadExport(
            f"{len(missing)} of the {len(limit_to)} samples asked for are not in the export, the first is '{missing[0]}'"
            f"{nearest(missing[0], known) if len(known) < 10_000 else ''}"
        )
    reading.problems = [item for item in reading.problems if item.sample_id in limit_to]


def unambiguous(reading: Reading, export: ExportFiles, limit_to: set[str] | None = None) -> list[int]:
    """Return the places of the records whose image and label file are the only ones of their sample, ascending by sample.

    The others become problems of ``reading``.
    """
    twice = {sample_id: paths for sample_id, paths in export.by_id.items() if len(paths) > 1}
    for sample_id, paths in twice.items():
        if limit_to is None or sample_id in limit_to:
            names = [export.relative(path) for path in paths]
            reason = f"{len(names)} images have the name of one sample: {', '.join(names)}; rename all but one"
            reading.problem(sample_id, names[1], "stem_is_unique", reason)
    keys = reading.records.keys
    labelled = Counter(keys)
    repeated: dict[str, list[str]] = {}
    for place, sample_id in enumerate(keys):
        if labelled[sample_id] > 1 and (limit_to is None or sample_id in limit_to):
            repeated.setdefault(sample_id, []).append(reading.records[place].label_file)
    for sample_id, files in repeated.items():
        files.sort()
        reason = f"{len(files)} sets of labels belong to this image: {', '.join(files[:3])}; give the one that counts"
        reading.problem(sample_id, files[0], "labels_are_unique", reason)
    chosen = (
        place
        for place, sample_id in enumerate(keys)
        if labelled[sample_id] == 1 and sample_id not in twice and (limit_to is None or sample_id in limit_to)
    )
    return sorted(chosen, key=keys.__getitem__)


def _in_parts(records: Spool[SourceRecord], places: Sequence[int]) -> Iterator[list[SourceRecord]]:
    for start in range(0, len(places), RECORDS_AT_ONCE):
        yield [records[place] for place in places[start : start + RECORDS_AT_ONCE]]


def _faithful(known: Format, reading: Reading, records: list[SourceRecord]) -> list[SourceRecord]:
    """Let Datumaro import the records that hold boxes only; of these keep those where its reading and the file agree."""
    stage = datumaro_stage(known)
    checked = [record for record in records if stage is not None and _holds_boxes(known, record)]
    if stage is None or not checked:
        return records
    imported, errors = import_through_datumaro(FORMATS[known].datumaro_format, stage, checked, reading.labels)
    unfaithful = set()
    for number, record in enumerate(checked):
        reason = errors.get(number) or difference(record.objects, imported.get(number, []))
        if reason or number not in imported:
            reason = f"Datumaro cannot import it as it is: {reason or 'no item'}; correct the label file"
            reading.problem(record.sample_id, record.label_file, "import_is_faithful", reason)
            unfaithful.add(record.sample_id)
    return [record for record in records if record.sample_id not in unfaithful]


def _holds_boxes(known: Format, record: SourceRecord) -> bool:
    """Tell whether Datumaro reads the record's label file as boxes; lines with polygons or keypoints it does not."""
    if known == "yolo" and any(item.polygons_px or item.keypoints for item in record.objects):
        return False
    return all(item.bbox_xywh_px is not None for item in record.objects)


def _sample(
    record: SourceRecord, known: Format, declaration: DatasetDeclaration, reading: Reading, task_fit: TaskFit
) -> ImportedSample | None:
    try:
        record = task_fit.fit(record)
    except ShapeMissing as error:
        reading.problem(record.sample_id, record.label_file, "shape_fits_task", str(error))
        return None
    objects = [replace(item, label=declaration.rename.get(item.label, item.label)) for item in record.objects]
    undeclared = sorted({item.label for item in objects} - set(declaration.labels))
    if undeclared:
        words = "; ".join(f"'{label}' is no label of the dataset{nearest(label, declaration.labels)}" for label in undeclared)
        reading.problem(record.sample_id, record.label_file, "label_is_declared", words)
        labels = tuple(Annotation(item.label) for item in objects)
        reading.undeclared[record.sample_id] = Sample(record.sample_id, *record.size_px, labels, tags=record.tags)
        return None
    if record.stated_size_px not in (None, record.size_px):
        reading.problem(record.sample_id, record.label_file, "size_matches", _size_reason(record))
    group = group_of(record, declaration.split.group)
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


def group_of(record: SourceRecord, rule: str) -> str:
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
    spoken_for = set(reading.records.keys) | {item.sample_id for item in reading.problems}
    return [
        paths[0].relative_to(export.images_dir)
        for sample_id, paths in sorted(export.by_id.items())
        if sample_id not in spoken_for and (limit_to is None or sample_id in limit_to)
    ]


def _source_digest(
    known: Format,
    export: ExportFiles,
    reading: Reading,
    declaration: DatasetDeclaration,
    limit_to: set[str] | None,
    words: dict[str, str],
    cache_dir: Path | None,
) -> str:
    """Return SHA-256 over names and contents of what was read, the declaration's digest, the limit and the caller's words."""
    chosen = limit_to if limit_to is not None else set(export.by_id)
    lines = [f"label\t{name}\t{sha256_file(path)}" for name, path in reading.label_files.items()]
    images = [path for sample_id in chosen & set(export.by_id) for path in export.by_id[sample_id]]
    for path, sha256 in zip(images, _sha256_of(images, cache_dir), strict=True):
        lines.append(f"image\t{path.relative_to(export.images_dir).as_posix()}\t{sha256}")
    if limit_to is not None:
        lines += [f"only\t{sample_id}" for sample_id in limit_to]
    lines += [f"{name}\t{text}" for name, text in words.items()]
    return sha256_bytes("\n".join([known, declaration.digest, *sorted(lines)]).encode(errors="surrogateescape"))


def _sha256_of(images: list[Path], cache_dir: Path | None) -> list[str]:
    return sha256_of_files(cache_dir, images) if cache_dir else [sha256_file(path) for path in images]
