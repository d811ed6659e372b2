"""What an approver is shown, as data: the approval is bound to the digest of this document."""

from typing import Literal

from lakegate.evaluation.gate import SkippedRule
from lakegate.evaluation.judged import Flip, FlipKind
from lakegate.evaluation.matrix import Cell, Latency
from lakegate.gate_rules import RuleResult
from lakegate.registry.documents import Document, ReleaseRequest

GateEffect = Literal["looser", "stricter", "new", "gone"]


class GateChange(Document):
    """One line of ``[gate]`` that differs from that of the release in production; a limit is None where it is not known."""

    key: str
    before: float | None
    after: float | None
    effect: GateEffect


class WorstImage(Document):
    """One image with its flips. ``number`` is its place in the gallery of the matrix page."""

    number: int
    dataset: str
    commit: str
    sample_id: str
    flips: tuple[Flip, ...]


class FlipSummary(Document):
    """How many objects the two models treat differently, and where it is worst."""

    n_flips: dict[FlipKind, int]
    n_images: int
    worst: tuple[WorstImage, ...]


class VersionFact(Document):
    """One tagged version that came since the release in production; the publisher is a claimed name."""

    tag: str
    publisher: str
    message: str
    created_on: str  # date, UTC
    n_samples: int | None


class DataFact(Document):
    """One dataset that the candidate trained on, and what changed in it; ``before`` is "" where there is nothing before."""

    reference: str
    commit: str
    content_digest: str
    before: str
    versions: tuple[VersionFact, ...]  # newest first
    samples: dict[str, int]  # added, removed, relabelled, reimaged
    objects: dict[str, int]  # on the common samples: added, removed, moved, reclassified
    n_objects_of_added: int
    n_objects_of_removed: int
    label_changes: tuple[str, ...]

    @property
    def n_changed(self) -> int:
        """Samples that differ from the version before."""
        return sum(self.samples.values())


class SettingChange(Document):
    """One training parameter (or the lock file) that differs from the released run, as text."""

    name: str
    before: str
    after: str


class CodeFact(Document):
    """Commits of code since the release in production, newest first; ``sentence`` says how complete the list is."""

    sentence: str
    commits: tuple[str, ...]
    n_more: int
    n_lost: int  # commits of the released code that the candidate's lacks


class ReplacedFact(Document):
    """The release that an approval replaces."""

    number: int
    run_id: str
    versions: tuple[str, ...]
    code_commit: str
    approved_by: str
    reason: str
    decided_at: str


class ReleaseFacts(Document):
    """Everything on the release page. ``request`` is the request without page_digest and reviewers: both come after it."""

    schema_version: Literal[1] = 1
    request: ReleaseRequest
    team: str
    description: str
    rules: tuple[RuleResult, ...]
    skipped: tuple[SkippedRule, ...]
    gate_changes: tuple[GateChange, ...]
    cells: tuple[Cell, ...]
    n_judged: int
    n_test: int
    flips: FlipSummary | None  # None without a baseline
    latency: Latency | None
    data: tuple[DataFact, ...]
    settings: tuple[SettingChange, ...]
    code: CodeFact | None  # None where nothing is replaced
    replaced: ReplacedFact | None
    matrix_page: str  # below <home>/reports
    matrix_sha256: str  # of matrix.json
