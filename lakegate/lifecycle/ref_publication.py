"""Make a version of what lies in lakeFS already: a branch that people edited or merged there, or main itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lakegate.catalog import check_version_name, declaration_path, load_dataset, parse_dataset
from lakegate.errors import LakeError
from lakegate.lake.client import LakeClient
from lakegate.lake.local_version import DatasetVersion, LocalVersion
from lakegate.lake.objects import ANNOTATIONS, IMAGES, MAIN
from lakegate.lake.publish import VersionNote
from lakegate.lake.ref_branch import (
    PinnedRef,
    commit_ref_branch,
    missing_files,
    pin_ref,
    prepare_ref_branch,
    source_digest_of,
)
from lakegate.lifecycle.publication import Publication, PublicationRequest, Say
from lakegate.lifecycle.ref_content import RefContent, read_content
from lakegate.quality.problems import SampleProblem
from lakegate.quality.report import Heading
from lakegate.quality.validation import Screening
from lakegate.settings import Settings


@dataclass(frozen=True)
class RefRequest(PublicationRequest):
    """What a person asked for: ``ref`` is a branch, tag or commit of the dataset's repository."""

    ref: str = ""

    @classmethod
    def of_ref(cls, settings: Settings, dataset: str, ref: str, version: str, message: str) -> "RefRequest":
        """Check the words of a form.

        Raises:
            UnknownName, BadDeclaration, BadInput: dataset or version name is not usable.
        """
        load_dataset(settings, dataset)
        path = declaration_path(settings, dataset)
        text = path.read_text()
        return cls(
            declaration=parse_dataset(dataset, text, str(path)),
            declaration_text=text,
            dataset=dataset,
            source="",
            images="",
            source_format="auto",
            version=check_version_name(version),
            message=message.strip() or f"Publish {dataset}@{version} from {ref}",
            ref=ref,
        )


class RefPublication(Publication):
    """The steps of a publication whose export is a reference of lakeFS.

    Nothing is kept out of the version: what breaks a rule is named, and people repair it on their branch.
    """

    request: RefRequest

    def __init__(self, client: LakeClient, settings: Settings, request: RefRequest, say: Say) -> None:
        super().__init__(client, settings, request, say)
        self._ref: PinnedRef | None = None
        self._content: RefContent | None = None
        self._source_digest = ""

    def read_export(self) -> None:
        """Pin the reference; raises ``LakeError`` where a branch holds uncommitted changes."""
        self._ref = pin_ref(self._client, self.request.dataset, self.request.ref)
        self._source_digest = source_digest_of(self._client, self._ref, self.request.version)
        self._say(f"{self._ref.words}: content {self._ref.version.content_digest[:12]}")

    def screen(self) -> None:
        """Read what lies there; what cannot be read is judged by the audit, together with everything else."""
        self._collect_earlier()
        self._content = read_content(self._client, self._settings, self._pinned.version, self.request.declaration)
        for note in self._content.notes:
            self._say(note)
        self._say(f"read {len(self._content.local.samples)} samples, {len(self._content.problems)} problems")

    def write(self) -> None:
        """Make the version's branch at the pinned commit, put back what it lacks, and commit it under the version's name."""
        content, pinned = self._read, self._pinned
        files = missing_files(self._client, pinned, self.request.declaration_text)
        for path in files:
            self._say(f"{path}: the version gets the one of this installation; '{self.request.ref}' has another or none")
        self._branch = prepare_ref_branch(self._client, pinned, self.request.version, self._source_digest)
        self._commit = commit_ref_branch(
            self._client, pinned, self._branch, self._note(), {**files, **content.canonical}
        )
        self._say(f"branch {self._branch}: commit {self._commit[:12]}")

    def audit(self) -> None:
        """Validate what was committed; raises ``ValidationFailed`` naming the samples where it does not pass."""
        super().audit()
        if self._audited is not None:
            self._screening = Screening([], [], [], self._audited)

    def _open(self, pinned: DatasetVersion) -> tuple[LocalVersion, Sequence[SampleProblem]]:
        content = read_content(self._client, self._settings, pinned)
        return content.local, content.problems

    @property
    def _pinned(self) -> PinnedRef:
        if self._ref is None:
            raise LakeError("the step 'read_export' comes first")
        return self._ref

    @property
    def _read(self) -> RefContent:
        if self._content is None:
            raise LakeError("the step 'screen' comes first")
        return self._content

    @property
    def _remedy(self) -> str:
        if self.request.ref == MAIN:  # nobody may commit there
            return "No version was made; repair these samples in lakeFS on a branch of main, commit, and publish that branch"
        return f"No version was made; repair these samples on '{self.request.ref}' in lakeFS, commit, and publish again"

    @property
    def _problem_images(self) -> Mapping[str, Path]:
        return {}

    @property
    def _notes(self) -> Sequence[str]:
        return self._read.notes

    def _place_of(self, problem: SampleProblem) -> str:
        """Name the file in lakeFS: the one that an export once had is not there."""
        return problem.file if problem.file.startswith((IMAGES, ANNOTATIONS)) else f"sample {problem.sample_id}"

    def _note(self) -> VersionNote:
        return VersionNote(self.request.version, self.request.message, self._settings.user, self._source_digest)

    def _heading(self, local: LocalVersion) -> Heading:
        return Heading(
            dataset=self.request.dataset,
            version=self.request.version,
            commit=self._commit,
            content_digest=local.version.content_digest,
            source=self._pinned.words,
        )
