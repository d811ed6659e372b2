"""Classification: one folder of images per class, for example ``train/Fruit/Banana/1.jpg``; no label files."""

from collections import Counter
from pathlib import Path, PurePosixPath

from lakegate.errors import BadExport, BadImage
from lakegate.formats.export_files import IMAGE_FOLDERS, IMAGE_SUFFIXES, SPLIT_WORDS, ExportFiles, open_export, split_in
from lakegate.formats.reading import Reading, SourceObject, SourceRecord

FEWEST_CLASSES = 2


def read_image_folders(export: ExportFiles) -> Reading:
    """Read the class of each image from its folder; the split from a folder above that is called train, val or test.

    The class is the last folder's name. Where the dataset declares a longer path below the split (``Fruit/Banana``), that path
    is the class.
    """
    reading = Reading()
    classes: dict[str, set[str]] = {}
    for sample_id, paths in sorted(export.by_id.items()):
        path = paths[0]
        relative = path.relative_to(export.images_dir).as_posix()
        folder = class_folder(PurePosixPath(relative))
        if not folder:
            reason = "it lies in no folder that names its class; put it into the folder of its class"
            reading.problem(sample_id, relative, "class_is_named", reason)
            continue
        label = folder if folder in export.labels else PurePosixPath(folder).name
        classes.setdefault(label, set()).add(folder)
        try:
            size_px = export.size_px(path)
        except BadImage as error:
            reading.problem(sample_id, relative, "image_is_whole", str(error))
            continue
        objects = (SourceObject(label, None),)
        split = split_in(PurePosixPath(relative))
        reading.records.append(SourceRecord(sample_id, relative, path, path, size_px, objects, split=split))
    if not classes:
        raise BadExport(f"no image below {export.images_dir.name} lies in a folder of its own class; expected <class>/<image>")
    reading.labels = sorted(classes)
    reading.notes += _notes(export, classes)
    return reading


def class_folder(relative: PurePosixPath) -> str:
    """Return the folders that name an image's class: below the split's folder where there is one; empty where none does.

    >>> class_folder(PurePosixPath("dataset/train/Fruit/Banana/1.jpg"))
    'Fruit/Banana'
    """
    folders = [part for part in relative.parts[:-1] if part.lower() not in IMAGE_FOLDERS]
    splits = [number for number, part in enumerate(folders) if part.lower() in SPLIT_WORDS]
    return "/".join(folders[splits[0] + 1 :] if splits else folders)


def has_class_folders(source: Path, images: Path | None) -> bool:
    """Tell whether all images lie in folders of classes, at least two of them, and nothing but images is called a label."""
    try:
        export = open_export(source, images)
    except BadExport:
        return False
    folders = {class_folder(PurePosixPath(sample_id)) for sample_id in export.by_id}
    return "" not in folders and len({PurePosixPath(folder).name for folder in folders}) >= FEWEST_CLASSES


def _notes(export: ExportFiles, classes: dict[str, set[str]]) -> list[str]:
    notes = [
        f"class '{label}' is made of {len(folders)} folders: {', '.join(sorted(folders)[:5])}"
        for label, folders in sorted(classes.items())
        if len(folders) > 1
    ]
    others = Counter(path.suffix.lower() or path.name for path in export.files if path.suffix.lower() not in IMAGE_SUFFIXES)
    if others:
        words = ", ".join(f"{suffix} {number}" for suffix, number in sorted(others.items()))
        notes.append(f"{others.total()} files are no images that Lakegate reads: {words}")
    return notes
