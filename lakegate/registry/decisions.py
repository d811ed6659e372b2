"""A decision as it is stored: signed by the machine that checked who decided."""

from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import Literal

from lakegate.errors import NotApproved
from lakegate.lake.keys import ensure_signing_key, find_trusted_key, is_signed, key_id
from lakegate.registry.documents import Decision, Document, ReleaseRequest
from lakegate.registry.roles import person_key
from lakegate.settings import Settings

ONE_TIME_CODE = "one-time code"  # how the approver's identity was proven
Choice = Literal["approve", "reject"]
SIGNED_WORDS = b"lakegate decision\n"  # a signature under other words never counts as one under a decision


@dataclass(frozen=True)
class DecisionWords:
    """What a person gives, by the form or the command line. The code is never shown or stored."""

    decision: Choice
    approver: str
    reason: str
    code: str = field(repr=False)
    given_at_s: float | None = None  # UNIX time, where it is earlier than now: a form waits for a worker


class SignedDecision(Document):
    """A decision with the Ed25519 signature over its bytes, by the machine that accepted the one-time code."""

    decision: Decision
    key_id: str
    signature: str  # base64


def decision_path(request: ReleaseRequest) -> str:
    """Return where the decision on a request lies on the branch ``evidence``."""
    return f"decisions/{request.digest}.json"


def sign(settings: Settings, decision: Decision) -> SignedDecision:
    """Sign with this machine's key: it says that this machine checked the person's role and one-time code."""
    key = ensure_signing_key(settings)
    signature = key.sign(SIGNED_WORDS + decision.to_bytes())
    return SignedDecision(
        decision=decision, key_id=key_id(key.public_key()), signature=b64encode(signature).decode("ascii")
    )


def verified(settings: Settings, request: ReleaseRequest, signed: SignedDecision) -> Decision:
    """Return the decision if it counts for this request.

    Raises:
        NotApproved: the signature is not that of a trusted machine, the identity was not proven, the decision is about
            other evidence, it has no name or reason, or the author decided.
    """
    decision = signed.decision
    where = f"the decision on release {request.release} of {request.model}"
    key = find_trusted_key(settings, signed.key_id)
    if key is None:
        folders = " or ".join(str(folder) for folder in settings.trusted_key_dirs)
        raise NotApproved(
            f"{where} is signed with the unknown key '{signed.key_id[:32]}' (there is no such .pub file in {folders}); "
            "put the public key of the machine that took the decision there, if you trust it"
        )
    if not is_signed(key, _decoded(signed.signature), SIGNED_WORDS + decision.to_bytes()):
        raise NotApproved(f"{where} was changed or written by hand: its signature does not hold; release again")
    if decision.identity != ONE_TIME_CODE:
        raise NotApproved(f"{where} does not count: its identity is '{decision.identity}', expected '{ONE_TIME_CODE}'")
    check_binding(request, decision.request_digest)
    check_person(request, decision.approver, decision.reason)
    return decision


def _decoded(signature: str) -> bytes:
    try:
        return b64decode(signature, validate=True)
    except ValueError:
        return b""


def check_binding(request: ReleaseRequest, decided_on: str) -> None:
    """Raise ``NotApproved`` where a decision was made on another request than this one."""
    if decided_on != request.digest:
        raise NotApproved(
            f"the decision is about other evidence ({decided_on[:12]}) than what is in staging now "
            f"({request.digest[:12]}); look at it again with `lakegate model status {request.model}`"
        )


def check_person(request: ReleaseRequest, approver: str, reason: str) -> None:
    """Raise ``NotApproved`` where a name or reason is missing, or the author decides on their own request."""
    if not approver.strip() or not reason.strip():
        raise NotApproved("a decision needs the approver's name and a reason (--by NAME --reason TEXT)")
    if person_key(approver) == person_key(request.requested_by):
        raise NotApproved(f"{approver} asked for this release and cannot decide on it; author and approver must differ")
