"""Raw frames: images without labels, put on a branch of a dataset from which people take them for annotation.

The branch begins at the repository's first commit, so it holds ``images/`` and nothing else: no labels, no attestation.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lakegate.canonical import sha256_bytes
from lakegate.catalog import load_dataset
from lakegate.declarations import DatasetDeclaration
from lakegate.errors import BadInput, LakeError, ValidationFailed
from lakegate.failpoints import reach
from lakegate.formats.export_files import IMAGE_SUFFIXES, open_export, read_size_px
from lakegate.formats.export_set import ExportItem
from lakegate.formats.reading import printable
from lakegate.lake.client import LakeClient
from lakegate.lake.local import fetch_objects
from lakegate.lake.local_version import DatasetVersion
from lakegate.lake.objects import IMAGES, MAIN, ObjectEntry
from lakegate.lifecycle.publication import Say
from lakegate.lifecycle.sources import OpenedSource, check_address, open_source
from lakegate.quality.images import measure_many
from lakegate.quality.metrics_cache import MetricsCache
from lakegate.samples import Sample, sample_id_of
from lakegate.settings import Settings

PREFIX = "annotate-"
BRANCH = re.compile(r"annotate-[a-z0-9][a-z0-9-]{0,49}")
NAMED_FRAMES = 10
SAID_PER_UPLOAD = 10


@dataclass(frozen=True)
class FramesRequest:
    """What a person asked for, checked before anything is read."""

    declaration: DatasetDeclaration
    source: str
    branch: str
    message: str

    @classmethod
    def from_words(cls, settings: Settings, dataset: str, source: str, branch: str, message: str = "") -> "FramesRequest":
        """Check the words of a form; ``branch`` may leave out ``annotate-``.

        Raises:
            UnknownName, BadDeclaration, BadInput: dataset, source or branch name is not usable.
        """
        declaration = load_dataset(settings, dataset)
        check_address(source, "source")
        name = branch if branch.startswith(PREFIX) else f"{PREFIX}{branch}"
        if not BRANCH.fullmatch(name):
            words = "up to 50 small letters, digits and dashes, as in 'may-camera-3'"
            raise BadInput(f"'{branch}' is no name of a branch: {words}")
        return cls(declaration, source, name, message.strip() or f"Frames for annotation: {name}")


@dataclass(frozen=True)
class FramesSummary:
    """What the branch holds now. ``left_out`` are the lines of frames that are no whole image, or have no usable name."""

    branch: str
    commit: str
    n_frames: int
    n_sent: int
    left_out: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The summary in words."""
        words = f", {len(self.left_out)} files were left out" if self.left_out else ""
        return f"branch {self.branch} holds {self.n_frames} frames ({self.n_sent} sent now{words}); commit {self.commit[:12]}"


class FramesPublication:
    """One publication of frames under way; both steps may be killed and run again."""

    def __init__(self, client: LakeClient, settings: Settings, request: FramesRequest, say: Say) -> None:
        self.request = request
        self._client, self._settings, self._say = client, settings, say
        self._opened: OpenedSource | None = None
        self._frames: dict[str, Path] = {}
        self._left_out: list[str] = []

    def read_frames(self) -> None:
        """Find the images of the source and decode each one, as strictly as a version's images are.

        Raises:
            BadInput, BadExport: there is no source or no image. ValidationFailed: a file is no frame, and the dataset
            declares ``on_bad_sample = "refuse"``.
        """
        self._opened = open_source(self._settings, self.request.source)
        for note in self._opened.notes:
            self._say(note)
        found = open_export(self._opened.path, None)
        self._left_out = [f"{found.relative(path)}: its name holds signs that cannot be printed" for path in found.unprintable]
        self._frames = {}
        others = Counter(path.suffix.lower() for path in found.files if path.suffix.lower() not in IMAGE_SUFFIXES)
        if others:
            kinds = ", ".join(f"{number} {suffix or 'without a suffix'}" for suffix, number in sorted(others.items()))
            self._say(f"{others.total()} files that are no images were not read: {kinds}")
        for sample_id, paths in sorted(found.by_id.items()):
            if len(paths) > 1:
                names = ", ".join(found.relative(path) for path in paths)
                self._left_out.append(f"{sample_id}: {len(paths)} images have the name of one sample: {names}")
            else:
                self._frames[f"{IMAGES}{sample_id}{paths[0].suffix.lower()}"] = paths[0]
        cache = MetricsCache(self._settings.cache_dir / "metrics")  # the version that these frames become finds them there
        for name, reason in measure_many(self._frames.items(), self._settings.threads, cache).broken.items():
            self._left_out.append(f"{found.relative(self._frames.pop(name))}: {reason}")
        self._judge()

    def _judge(self) -> None:
        lines = self._left_out = list(map(printable, self._left_out))
        for line in lines:
            self._say(f"left out: {line}")
        self._say(f"read {len(self._frames)} frames, {len(lines)} files left out")
        if lines and self.request.declaration.on_bad_sample == "refuse":
            more = " …" if len(lines) > NAMED_FRAMES else ""
            raise ValidationFailed(
                f"{len(lines)} of the files are no frames: {'; '.join(lines[:NAMED_FRAMES])}{more}. Nothing was sent; remove "
                'them, or declare on_bad_sample = "quarantine" to leave such files out'
            )
        if not self._frames:
            raise BadInput(f"{self.request.source} holds no frame; nothing was sent")

    def write_branch(self) -> FramesSummary:
        """Send what the branch does not hold yet and commit it.

        Raises:
            BadInput: a frame of that name is on the branch with other bytes. LakeError: :meth:`read_frames` comes first.
        """
        if self._opened is None:
            raise LakeError("the step 'read_frames' comes first")
        dataset, branch = self.request.declaration.name, self.request.branch
        self._client.ensure_repository(dataset)
        self._client.create_branch(dataset, branch, self._client.log(dataset, MAIN)[-1].id, exist_ok=True)
        missing = dict(self._missing(self._client.list_objects(dataset, branch, IMAGES)))
        self._client.upload_many(dataset, branch, missing, self._sent)
        commit = self._client.commit(dataset, branch, self.request.message, self._metadata())
        self._opened.close()
        n_frames = len(self._client.list_objects(dataset, commit, IMAGES))
        return FramesSummary(branch, commit, n_frames, len(missing), tuple(self._left_out))

    def _missing(self, present: list[ObjectEntry]) -> Iterator[tuple[str, Path]]:
        by_id = {sample_id_of(entry.path): entry for entry in present}
        for name, path in self._frames.items():
            entry = by_id.get(sample_id_of(name))
            if entry is None:
                yield name, path
            elif entry.path != name or entry.checksum_md5 != _md5(path):
                raise BadInput(
                    f"branch {self.request.branch} holds another image of the name '{sample_id_of(name)}' already; frames are "
                    "not replaced: take another branch, or rename the file"
                )

    def _metadata(self) -> dict[str, str]:
        listing = "\n".join(f"{name}\t{_md5(path)}" for name, path in sorted(self._frames.items()))
        return {
            "publisher": self._settings.user,
            "source_digest": sha256_bytes(listing.encode()),
            "n_frames": str(len(self._frames)),
        }

    def _sent(self, done: int, total: int) -> None:
        if done * 2 >= total:
            reach("uploading")
        if done == total or done % max(total // SAID_PER_UPLOAD, 1) == 0:
            self._say(f"{done} of {total} frames sent")


def holds_frames_only(entries: list[ObjectEntry]) -> bool:
    """Tell from the listing of a commit whether it holds raw frames: images, and neither labels nor a declaration."""
    return bool(entries) and all(entry.path.startswith(IMAGES) for entry in entries)


def open_frames(
    client: LakeClient, settings: Settings, version: DatasetVersion, entries: list[ObjectEntry]
) -> list[ExportItem]:
    """Bring raw frames onto this machine as samples without labels, ascending by id."""
    paths = fetch_objects(client, settings, version.dataset, version.commit, entries)
    items = []
    for name, path in sorted(paths.items()):
        width, height = read_size_px(path)
        sample_id = sample_id_of(name)
        items.append(ExportItem(Sample(sample_id, width, height, group=sample_id), path, Path(name).suffix))
    return items


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
