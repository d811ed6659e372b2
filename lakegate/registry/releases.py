"""From a judged run to production: request, decision, release, roll-back."""

from datetime import UTC, datetime

from lakegate.errors import NotApproved, RegistryError, UnknownName
from lakegate.lake.client import LakeClient
from lakegate.registry.documents import Decision, Pointer, Release, ReleaseRequest, RunReference
from lakegate.registry.store import (
    EVIDENCE,
    REPOSITORY,
    put_evidence,
    read_document,
    read_pointer,
    write_pointer,
)


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


def decide(client: LakeClient, request: ReleaseRequest, decision: Decision) -> Decision:
    """Record a decision, once; the first one stands.

    Raises:
        NotApproved: bound to other evidence, no name, no reason, or the author decides on their own request.
    """
    _check_decision(request, decision)
    path = f"decisions/{request.digest}.json"
    earlier = read_document(client, EVIDENCE, path, Decision)
    if earlier is not None:
        if (earlier.decision, earlier.approver) != (decision.decision, decision.approver):
            raise NotApproved(
                f"release {request.release} of {request.model} was decided already: {earlier.decision} by "
                f"{earlier.approver} at {earlier.decided_at}; start a new release to decide again"
            )
        return earlier
    put_evidence(client, {path: decision.to_bytes()}, f"{decision.decision}: {request.model} release {request.release}")
    return decision


def _check_decision(request: ReleaseRequest, decision: Decision) -> None:
    if decision.request_digest != request.digest:
        raise NotApproved(
            f"the decision is about other evidence ({decision.request_digest[:12]}) than what is in staging now "
            f"({request.digest[:12]}); look at it again with `lakegate model status {request.model}`"
        )
    if not decision.approver.strip() or not decision.reason.strip():
        raise NotApproved("a decision needs the approver's name and a reason (--by NAME --reason TEXT)")
    if decision.approver.strip().casefold() == request.requested_by.strip().casefold():
        raise NotApproved(
            f"{decision.approver} asked for this release and cannot decide on it; author and approver must differ"
        )


def find_decision(client: LakeClient, request: ReleaseRequest) -> Decision | None:
    """Return the decision on exactly this request, checked again; ``None`` while there is none."""
    decision = read_document(client, EVIDENCE, f"decisions/{request.digest}.json", Decision)
    if decision is not None:
        _check_decision(request, decision)
    return decision


def promote(client: LakeClient, request: ReleaseRequest) -> Pointer:
    """Move the approved request into production; safe to repeat.

    Raises:
        NotApproved: there is no approval of exactly this evidence, or production moved since it was shown.
    """
    decision = find_decision(client, request)
    if decision is None or decision.decision != "approve":
        said = "nobody decided" if decision is None else f"{decision.approver} rejected it: {decision.reason}"
        raise NotApproved(f"release {request.release} of {request.model} is not approved: {said}")
    current = read_pointer(client, "production", request.model)
    if current is not None and current.request_digest == request.digest:
        return current
    standing = 0 if current is None else current.release
    if standing != request.replaces or next_release_number(client, request.model) != request.release:
        raise NotApproved(
            f"the approval is stale: it was given to replace release {request.replaces or 'none'}, production now has "
            f"release {standing or 'none'}; start the release again, so that it is compared with what it replaces"
        )
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
