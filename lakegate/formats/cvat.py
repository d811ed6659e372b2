"""CVAT for images 1.1 and for video 1.1: exports of a task, a project or a job, in one or several XML files.

What comes in: boxes (a turned one as a polygon and the attribute ``rotation``), polygons, masks, ellipses (as polygons),
points, skeletons, tags (labels of the whole image) and tracks. ``occluded``, ``z_order`` and ``group_id`` become attributes
where they are set, ``source`` becomes the origin. Polylines and cuboids are not modelled: they are counted in a note.
"""

from collections import Counter

from lakegate.errors import BadExport, BadImage
from lakegate.formats.cvat_images import ImageFinder, LabelFile
from lakegate.formats.cvat_shapes import object_of
from lakegate.formats.cvat_video import VideoReading
from lakegate.formats.cvat_xml import CvatImage, CvatMeta, CvatTrack, is_cvat, iterate_cvat
from lakegate.formats.export_files import ExportFiles, leads_outside
from lakegate.formats.frame_store import FrameStore
from lakegate.formats.reading import Reading, SizePx, SourceObject, SourceRecord
from lakegate.formats.shapes import counted
from lakegate.formats.unreadable import UnreadableShape

__all__ = ["is_cvat", "iterate_cvat", "read_cvat"]


def read_cvat(export: ExportFiles) -> Reading:
    """Read all CVAT files of an export; what is wrong with one image becomes a problem of its sample.

    Raises:
        BadExport: there is no CVAT file, or one is torn, declares entities, or has a track without readable frames.
    """
    reading = Reading()
    labels: dict[str, None] = {}
    finder = ImageFinder(export)
    found = [path for path in export.files if path.suffix.lower() == ".xml"]
    files = [path for path in found if is_cvat(path)]
    if not files:
        raise BadExport(f"no CVAT file below {export.root.name}; expected an .xml that begins with <annotations>")
    if len(files) < len(found):
        left_out = ", ".join(export.relative(path) for path in found if path not in files)
        reading.notes.append(f"not read, since it is no CVAT file: {left_out}")
    for path in files:
        file = LabelFile(path, export.relative(path))
        reading.label_files[file.relative] = path
        labels.update(dict.fromkeys(_read_file(export, finder, reading, file)))
    reading.labels = list(labels)
    return reading


def _read_file(export: ExportFiles, finder: ImageFinder, reading: Reading, file: LabelFile) -> tuple[str, ...]:
    """Read one file and return the labels that its head declares, and then those that its shapes have."""
    unread: Counter[str] = Counter()
    used: dict[str, None] = {}
    n_images = n_ellipses = 0
    with FrameStore() as store:
        video = VideoReading(export, finder, file, store)
        for part in iterate_cvat(file.path):
            if not isinstance(part, CvatMeta):
                used.update(dict.fromkeys(shape.label for shape in part.shapes if shape.problem is None))
            if isinstance(part, CvatMeta):
                file = LabelFile(file.path, file.relative, part)
                video.file = file
            elif isinstance(part, CvatTrack):
                video.add(part)
                n_ellipses += any(shape.kind == "ellipse" for shape in part.shapes)
            else:
                n_images += 1
                unread.update(part.unread)
                n_ellipses += sum(shape.kind == "ellipse" for shape in part.shapes)
                _read_image(export, finder, reading, file, part)
        video.finish(reading, only_tracks=n_images == 0)
    unread.update(video.unread)
    _note(reading, file.relative, unread, n_ellipses, video.n_estimated)
    return (*file.meta.labels, *used)


def _note(reading: Reading, file: str, unread: Counter[str], n_ellipses: int, n_estimated: int) -> None:
    if unread:
        kept = "boxes, polygons, masks, points, skeletons and tags are"
        reading.notes.append(f"{file}: {counted(unread)} not read: {kept}")
    if n_ellipses:
        reading.notes.append(f"{file}: {counted({'ellipse': n_ellipses})} came in as polygons of 64 points")
    if n_estimated:
        reading.notes.append(
            f"{file}: {counted({'polygon': n_estimated})} between keyframes were computed point by point (or kept, "
            "where the numbers of points differ); CVAT matches outlines, so it may show them some pixels elsewhere"
        )


def _read_image(export: ExportFiles, finder: ImageFinder, reading: Reading, file: LabelFile, item: CvatImage) -> None:
    task = file.meta.task(item.task_id)
    subset = item.subset or task.subset
    shown = item.name or f"image {item.frame}"
    if not item.name or leads_outside(item.name):
        reason = f"the name '{item.name}' leads out of the export; expected a path below the images"
        reading.problem(shown, file.relative, "file_name_is_inside", reason)
        return
    sample_id = finder.named(item.name, file.relative, subset)
    if sample_id is None:
        reason = f"the image '{item.name}' is missing; {len(export.by_id)} images were found"
        reading.problem(shown, file.relative, "image_exists", reason)
        return
    image = export.by_id[sample_id][0]
    try:
        size_px = export.size_px(image)
    except BadImage as error:
        reading.problem(sample_id, export.relative(image), "image_is_whole", str(error))
        return
    objects = _objects(reading, file, sample_id, item, size_px)
    if objects is not None:
        reading.records.append(
            SourceRecord(
                sample_id,
                file.relative,
                file.path,
                image,
                size_px,
                objects,
                item.size_px,
                file.split_of(subset, sample_id),
                file.tags_of(subset),
                file.source_of(task),
                clip=task.clip if task.is_video else "",
                frame=item.frame if task.is_video else None,
            )
        )


def _objects(
    reading: Reading, file: LabelFile, sample_id: str, item: CvatImage, size_px: SizePx
) -> tuple[SourceObject, ...] | None:
    """Return the objects of an image; None, and a problem, where one cannot be read."""
    try:
        return tuple(object_of(shape, size_px, file.meta.joint_names.get(shape.label, ())) for shape in item.shapes)
    except UnreadableShape as problem:
        reading.problem(sample_id, file.relative, problem.rule, str(problem))
        return None
