"""Publish an export as a version: read, screen, write, audit, attest, merge, tag. Every step may be killed and run again."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from lakegate.errors import LakeError, ValidationFailed
from lakegate.formats.choosing import choose_samples
from lakegate.formats.importing import ImportResult, import_export
from lakegate.gate_rules import Outcome
from lakegate.lake import publish
from lakegate.lake.client import LakeClient
from lakegate.lake.local import open_version, seed_samples
from lakegate.lake.local_version import DatasetVersion, LocalVersion
from lakegate.lake.publish import NeedsRevalidation, VersionNote
from lakegate.lake.versions import pin
from lakegate.lifecycle.data_diff import ShownDiff, diff_since_before, show_since_before
from lakegate.lifecycle.earlier_tests import collect_earlier_tests, collect_parent
from lakegate.lifecycle.publication_request import PublicationRequest as PublicationRequest
from lakegate.lifecycle.sources import OpenedSource, open_source
from lakegate.pages import Page
from lakegate.pages import save_page as write_page
from lakegate.quality.earlier_test import EarlierTestImages
from lakegate.quality.parent import ParentVersion
from lakegate.quality.problems import SampleProblem
from lakegate.quality.report import Heading, render_validation_html, report_json, report_sentence
from lakegate.quality.validation import Screening, ValidationResult, screen, validate
from lakegate.settings import Settings
from lakegate.thumbnails import Thumbnails

MERGE_ATTEMPTS = 5
SAID_PER_UPLOAD = 10
Say = Callable[[str], None]
Made = TypeVar("Made")


class Publication:
    """One publication under way. The steps are called in order; what a step made is kept for the next."""

    def __init__(self, client: LakeClient, settings: Settings, request: PublicationRequest, say: Say) -> None:
        self.request = request
        self._client, self._settings, self._say = client, settings, say
        self._opened: list[OpenedSource] = []
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
        """Read the annotation export; what it was unpacked to stays until the version is tagged."""
        request = self.request
        self._opened = [open_source(self._settings, address) for address in (request.source, request.images) if address]
        source, *images = [opened.path for opened in self._opened]
        folder, known = images[0] if images else None, self._settings.cache_dir
        found = import_export(source, folder, request.declaration, request.source_format, cache_dir=known)
        imported = choose_samples(found, request.where, request.licence, request.declaration.labels)
        for note in [*(note for opened in self._opened for note in opened.notes), *imported.notes]:
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
        local, problems = self._open(pinned)
        images = {name: image.path for name, image in local.images.items()}
        self._audited = validate(
            local.samples,
            images,
            local.declaration,
            problems,
            self._settings,
            earlier_test=_done(self._earlier, "screen"),
            parent=self._parent,
            known_sha256={name: image.sha256 for name, image in local.images.items()},
        )
        self._local = local
        self._say(f"audit of commit {self._commit[:12]}: {self._audited.sentence}")
        if self._audited.outcome is not Outcome.PASS:
            reasons = "; ".join(f"{self._place_of(item)}: {item.reason}" for item in self._audited.problems[:10])
            raise ValidationFailed(f"{self.request.reference}: {self._audited.sentence} {reasons}. {self._remedy}")

    def attest(self) -> None:
        """Keep the report as evidence and sign that this content passed."""
        audited, local = _done(self._audited, "audit"), _done(self._local, "audit")
        screening = _done(self._screening, "screen")
        heading = self._heading(local)
        samples = [*local.samples, *(item.sample for item in screening.set_aside)]
        images = {**self._problem_images, **{name: image.path for name, image in local.images.items()}}
        images |= {item.sample.id: item.image for item in screening.set_aside}
        facts = (heading, samples, local.declaration, self._diff(local))
        thumbnails = Thumbnails.cached(self._settings)
        notes = self._notes
        self._page_html = render_validation_html(audited, screening.quarantined, images, *facts, thumbnails, notes)
        publish.attest(
            self._client,
            self._settings,
            self.request.dataset,
            self._commit,
            report_html=self._page_html,
            report_json=report_json(audited, screening.quarantined, *facts, notes),
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
        for opened in self._opened:
            opened.close()
        self._say(f"{self._version.reference} is published: commit {self._version.commit[:12]}")
        tags = self._client.tags(self.request.dataset)
        others = [tag for tag, commit in tags.items() if commit == self._version.commit and tag != self.request.version]
        if others:
            self._say(f"nothing changed since {', '.join(others)}: {self.request.version} is another name of the same content")

    def save_page(self) -> Page:
        """Put the validation report where a person can open it."""
        return write_page(self._settings, f"{self.request.dataset}/validation-{self.request.version}.html", self._page_html)

    def show_diff(self) -> ShownDiff | None:
        """Write the page of what changed since the version before; ``None`` for the first, or where that is damaged."""
        return show_since_before(self._client, self._settings, self.request.dataset, self.request.version, self._say)

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

    @property
    def _remedy(self) -> str:
        return "Main was not touched; repair the export and publish again"

    @property
    def _notes(self) -> Sequence[str]:
        return _done(self._imported, "read_export").notes

    @property
    def _problem_images(self) -> Mapping[str, Path]:
        """Return the images of samples whose labels could not be read: a person wants to see which picture it is."""
        return _done(self._imported, "read_export").problem_images

    def _place_of(self, problem: SampleProblem) -> str:
        """Say where a person finds what is wrong."""
        return problem.file

    def _open(self, pinned: DatasetVersion) -> tuple[LocalVersion, Sequence[SampleProblem]]:
        """Open what was committed, with what is wrong about its files."""
        return open_version(self._client, self._settings, pinned, attested=False), ()

    def _note(self) -> VersionNote:
        imported = _done(self._imported, "read_export")
        request = self.request
        return VersionNote(request.version, request.message, self._settings.user, imported.source_digest, request.source)

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
        found = diff_since_before(self._client, self._settings, local.version, self.request.version, self._say)
        return None if found is None else found.to_json()


def _done(value: Made | None, step: str) -> Made:
    if value is None:
        raise LakeError(f"the step '{step}' comes first")
    return value
