"""Whether what a person decides on, or decided on, is still what the request names."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from lakegate.canonical import sha256_bytes
from lakegate.errors import NotApproved, VersionNotFound
from lakegate.lake.client import LakeClient
from lakegate.registry.documents import ReleaseRequest
from lakegate.registry.store import EVIDENCE, REPOSITORY

REMEDY = "release again, so that it is judged and shown anew"


def check_evidence(client: LakeClient, request: ReleaseRequest) -> None:
    """Compute the digests of the stored comparison and of the release page's facts anew and compare them.

    Raises:
        NotApproved: something that the request names is missing or was changed, or a waiver that the verdict counted has
            expired; the approval is stale.
    """
    folder = f"comparisons/{request.comparison}"
    verdict = _read_json(client, request, f"{folder}/verdict.json")
    named = {
        "evidence_digest": request.evidence_digest,
        "verdict": request.verdict,
        "sentence": request.verdict_sentence,
        "candidate": request.candidate.model_dump(mode="json"),
        "baseline": None if request.baseline is None else request.baseline.model_dump(mode="json"),
    }
    for name, expected in named.items():
        if verdict.get(name) != expected:
            raise _stale(request, f"{folder}/verdict.json", f"'{name}' is not what the request names")
    _check_matrix(client, request, f"{folder}/matrix.json")
    if request.page_digest:
        _check_page(client, request)


def _check_matrix(client: LakeClient, request: ReleaseRequest, path: str) -> None:
    from lakegate.evaluation.evidence import stored_digest

    try:
        digest = stored_digest(_read(client, request, path))
    except ValueError as error:
        raise _stale(request, path, str(error)) from error
    if digest != request.evidence_digest:
        raise _stale(request, path, _differs(digest, request.evidence_digest))
    today = datetime.now(UTC).date().isoformat()
    for rule in _read_json(client, request, path).get("rules", ()):
        waiver = rule.get("waiver")
        if waiver is not None and waiver["expires"] < today:
            raise _stale(request, path, f"the waiver of {waiver['owner']} for {rule['key']} expired on {waiver['expires']}")


def _check_page(client: LakeClient, request: ReleaseRequest) -> None:
    path = f"release-pages/{request.page_digest}.json"
    digest = sha256_bytes(_read(client, request, path))
    if digest != request.page_digest:
        raise _stale(request, path, _differs(digest, request.page_digest))


def _read(client: LakeClient, request: ReleaseRequest, path: str) -> bytes:
    try:
        return client.read(REPOSITORY, EVIDENCE, path)
    except VersionNotFound as error:
        raise _stale(request, path, "it is missing") from error


def _read_json(client: LakeClient, request: ReleaseRequest, path: str) -> Mapping[str, Any]:
    try:
        content = json.loads(_read(client, request, path))
    except ValueError as error:
        raise _stale(request, path, f"it is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise _stale(request, path, "it holds no table")
    return content


def _differs(digest: str, expected: str) -> str:
    return f"its digest is {digest[:12]}, the request names {expected[:12]}"


def _stale(request: ReleaseRequest, path: str, why: str) -> NotApproved:
    return NotApproved(
        f"release {request.release} of {request.model} is stale: lakefs://{REPOSITORY}/{EVIDENCE}/{path}: {why}; "
        f"nobody can decide on evidence that changed: {REMEDY}"
    )
