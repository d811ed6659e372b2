"""What the registry keeps: pointers, requests and decisions, as strict JSON documents."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from lakegate.canonical import exact_json, sha256_bytes
from lakegate.declarations import OperatingTable

Stage = Literal["staging", "production"]


class Document(BaseModel):
    """Base of every document: unknown fields are refused, so a reader never trusts what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def to_bytes(self) -> bytes:
        """Serialise with sorted keys; equal documents are equal bytes."""
        return exact_json(self.model_dump(mode="json"))

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes."""
        return sha256_bytes(self.to_bytes())


class RunReference(Document):
    """One run at one commit of its branch."""

    run_id: str
    commit: str
    model_sha256: str  # of model.onnx


class FunctionalOutcome(Document):
    """What one functional request answered on the staging server, over one protocol."""

    name: str
    protocol: Literal["http", "grpc"]
    outcome: Literal["pass", "flaky", "fail"]  # flaky: failed once, passed when repeated
    sentence: str


class EngineOutcome(Document):
    """One engine that ``[export] engines`` demands: there, or the reason why not."""

    compute_capability: str  # "8.6"
    precision: str
    outcome: Literal["built", "not built"]
    sentence: str
    file: str = ""  # name of the plan in the run, "" where not built


class ReleaseRequest(Document):
    """What an approver is shown; a decision is bound to this document's digest."""

    model: str
    release: int
    candidate: RunReference
    replaces: int  # release in production when the request was made; 0 for none
    baseline: RunReference | None
    versions: tuple[str, ...]  # dataset@tag
    content_digests: tuple[str, ...]
    declaration_digest: str
    operating: OperatingTable  # how predictions are cut where the model is deployed
    code_commit: str
    verdict: str
    verdict_sentence: str
    comparison: str  # key of the comparison in the evidence
    evidence_digest: str  # of the matrix, the rules and the verdict
    requested_by: str
    engines: tuple[EngineOutcome, ...] = ()
    functional: tuple[FunctionalOutcome, ...] = ()
    served: str = ""  # where staging answered the functional requests, or why it was not served
    page_digest: str = ""  # SHA-256 of the facts that the release page shows
    reviewers: tuple[str, ...] = ()  # proposed, not required


class Decision(Document):
    """A person's decision on one request."""

    request_digest: str
    decision: Literal["approve", "reject"]
    approver: str
    identity: str  # how it was proven
    reason: str
    decided_at: str


class Release(Document):
    """A released model: immutable, kept under ``releases/<model>/<number>.json`` of the production branch."""

    model: str
    number: int
    run: RunReference
    request: ReleaseRequest
    decision: Decision


class Pointer(Document):
    """The one file per model on a stage branch: which release is there, and how it came there."""

    model: str
    release: int
    run: RunReference
    request_digest: str
    previous: int  # release that this pointer replaced; 0 for none
    kind: Literal["promotion", "roll-back", "proposal"]
    written_by: str
    written_at: str
