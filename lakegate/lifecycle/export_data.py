"""Export a version, a query or raw frames to COCO, YOLO or CVAT: read what is attested, write aside, rename."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import get_args

from lakegate.catalog import load_dataset
from lakegate.errors import BadInput, LakeError, nearest
from lakegate.formats.choosing import check_where
from lakegate.formats.export_set import IMAGES, ExportItem, ExportSet
from lakegate.formats.exporting import ExportFormat, ExportSummary, check_export_format, check_target, write_export
from lakegate.lake import objects
from lakegate.lake.client import LakeClient
from lakegate.lake.local import open_version
from lakegate.lake.local_version import DatasetVersion
from lakegate.lake.versions import pin
from lakegate.lifecycle.pre_annotations import add_predictions, find_predictor
from lakegate.lifecycle.process_folder import ProcessFolder
from lakegate.lifecycle.publication import Say
from lakegate.lifecycle.raw_frames import holds_frames_only, open_frames
from lakegate.samples import Split, sample_id_of
from lakegate.settings import Settings
from lakegate.shared_store import FETCHES_AT_ONCE, S3, S3Store, s3_client, split_address
from lakegate.slices import parse_predicate


@dataclass(frozen=True)
class ExportRequest:
    """What a person asked for, checked before anything is read. ``predictions`` is ``model`` or ``model@run``."""

    dataset: str
    ref: str
    format: ExportFormat
    into: str
    where: str = ""
    split: str = ""
    predictions: str = ""

    @classmethod
    def from_words(
        cls,
        settings: Settings,
        dataset: str,
        ref: str,
        export_format: str,
        into: str,
        where: str = "",
        split: str = "",
        predictions: str = "",
    ) -> "ExportRequest":
        """Check the words of a form.

        Raises:
            UnknownName, BadDeclaration, BadInput: dataset, format, target, query or split is not usable.
        """
        load_dataset(settings, dataset)
        if where.strip():
            parse_predicate(where)
        if split and split not in get_args(Split):
            raise BadInput(f"no split is called '{split}'{nearest(split, get_args(Split))}")
        if into.startswith(S3):
            split_address(into)
        elif not Path(into).is_absolute():
            raise BadInput(f"into '{into}': expected an absolute folder, or s3://bucket/prefix")
        else:
            check_target(Path(into))
        return cls(dataset, ref, check_export_format(export_format), into, where.strip(), split, predictions.strip())


class DataExport:
    """One export under way: read, then predictions where they were asked for, then write."""

    def __init__(self, client: LakeClient, settings: Settings, request: ExportRequest, say: Say) -> None:
        self.request = request
        self._client, self._settings, self._say = client, settings, say
        self._exported: ExportSet | None = None

    def read_samples(self) -> None:
        """Open the version and keep what the query asks for.

        Raises:
            Unattested: the version has no valid attestation. UnknownLabel: the query names an undeclared label.
            BadInput: the query keeps no sample.
        """
        request = self.request
        pinned = pin(self._client, f"{request.dataset}@{request.ref}")
        entries = self._client.list_objects(pinned.dataset, pinned.commit)
        if holds_frames_only(entries):
            declaration = load_dataset(self._settings, request.dataset)
            items = open_frames(self._client, self._settings, pinned, entries)
        else:
            suffixes = {sample_id_of(entry.path): PurePosixPath(entry.path).suffix for entry in entries if _is_image(entry)}
            local = open_version(self._client, self._settings, pinned)
            declaration = local.declaration
            items = [ExportItem(item, local.images[item.id].path, suffixes[item.id]) for item in local.samples]
        check_where(request.where, declaration)
        keeps = parse_predicate(request.where) if request.where else lambda _sample: True
        kept = [item for item in items if keeps(item.sample) and request.split in ("", item.sample.split)]
        self._say(f"{pinned.reference} ({pinned.commit[:12]}): {len(kept)} of {len(items)} samples are exported")
        if not kept:
            raise BadInput(f"where '{request.where}' and split '{request.split}' keep no sample of {pinned.reference}")
        has_splits = not holds_frames_only(entries)
        self._exported = ExportSet(_title(pinned), declaration.task, declaration.labels, kept, has_splits)

    def predict(self) -> None:
        """Add the predictions of the model as pre-annotations; nothing where none was named.

        Raises:
            RegistryError, UnknownName: there is no such release or run. BadInput: the labels do not fit.
        """
        exported = self._read()
        if not self.request.predictions:
            return
        if exported.task == "classification":
            raise BadInput(f"models find boxes so far, {self.request.dataset} labels whole images; export without predictions")
        predictor = find_predictor(self._client, self.request.predictions)
        items = add_predictions(self._client, self._settings, predictor, exported.items, exported.labels, self._say)
        self._exported = ExportSet(exported.name, exported.task, exported.labels, items, exported.has_splits)

    def write(self) -> ExportSummary:
        """Write the export into its new folder, or below its S3 prefix; says what the format could not hold.

        Raises:
            BadInput: something lies there already, or the format has no place for these labels.
        """
        exported, into = self._read(), self.request.into
        if not into.startswith(S3):
            summary = write_export(self.request.format, exported, Path(into))
        else:
            bucket, prefix = split_address(into)
            store = S3Store(s3_client(self._settings), bucket, prefix)
            if store.names(""):
                raise BadInput(f"{into} holds files already; nothing was written, give a new prefix")
            working = ProcessFolder(self._settings.home)
            try:
                summary = write_export(self.request.format, exported, working.path / "export")
                _send(store, working.path / "export")
            finally:
                working.close()
        for note in summary.notes:
            self._say(note)
        self._say(f"{summary.n_samples} images and {summary.n_objects} objects in {self.request.format} format: {into}")
        return summary

    def _read(self) -> ExportSet:
        if self._exported is None:
            raise LakeError("the step 'read_samples' comes first")
        return self._exported


def _send(store: S3Store, folder: Path) -> None:
    """Store images first and label files last, so that a killed export holds no labels without their images."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    for are_images in (True, False):
        with ThreadPoolExecutor(FETCHES_AT_ONCE) as pool:
            chosen = [name for name in names if name.startswith(f"{IMAGES}/") == are_images]
            list(pool.map(lambda name: store.put(name, folder / name), chosen))


def _is_image(entry: objects.ObjectEntry) -> bool:
    return entry.path.startswith(objects.IMAGES)


def _title(pinned: DatasetVersion) -> str:
    return f"{pinned.reference} ({pinned.commit[:12]})"
