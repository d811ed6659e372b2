"""From a judged run to production: request, decision, release, roll-back."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from lakegate.catalog import load_model
from lakegate.errors import NotApproved, RegistryError, UnknownName
from lakegate.lake.client import LakeClient
from lakegate.registry.decisions import (
    ONE_TIME_CODE,
    DecisionWords,
    SignedDecision,
    check_person,
    decision_path,
    sign,
    verified,
)
from lakegate.registry.documents import Decision, Pointer, Release, ReleaseRequest, RunReference
from lakegate.registry.evidence_check import check_evidence
from lakegate.registry.one_time_codes import locked, use_code
from lakegate.registry.roles import ROLES_FILE, approvers, load_roles, may_approve, person_key
from lakegate.registry.store import (
    EVIDENCE,
    REPOSITORY,
    put_evidence,
    read_document,
    read_pointer,
    write_pointer,
)

DECIDING_LOCK = Path("secrets/deciding.lock")


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def in_production(client: LakeClient, model: str) -> Release | None:
    """Return the release that is in production; ``None`` before the first."""
    pointer = read_pointer(client, "production", model)
    return None if pointer is None else read_release(client, model, pointer.release)


def read_release(client: LakeClient, model: str, number: int) -> Release:
    """Return one release; raises ``UnknownName`` naming the ones that exist."""
    release = read_document(client, "production", f"releases/{model}/{number}.json", Release)
    if release is None:
        known = ", ".join(map(str, release_numbers(client, model))) or "none"
        raise UnknownName(f"{model} has no release {number}; there are: {known}")
    return release


def release_numbers(client: LakeClient, model: str) -> list[int]:
    """Return the numbers of all releases, ascending."""
    prefix = f"releases/{model}/"
    entries = client.list_objects(REPOSITORY, "production", prefix)
    return sorted(int(entry.path.removeprefix(prefix).removesuffix(".json")) for entry in entries)


def release_of_run(client: LakeClient, model: str, run_id: str) -> Release | None:
    """Return the release that a run became; ``None`` where it was never released."""
    found = (read_release(client, model, number) for number in reversed(release_numbers(client, model)))
    return next((release for release in found if release.run.run_id == run_id), None)


def next_release_number(client: LakeClient, model: str) -> int:
    """Return the number that the next release will have."""
    return max(release_numbers(client, model), default=0) + 1


def propose(client: LakeClient, request: ReleaseRequest) -> None:
    """Put a judged candidate into staging and keep what the approver will be shown; safe to repeat."""
    put_evidence(client, {f"requests/{request.digest}.json": request.to_bytes()}, f"request: {request.model}")
    current = read_pointer(client, "staging", request.model)
    if current is not None and current.request_digest == request.digest:
        return
    pointer = Pointer(
        model=request.model,
        release=request.release,
        run=request.candidate,
        request_digest=request.digest,
        previous=0 if current is None else current.release,
        kind="proposal",
        written_by=request.requested_by,
        written_at=now(),
    )
    write_pointer(client, "staging", pointer)


def open_request(client: LakeClient, model: str) -> ReleaseRequest:
    """Return the request that stands in staging; raises ``RegistryError`` where there is none."""
    pointer = read_pointer(client, "staging", model)
    if pointer is None:
        raise RegistryError(f"nothing of {model} is in staging; start a release with `lakegate model release {model}`")
    request = read_document(client, EVIDENCE, f"requests/{pointer.request_digest}.json", ReleaseRequest)
    if request is None or request.digest != pointer.request_digest:
        raise RegistryError(f"the request that {model} in staging points at is missing or was changed; release it again")
    return request


def decide(client: LakeClient, request: ReleaseRequest, words: DecisionWords) -> Decision:
    """Check who decides and on what, use up the one-time code, and record the decision; the first one stands.

    Asking for the same decision again returns the recorded one and uses no code.

    Raises:
        NotApproved: no name, no reason, the author on their own request, a person whom roles.toml does not name, evidence
            that changed, a one-time code that does not count, or another decision stands.
        BadDeclaration: roles.toml or the model's declaration cannot be read.
    """
    settings = client.settings
    with locked(settings.home / DECIDING_LOCK):  # two people at once: the second finds the first's decision
        earlier = find_decision(client, request)
        if earlier is not None:
            return _same_or_refused(request, earlier, words)
        require_may_decide(client, request, words)
        use_code(settings, words.approver, words.code, words.given_at_s)
        decision = Decision(
            request_digest=request.digest,
            decision=words.decision,
            approver=words.approver.strip(),
            identity=ONE_TIME_CODE,
            reason=words.reason.strip(),
            decided_at=now(),
        )
        signed = sign(settings, decision)
        put_evidence(
            client,
            {decision_path(request): signed.to_bytes()},
            f"{words.decision}: {request.model} release {request.release}",
        )
    return decision


def _same_or_refused(request: ReleaseRequest, earlier: Decision, words: DecisionWords) -> Decision:
    if (earlier.decision, person_key(earlier.approver)) != (words.decision, person_key(words.approver)):
        raise NotApproved(
            f"release {request.release} of {request.model} was decided already: {earlier.decision} by "
            f"{earlier.approver} at {earlier.decided_at}; `lakegate model status {request.model}` says how it stands"
        )
    return earlier


def require_may_decide(client: LakeClient, request: ReleaseRequest, words: DecisionWords) -> None:
    """Check everything but the one-time code; raises as :func:`decide` does."""
    check_person(request, words.approver, words.reason)
    roles, declaration = load_roles(client.settings), load_model(client.settings, request.model)
    if not may_approve(roles, declaration, words.approver):
        others = [name for name in approvers(roles, declaration) if person_key(name) != person_key(request.requested_by)]
        raise NotApproved(
            f"{words.approver.strip()} may not decide on {request.model}; {ROLES_FILE} allows: {', '.join(others) or 'nobody'}"
        )
    check_evidence(client, request)


def find_decision(client: LakeClient, request: ReleaseRequest) -> Decision | None:
    """Return the decision on exactly this request, its signature and binding verified; ``None`` while there is none.

    Raises:
        NotApproved: a decision lies there that does not count.
    """
    signed = read_document(client, EVIDENCE, decision_path(request), SignedDecision)
    return None if signed is None else verified(client.settings, request, signed)


def promote(client: LakeClient, request: ReleaseRequest, serve: Callable[[], object] = lambda: None) -> Pointer:
    """Move the approved request into production; safe to repeat.

    Args:
        serve: called once everything is checked and before the pointer is written; where it raises, nothing moves.

    Raises:
        NotApproved: there is no approval of exactly this evidence, it changed, or production moved since it was shown.
    """
    decision = find_decision(client, request)
    if decision is None or decision.decision != "approve":
        said = "nobody decided" if decision is None else f"{decision.approver} rejected it: {decision.reason}"
        raise NotApproved(f"release {request.release} of {request.model} is not approved: {said}")
    current = read_pointer(client, "production", request.model)
    if current is not None and current.request_digest == request.digest:
        return current
    check_evidence(client, request)
    standing = 0 if current is None else current.release
    if standing != request.replaces or next_release_number(client, request.model) != request.release:
        raise NotApproved(
            f"the approval is stale: it was given to replace release {request.replaces or 'none'}, production now has "
            f"release {standing or 'none'}; start the release again, so that it is compared with what it replaces"
        )
    not_built = [f"{item.precision} for {item.compute_capability}" for item in request.engines if item.outcome != "built"]
    if not_built:
        raise NotApproved(f"release {request.release} of {request.model} demands engines that are not built: {not_built}")
    serve()
    release = Release(
        model=request.model, number=request.release, run=request.candidate, request=request, decision=decision
    )
    pointer = _production_pointer(release, standing, "promotion", decision.approver)
    write_pointer(client, "production", pointer, release)
    return pointer


def roll_back(client: LakeClient, model: str, number: int, asked_by: str) -> Pointer:
    """Point production at an earlier (or, going forward again, a later) release; the history keeps both."""
    release = read_release(client, model, number)
    current = read_pointer(client, "production", model)
    if current is not None and current.release == number:
        return current
    standing = 0 if current is None else current.release
    pointer = _production_pointer(release, standing, "roll-back", asked_by)
    write_pointer(client, "production", pointer)
    return pointer


def _production_pointer(release: Release, previous: int, kind: str, written_by: str) -> Pointer:
    return Pointer(
        model=release.model,
        release=release.number,
        run=release.run,
        request_digest=release.request.digest,
        previous=previous,
        kind="promotion" if kind == "promotion" else "roll-back",
        written_by=written_by,
        written_at=now(),
    )


def run_in_production(client: LakeClient, model: str) -> RunReference | None:
    """Return the run behind the production pointer; ``None`` before the first release."""
    release = in_production(client, model)
    return None if release is None else release.run
