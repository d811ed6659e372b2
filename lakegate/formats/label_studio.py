"""Label Studio's JSON export: a list of tasks, https://labelstud.io/guide/task_format

Of several annotations of a task the newest counts that was not cancelled; predictions are not read. The file is read task by
task, so it may be larger than the memory.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from lakegate.errors import BadExport, BadImage
from lakegate.formats.export_files import IMAGE_SUFFIXES, ExportFiles, key_of, leads_outside, split_in
from lakegate.formats.json_stream import ListBegins, iterate_members
from lakegate.formats.label_studio_results import Annotated, objects_of
from lakegate.formats.reading import Reading, SourceRecord
from lakegate.formats.shapes import counted
from lakegate.formats.unreadable import UnreadableShape

Json = dict[str, Any]
MAX_TASK_BYTES = 1 << 26  # of a file that is one task; a larger object is another format's
IMAGE_KEYS = ("image", "img", "url")
UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")  # Label Studio puts it before the name of an uploaded file


@dataclass
class _LabelStudio:
    export: ExportFiles
    reading: Reading
    file: Path
    relative: str
    counts: Counter[str] = field(default_factory=Counter)  # what is worth a note
    unread: Counter[str] = field(default_factory=Counter)
    labels: dict[str, None] = field(default_factory=dict)


def is_label_studio(path: Path) -> bool:
    """Tell whether a JSON file is Label Studio's: tasks (a list, or one object) with ``data`` and ``annotations``."""
    with path.open("rb") as file:
        opening = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if opening not in (b"[", b"{") or (opening == b"{" and path.stat().st_size > MAX_TASK_BYTES):
        return False
    try:
        first = next(iterate_tasks(path), None)
    except BadExport:
        return False
    return isinstance(first, dict) and isinstance(first.get("data"), dict) and isinstance(_annotations(first), list)


def read_label_studio(export: ExportFiles) -> Reading:
    """Read all Label Studio files of an export; what is wrong with one task becomes a problem of its sample.

    Raises:
        BadExport: there is no Label Studio file, or one is no JSON.
    """
    reading = Reading()
    labels: dict[str, None] = {}
    found = [path for path in export.files if path.suffix.lower() == ".json"]
    files = found if export.source_is_file else [path for path in found if is_label_studio(path)]
    if not files:
        raise BadExport(
            f"no Label Studio file below {export.root.name}; expected a .json that lists tasks with data and annotations "
            "(export as JSON, not as JSON-MIN)"
        )
    for path in files:
        job = _LabelStudio(export, reading, path, export.relative(path))
        reading.label_files[job.relative] = path
        for number, task in enumerate(iterate_tasks(path), start=1):
            _read_task(job, task, number)
        _note(job)
        labels.update(job.labels)
    reading.labels = sorted(labels)
    return reading


def iterate_tasks(path: Path) -> Iterator[Any]:
    """Yield the tasks of a file one by one; a single object is one task. Raises ``BadExport`` where it is no JSON."""
    alone: Json = {}
    try:
        for key, value in iterate_members(path):
            if value is ListBegins:
                if key:
                    alone[key] = []
            elif not key:
                yield value
            elif isinstance(alone.get(key), list):
                alone[key].append(value)
            else:
                alone[key] = value
    except ValueError as error:
        raise BadExport(f"{path.name} is not JSON ({error}); export it again") from error
    if alone:
        yield alone


def _annotations(task: Json) -> Any:
    return task.get("annotations", task.get("completions"))


def _read_task(job: _LabelStudio, task: Any, number: int) -> None:
    shown = f"task {task.get('id', number) if isinstance(task, dict) else number}"
    try:
        if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
            raise UnreadableShape("label_file_is_whole", f"{shown} is no object with data")
        annotation = _newest(job, task, shown)
        if annotation is None:
            return
        sample_id = _sample_of(job.export, task, shown)
    except UnreadableShape as problem:
        job.reading.problem(shown, job.relative, problem.rule, str(problem))
        return
    image = job.export.by_id[sample_id][0]
    try:
        size_px = job.export.size_px(image)
        annotated = objects_of(annotation.get("result"), size_px, _author(annotation))
    except BadImage as error:
        job.reading.problem(sample_id, job.export.relative(image), "image_is_whole", str(error))
    except UnreadableShape as problem:
        job.reading.problem(sample_id, job.relative, problem.rule, f"{shown}: {problem}")
    else:
        _add(job, task, sample_id, annotated)


def _add(job: _LabelStudio, task: Json, sample_id: str, annotated: Annotated) -> None:
    image = job.export.by_id[sample_id][0]
    job.unread.update(annotated.unread)
    job.counts["region with several labels"] += annotated.n_several_labels
    job.labels.update(dict.fromkeys(item.label for item in annotated.objects))
    source = {name: str(task[name]) for name in ("project", "id") if isinstance(task.get(name), int | str)}
    if "id" in source:
        source["task"] = source.pop("id")
    job.reading.records.append(
        SourceRecord(
            sample_id,
            job.relative,
            job.file,
            image,
            job.export.size_px(image),
            annotated.objects,
            annotated.stated_size_px,
            split_in(PurePosixPath(sample_id)),
            source=source,
        )
    )


def _newest(job: _LabelStudio, task: Json, shown: str) -> Json | None:
    """Return the annotation that counts; None for a task that nobody labelled."""
    annotations = _annotations(task)
    if not isinstance(annotations, list) or not all(isinstance(item, dict) for item in annotations):
        raise UnreadableShape("label_file_is_whole", f"{shown} has no list of annotations")
    job.counts["prediction"] += len(task["predictions"]) if isinstance(task.get("predictions"), list) else 0
    valid = [item for item in annotations if not item.get("was_cancelled")]
    job.counts["cancelled annotation"] += len(annotations) - len(valid)
    if not valid:
        job.counts["unlabelled task"] += 1
        return None
    job.counts["older annotation"] += len(valid) - 1
    newest: Json = max(valid, key=_age)
    return newest


def _age(annotation: Json) -> tuple[str, str]:
    """Order annotations by time (ISO, so text sorts), those of one time by number."""
    return str(annotation.get("updated_at") or annotation.get("created_at") or ""), str(annotation.get("id", "")).zfill(20)


def _note(job: _LabelStudio) -> None:
    if job.unread:
        reading = "boxes, polygons, ellipses, masks, keypoints and choices are"
        job.reading.notes.append(f"{job.relative}: {counted(job.unread)} not read: {reading}")
    left_out = {
        name: job.counts[name]
        for name in ("older annotation", "cancelled annotation", "prediction", "unlabelled task")
        if job.counts[name]
    }
    if left_out:
        job.reading.notes.append(f"{job.relative}: left out: {counted(left_out)}")
    if several := job.counts["region with several labels"]:
        job.reading.notes.append(f"{job.relative}: {counted({'region': several})} with several labels came in once for each")


def _author(annotation: Json) -> str:
    author = annotation.get("completed_by")
    if isinstance(author, dict):
        author = author.get("email") or author.get("username") or author.get("id")
    return str(author) if isinstance(author, int | str) and not isinstance(author, bool) else ""


def _sample_of(export: ExportFiles, task: Json, shown: str) -> str:
    """Return the sample that the task's image address ends with; raises ``UnreadableShape``."""
    address = _address(task["data"], shown)
    for path in _paths(address):
        if leads_outside(path.lstrip("/")):
            reason = f"the image '{address}' of {shown} leads out of the export; expected an address without '..'"
            raise UnreadableShape("file_name_is_inside", reason)
        parts = PurePosixPath(path.lstrip("/")).parts
        keys = [key_of(PurePosixPath(*parts[start:])) for start in range(len(parts))]
        if (whole := next((key for key in keys if key in export.by_id), None)) is not None:
            return whole
        if parts and (found := export.find(key_of(PurePosixPath(parts[-1])))) is not None:
            return found
    raise UnreadableShape("image_exists", f"the image '{address}' of {shown} is missing; {len(export.by_id)} images were found")


def _address(data: Json, shown: str) -> str:
    texts = {name: text for name, text in data.items() if isinstance(text, str)}
    for name in IMAGE_KEYS:
        if name in texts:
            return texts[name]
    images = [text for text in texts.values() if PurePosixPath(_split(text).path).suffix.lower() in IMAGE_SUFFIXES]
    if len(images) != 1:
        reason = f"the data of {shown} names {len(images)} images ({', '.join(texts)}); expected one, called 'image'"
        raise UnreadableShape("image_exists", reason)
    return images[0]


def _paths(address: str) -> Iterator[str]:
    """Yield what the address may mean: the path of a local file, of a URL, and the latter without the prefix of an upload."""
    parts = _split(address)
    yield from (path.replace("\\", "/") for path in parse_qs(parts.query).get("d", []))
    path = unquote(parts.path).replace("\\", "/")
    yield path
    folder, _, name = path.rpartition("/")
    yield f"{folder}/{UPLOAD_PREFIX.sub('', name)}"


def _split(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError:  # for example a broken IPv6 address
        return urlsplit("")
