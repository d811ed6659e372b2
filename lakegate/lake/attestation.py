"""Attestations: a signed statement that this content passed validation, kept on the branch ``evidence``."""

import json
import time
from base64 import b64decode, b64encode
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime

from lakegate.canonical import exact_json, sha256_bytes
from lakegate.errors import Unattested, VersionNotFound
from lakegate.lake.client import LakeClient
from lakegate.lake.keys import ensure_signing_key, find_trusted_key, is_signed, key_id
from lakegate.lake.objects import EVIDENCE
from lakegate.settings import Settings

PASS = "pass"
ATTEMPTS = 5
REMEDY = "publish it with `lakegate data publish`"


@dataclass(frozen=True)
class Attestation:
    """What is signed. ``report_sha256`` names the page that a person reads: ``reports/<report_sha256>.html``."""

    dataset: str
    content_digest: str
    report_sha256: str
    rules_digest: str
    publisher: str
    verdict: str
    created_at: str
    key_id: str

    def to_bytes(self) -> bytes:
        """Serialise canonically; these are the bytes that are signed."""
        return exact_json(asdict(self))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Attestation":
        """Parse; raises ``ValueError`` where a field is missing, unknown, or no text."""
        content = json.loads(data)
        names = {field.name for field in fields(cls)}
        is_text = isinstance(content, dict) and all(isinstance(item, str) for item in content.values())
        if not is_text or set(content) != names:
            raise ValueError(f"expected the text fields {sorted(names)}")
        return cls(**content)


def now() -> str:
    """Return the present time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def sign_and_store(
    client: LakeClient,
    settings: Settings,
    *,
    dataset: str,
    content_digest: str,
    report_html: bytes,
    report_json: bytes,
    rules_digest: str,
    publisher: str,
    verdict: str = PASS,
) -> Attestation:
    """Store the report and the signed attestation; a valid attestation of the same content is kept and returned.

    The signature is written last. Two publishers at once may mix their files: then the pair is written again.

    Raises:
        Unattested: other publishers kept writing the same attestation at the same time.
    """
    if verdict == PASS:
        present = find_attestation(client, settings, dataset, content_digest)
        if isinstance(present, Attestation):
            return present
    key = ensure_signing_key(settings)
    report = sha256_bytes(report_html)
    signer = key_id(key.public_key())
    statement = Attestation(dataset, content_digest, report, rules_digest, publisher, verdict, now(), signer)
    client.upload_many(dataset, EVIDENCE, {f"reports/{report}.html": report_html, f"reports/{report}.json": report_json})
    if verdict != PASS:
        client.commit(dataset, EVIDENCE, f"Report on content {content_digest[:12]}: {verdict}", {"publisher": publisher})
        return statement
    for attempt in range(ATTEMPTS):
        signature = b64encode(key.sign(statement.to_bytes()))
        client.upload(dataset, EVIDENCE, _statement_path(content_digest), statement.to_bytes())
        client.upload(dataset, EVIDENCE, _signature_path(content_digest), signature)
        client.commit(dataset, EVIDENCE, f"Attest content {content_digest[:12]}", {"publisher": publisher})
        present = find_attestation(client, settings, dataset, content_digest)
        if isinstance(present, Attestation):
            return present
        time.sleep(0.2 * (attempt + 1))
    raise Unattested(f"the attestation of content {content_digest[:12]} of '{dataset}' was not stored: {present}; try again")


def require_attestation(client: LakeClient, settings: Settings, dataset: str, commit: str) -> Attestation:
    """Return the valid attestation of a commit's content: computed from the listing, looked up by digest, verified.

    Raises:
        Unattested: there is none, its signature does not hold, its key is not trusted, or it speaks of other content.
    """
    return require_attested_content(client, settings, dataset, commit, client.content_digest(dataset, commit))


def require_attested_content(client: LakeClient, settings: Settings, dataset: str, commit: str, digest: str) -> Attestation:
    """As :func:`require_attestation`, for a caller who computed the commit's content ``digest`` from its own listing."""
    found = find_attestation(client, settings, dataset, digest)
    if isinstance(found, str):
        raise Unattested(f"commit {commit[:12]} of '{dataset}' (content {digest[:12]}) is not attested: {found}; {REMEDY}")
    return found


def find_attestation(client: LakeClient, settings: Settings, dataset: str, digest: str) -> Attestation | str:
    """Return the valid attestation of a content, or the reason in words why there is none."""
    try:
        head = client.head(dataset, EVIDENCE).id
        data = client.read(dataset, head, _statement_path(digest))
        signature = client.read(dataset, head, _signature_path(digest))
    except VersionNotFound:
        return "nobody attested this content"
    try:
        statement = Attestation.from_bytes(data)
        raw_signature = b64decode(signature, validate=True)
    except ValueError as error:
        return f"its attestation cannot be read ({error})"
    return _check(settings, statement, raw_signature, data, dataset, digest) or statement


def _check(settings: Settings, statement: Attestation, signature: bytes, data: bytes, dataset: str, digest: str) -> str:
    key = find_trusted_key(settings, statement.key_id)
    if key is None:
        folders = " or ".join(str(folder) for folder in settings.trusted_key_dirs)
        return f"it is signed with the unknown key '{statement.key_id[:32]}' (there is no such .pub file in {folders})"
    if not is_signed(key, signature, data):
        return f"the signature does not hold for key {statement.key_id}: the attestation was changed or forged"
    if (statement.dataset, statement.content_digest) != (dataset, digest):
        return (
            f"the attestation speaks of other content (digest differs): "
            f"'{statement.dataset}' {statement.content_digest[:12]}, expected '{dataset}' {digest[:12]}"
        )
    if statement.verdict != PASS:
        return f"its verdict is '{statement.verdict}', expected '{PASS}'"
    return ""


def _statement_path(digest: str) -> str:
    return f"attestations/{digest}.json"


def _signature_path(digest: str) -> str:
    return f"attestations/{digest}.sig"
