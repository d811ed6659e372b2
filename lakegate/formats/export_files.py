"""The files of an export: where the images are, which sample each one is, and which names lead outside."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath

from lakegate.declarations import Task
from lakegate.errors import BadExport, BadImage
from lakegate.formats.reading import SizePx
from lakegate.samples import Split

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
IMAGE_FOLDERS = frozenset({"images", "jpegimages", "imgs"})
LABEL_FOLDERS = frozenset({"labels", "annotations"})
SPLIT_WORDS: dict[str, Split] = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
}  # fmt: skip


def files_below(folder: Path) -> list[Path]:
    """Return all files below ``folder``, sorted; hidden ones and macOS resource forks are left out, links are followed."""
    found: list[Path] = []
    seen: set[str] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # a link that leads back up
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        found += [Path(parent, name) for name in names if not name.startswith(".")]
    return sorted(found)


def leads_outside(name: str) -> bool:
    """Return True for an absolute path (of any system), and for one with a ``..``.

    >>> leads_outside("../a.jpg"), leads_outside("C:\\\\a.jpg"), leads_outside("north/a..b.jpg")
    (True, True, False)
    """
    windows = PureWindowsPath(name)
    return name.startswith(("/", "\\")) or bool(windows.drive) or ".." in windows.parts


def key_of(relative: PurePosixPath, skipped_folders: Iterable[str] = ()) -> str:
    """Return the path without its suffix, and without folders that only say what is in them (``images``, ``labels``)."""
    skipped = frozenset(skipped_folders)
    folders = [part for part in relative.parts[:-1] if part.lower() not in skipped]
    return str(PurePosixPath(*folders, relative.stem if relative.suffix else relative.name))


def listed_splits(lists: Iterable[Path]) -> tuple[dict[str, Split], dict[str, str]]:
    """Read lists of images that are called after a split (``train.txt``), by path without suffix and by name.

    Returns:
        The split by key; and the keys that stand in lists of different splits, with the first such list's name.
    """
    splits: dict[str, Split] = {}
    torn: dict[str, str] = {}
    for path in lists:
        split = SPLIT_WORDS[path.stem.lower()]
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            entry = PurePosixPath(line.strip().replace("\\", "/"))
            for key in {str(entry), key_of(entry), entry.stem} if line.strip() else ():
                if splits.setdefault(key, split) != split:
                    torn.setdefault(key, path.name)
    return splits, torn


def split_in(path: PurePosixPath) -> Split | None:
    """Return the split that a folder of the path names, for example ``val`` of ``images/valid/1.jpg``."""
    return next((SPLIT_WORDS[part.lower()] for part in path.parts[:-1] if part.lower() in SPLIT_WORDS), None)


@dataclass
class ExportFiles:
    """An export on disk. ``images_dir`` is where sample ids start; ``root`` is where relative label names start.

    ``task`` and ``labels`` are what the dataset declares, for readers to which an export leaves a choice; None and empty
    where no dataset is declared yet.
    """

    root: Path
    images_dir: Path
    files: list[Path]
    source_is_file: bool = False
    unprintable: list[Path] = field(default_factory=list)  # images whose name cannot be the name of a sample
    task: Task | None = None
    labels: tuple[str, ...] = ()
    _sizes: dict[Path, SizePx] = field(default_factory=dict)

    @cached_property
    def by_id(self) -> dict[str, list[Path]]:
        """All images by sample id; more than one path means that only the suffix differs."""
        skipped = IMAGE_FOLDERS if self.images_dir == self.root else ()
        found: dict[str, list[Path]] = {}
        for path in files_below(self.images_dir):
            key = key_of(PurePosixPath(path.relative_to(self.images_dir).as_posix()), skipped)
            if path.suffix.lower() not in IMAGE_SUFFIXES:
                continue
            if path.name.isprintable() and key.isprintable():
                found.setdefault(key, []).append(path)
            else:
                self.unprintable.append(path)
        return found

    @cached_property
    def _ids_by_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for sample_id in self.by_id:
            found.setdefault(PurePosixPath(sample_id).name, []).append(sample_id)
        return found

    def find(self, key: str) -> str | None:
        """Return the sample id that ``key`` (a path without suffix) means.

        It is the same path; else, where the images know no such folder (labels in ``train/``, images in one flat folder), the
        only image of that name.
        """
        if key in self.by_id:
            return key
        if PurePosixPath(key).parent in self._folders:
            return None
        same_name = self._ids_by_name.get(PurePosixPath(key).name, [])
        return same_name[0] if len(same_name) == 1 else None

    @cached_property
    def _folders(self) -> frozenset[PurePosixPath]:
        return frozenset(PurePosixPath(sample_id).parent for sample_id in self.by_id)

    def relative(self, path: Path) -> str:
        """Return the path as the person who made the export knows it; never absolute."""
        for base in (self.root, self.images_dir):
            if path.is_relative_to(base):
                return path.relative_to(base).as_posix()
        return path.name

    def size_px(self, image: Path) -> SizePx:
        """Return (width, height) from the image's header; raises ``BadImage`` where there is none."""
        if image not in self._sizes:
            self._sizes[image] = read_size_px(image)
        return self._sizes[image]


def read_size_px(image: Path) -> SizePx:
    """Return (width, height) in pixels as stored (an EXIF rotation is not applied); raises ``BadImage``."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(image) as opened:
            return opened.size
    except UnidentifiedImageError as error:
        raise BadImage(f"{image.name} is not an image (its first bytes are {image.read_bytes()[:12]!r})") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadImage(f"{image.name} cannot be read as an image: {error}") from error


def open_export(source: Path, images: Path | None, task: Task | None = None, labels: Iterable[str] = ()) -> ExportFiles:
    """Find the images of an export: ``images``, else its ``images/`` or ``JPEGImages/`` folder, else the export itself.

    ``task`` and ``labels`` are the dataset's.

    Raises:
        BadExport: a folder does not exist, or there is no image.
    """
    if not source.exists():
        raise BadExport(f"{source} does not exist; give the folder (or the COCO file) that the annotation tool exported")
    if images is not None and not images.is_dir():
        raise BadExport(f"--images {images} is not a folder; give the folder below which the images are")
    source = _plain(source)
    root = source if source.is_dir() else source.parent
    files = files_below(root) if source.is_dir() else [source]
    export = ExportFiles(root, images_folder(source, images), files, source.is_file(), task=task, labels=tuple(labels))
    start = export.images_dir
    if not export.by_id:
        raise BadExport(
            f"no images below {start}: expected {', '.join(sorted(IMAGE_SUFFIXES))}; name their folder with --images DIR"
        )
    return export


def images_folder(source: Path, images: Path | None) -> Path:
    """Return where the images of an export lie: ``images`` where it is given, else a folder called so, else the export."""
    if images is not None:
        return _plain(images)
    source = _plain(source)
    root = source if source.is_dir() else source.parent
    home = root.parent if source.is_file() and root.name.lower() == "annotations" else root
    folders = [item for item in sorted(home.iterdir()) if item.is_dir() and item.name.lower() in IMAGE_FOLDERS]
    return folders[0] if folders else home


def _plain(path: Path) -> Path:
    """Return the absolute path without ``..``; links stay, since an export may be put together from links."""
    return Path(os.path.normpath(path.absolute()))
