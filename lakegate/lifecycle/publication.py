"""Publish an export as a version: read, screen, write, audit, attest, merge, tag. Every step may be killed and run again."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from lakegate.catalog import check_version_name, declaration_path, load_dataset, parse_dataset
from lakegate.declarations import DatasetDeclaration
from lakegate.errors import BadInput, LakeError, ValidationFailed, VersionNotFound
from lakegate.formats.importing import ImportResult, import_export
from lakegate.gate_rules import Outcome
from lakegate.lake import publish
from lakegate.lake.client import LakeClient
from lakegate.lake.diff import diff_versions
from lakegate.lake.local import open_version, seed_samples
from lakegate.lake.local_version import DatasetVersion, LocalVersion
from lakegate.lake.publish import NeedsRevalidation, VersionNote
from lakegate.lake.versions import list_versions, pin
from lakegate.lifecycle.earlier_tests import collect_earlier_tests, collect_parent
from lakegate.pages import Page
from lakegate.pages import save_page as write_page
from lakegate.quality.earlier_test import EarlierTestImages
from lakegate.quality.parent import ParentVersion
from lakegate.quality.report import Heading, render_validation_html, report_json, report_sentence
from lakegate.quality.validation import Screening, ValidationResult, screen, validate
from lakegate.settings import Settings
from lakegate.shared_store import S3, fetch_prefix

MERGE_ATTEMPTS = 5
SAID_PER_UPLOAD = 10
Say = Callable[[str], None]
Made = TypeVar("Made")


@dataclass(frozen=True)
class PublicationRequest:
    """What a person asked for, checked before anything is read."""

    declaration: DatasetDeclaration
    declaration_text: str
    dataset: str
    source: Path
    images: Path | None
    source_format: str
    version: str
    message: str

    @classmethod
    def from_words(
        cls, settings: Settings, dataset: str, source: str, version: str, images: str, source_format: str, message: str
    ) -> "PublicationRequest":
        """Check the words of a form.

        Raises:
            UnknownName, BadDeclaration, BadInput: dataset, version name or folder is not usable.
        """
        load_dataset(settings, dataset)
        check_version_name(version)
        source, images = (_local(settings, folder) for folder in (source, images))
        for what, folder in (("source", source), ("images", images)):
            if (folder or what == "source") and not Path(folder).exists():
                raise BadInput(f"{what} '{folder}' does not exist where this flow runs; give the export's absolute path, or s3://")
        path = declaration_path(settings, dataset)
        text = path.read_text()
        return cls(
            declaration=parse_dataset(dataset, text, str(path)),
            declaration_text=text,
            dataset=dataset,
            source=Path(source),
            images=Path(images) if images else None,
            source_format=source_format,
            version=version,
            message=message.strip() or f"Publish {dataset}@{version}",
        )

    @property
    def reference(self) -> str:
        """``dataset@version``."""
        return f"{self.dataset}@{self.version}"


class Publication:
    """One publication under way. The steps are called in order; what a step made is kept for the next."""

    def __init__(self, client: LakeClient, settings: Settings, request: PublicationRequest, say: Say) -> None:
        self.request = request
        self._client, self._settings, self._say = client, settings, say
        self._imported: ImportResult | None = None
        self._earlier: EarlierTestImages | None = None
        self._parent: ParentVersion | None = None
        self._screening: Screening | None = None
        self._branch = ""
        self._commit = ""
        self._local: LocalVersion | None = None
        self._audited: ValidationResult | None = None
        self._page_html = ""
        self._version: DatasetVersion | None = None

    def read_export(self) -> None:
        """Read the annotation export."""
        request = self.request
        imported = import_export(request.source, request.images, request.declaration, request.source_format)
        for note in imported.notes:
            self._say(note)
        self._say(
            f"read {len(imported.samples)} samples in {imported.format} format, "
            f"{len(imported.problems)} problems, {len(imported.unlabelled)} images without labels"
        )
        self._imported = imported

    def screen(self) -> None:
        """Find bad samples, also by what earlier versions tested on; raises ``ValidationFailed`` where they are refused."""
        imported = _done(self._imported, "read_export")
        self._collect_earlier()
        screening = screen(
            imported.samples,
            self.request.declaration,
            imported.problems,
            self._settings,
            earlier_test=self._earlier,
            parent=self._parent,
        )
        for problem in screening.quarantined:
            self._say(f"quarantined: {problem.file}: {problem.reason}")
        self._say(screening.sentence)
        self._screening = screening

    def write(self) -> None:
        """Send what changed to the version's branch and commit it."""
        imported, screening = _done(self._imported, "read_export"), _done(self._screening, "screen")
        request = self.request
        self._branch = publish.prepare_branch(self._client, request.dataset, request.version, imported.source_digest)
        written = publish.write_changes(
            self._client, request.dataset, self._branch, screening.good, request.declaration_text, self._sent
        )
        self._commit = publish.commit_branch(self._client, request.dataset, self._branch, self._note())
        seed_samples(self._settings, screening.good)
        self._say(
            f"branch {self._branch}: {written.uploaded} objects sent, {written.unchanged} unchanged, "
            f"{written.deleted} deleted; commit {self._commit[:12]}"
        )

    def _sent(self, done: int, total: int) -> None:
        if done == total or done % max(total // SAID_PER_UPLOAD, 1) == 0:
            self._say(f"{done} of {total} objects sent")

    def audit(self) -> None:
        """Validate what was committed, as it lies in lakeFS; raises ``ValidationFailed`` where it does not pass."""
        pinned = pin(self._client, f"{self.request.dataset}@{self._commit}")
        local = open_version(self._client, self._settings, pinned, attested=False)
        images = {name: image.path for name, image in local.images.items()}
        self._audited = validate(
            local.samples,
            images,
            local.declaration,
            (),
            self._settings,
            earlier_test=_done(self._earlier, "screen"),
            parent=self._parent,
            known_sha256={name: image.sha256 for name, image in local.images.items()},
        )
        self._local = local
        self._say(f"audit of commit {self._commit[:12]}: {self._audited.sentence}")
        if self._audited.outcome is not Outcome.PASS:
            reasons = "; ".join(f"{item.file}: {item.reason}" for item in self._audited.problems[:10])
            raise ValidationFailed(
                f"{self.request.reference}: {self._audited.sentence} {reasons} Main was not touched; repair the export "
                "and publish again"
            )

    def attest(self) -> None:
        """Keep the report as evidence and sign that this content passed."""
        audited, local = _done(self._audited, "audit"), _done(self._local, "audit")
        screening = _done(self._screening, "screen")
        heading = self._heading(local)
        samples = [*local.samples, *(item.sample for item in screening.set_aside)]
        images = {name: image.path for name, image in local.images.items()}
        images |= {item.sample.id: item.image for item in screening.set_aside}
        facts = (heading, samples, local.declaration, self._diff(local))
        self._page_html = render_validation_html(audited, screening.quarantined, images, *facts)
        publish.attest(
            self._client,
            self._settings,
            self.request.dataset,
            self._commit,
            report_html=self._page_html,
            report_json=report_json(audited, screening.quarantined, *facts),
            rules_digest=audited.rules_digest,
            publisher=self._settings.user,
        )
        self._say(f"attested content {local.version.content_digest[:12]}")

    def merge(self) -> None:
        """Merge into main; where main moved, merge it into the branch, audit and attest again."""
        for _ in range(MERGE_ATTEMPTS):
            merged = publish.merge_version(
                self._client, self._settings, self.request.dataset, self._branch, self._note()
            )
            if not isinstance(merged, NeedsRevalidation):
                self._commit = merged
                self._say(f"merged into main: commit {merged[:12]}")
                return
            self._say("main moved meanwhile; it was merged into the branch, which is audited again")
            self._collect_earlier()  # who moved it may have made a version
            self._commit = merged.commit
            self.audit()
            self.attest()
        raise LakeError(
            f"main of '{self.request.dataset}' moved {MERGE_ATTEMPTS} times while this version was merged; "
            "publish again when the other publishers are done"
        )

    def tag(self) -> None:
        """Name the version."""
        self._version = publish.tag_version(self._client, self.request.dataset, self.request.version, self._commit)
        self._say(f"{self._version.reference} is published: commit {self._version.commit[:12]}")

    def save_page(self) -> Page:
        """Put the validation report where a person can open it."""
        return write_page(self._settings, f"{self.request.dataset}/validation-{self.request.version}.html", self._page_html)

    def summary_markdown(self) -> str:
        """Return what was published and what was kept out, for the run's page."""
        audited, screening = _done(self._audited, "audit"), _done(self._screening, "screen")
        lines = [f"### {self.request.reference}", "", report_sentence(audited, screening.quarantined), ""]
        lines += [f"- quarantined `{item.file}`: {item.reason}" for item in screening.quarantined[:20]]
        lines += ["", "| rule | checked | failed |", "|---|---|---|"]
        lines += [f"| {line.words} | {line.checked} | {line.failed} |" for line in audited.judging_rules]
        return "\n".join(lines) + "\n"

    def _collect_earlier(self) -> None:
        asked = (self._client, self._settings, self.request.dataset, self.request.version)
        self._earlier, self._parent = collect_earlier_tests(*asked), collect_parent(*asked)

    def _note(self) -> VersionNote:
        imported = _done(self._imported, "read_export")
        return VersionNote(self.request.version, self.request.message, self._settings.user, imported.source_digest)

    def _heading(self, local: LocalVersion) -> Heading:
        imported = _done(self._imported, "read_export")
        return Heading(
            dataset=self.request.dataset,
            version=self.request.version,
            commit=self._commit,
            content_digest=local.version.content_digest,
            source=f"{imported.format} export, digest {imported.source_digest[:12]}",
        )

    def _diff(self, local: LocalVersion) -> dict[str, dict[str, object]] | None:
        """Return the diff against the newest version before this one; ``None`` for the first."""
        known = list_versions(self._client, self.request.dataset)  # newest first
        place = next((number for number, item in enumerate(known) if item.tag == self.request.version), -1)
        earlier = known[place + 1 :]
        if not earlier:
            return None
        try:
            before = open_version(self._client, self._settings, pin(self._client, earlier[0].reference), attested=False)
        except (VersionNotFound, LakeError):
            return None
        return diff_versions(before, local).to_json()


def _local(settings: Settings, folder: str) -> str:
    """Return the folder itself, or a local copy of an ``s3://`` address."""
    return str(fetch_prefix(settings, folder)) if folder.startswith(S3) else folder


def _done(value: Made | None, step: str) -> Made:
    if value is None:
        raise LakeError(f"the step '{step}' comes first")
    return value
