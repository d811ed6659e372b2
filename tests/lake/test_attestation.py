"""Only content that a trusted publisher attested is used; every other reason is said in words."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lakegate.errors import SetupProblem, Unattested
from lakegate.lake.attestation import Attestation, find_attestation, now, require_attestation
from lakegate.lake.client import LakeClient
from lakegate.lake.keys import ensure_signing_key, key_id
from lakegate.lake.local import open_version
from lakegate.lake.versions import newest_attested, pin
from lakegate.settings import Settings
from tests.lake.story import a_sample, attest, publish_version

pytestmark = pytest.mark.services
Colour = Callable[[str, tuple[int, int, int]], Path]


@pytest.fixture
def commit(client: LakeClient, dataset: str) -> str:
    """A commit on a branch that nobody attested."""
    client.ensure_repository(dataset)
    client.create_branch(dataset, "work", "main")
    client.upload(dataset, "work", "images/a.png", b"one")
    return client.commit(dataset, "work", "work", {})


def store(client: LakeClient, dataset: str, digest: str, statement: bytes, signature: bytes) -> None:
    """Write evidence by hand, as anybody with lakeFS's key can."""
    client.upload(dataset, "evidence", f"attestations/{digest}.json", statement)
    client.upload(dataset, "evidence", f"attestations/{digest}.sig", b64encode(signature))
    client.commit(dataset, "evidence", "by hand", {})


def test_what_nobody_attested_is_refused(client: LakeClient, settings: Settings, dataset: str, commit: str):
    with pytest.raises(Unattested, match=r"nobody attested this content; publish it with `lakegate data publish`"):
        require_attestation(client, settings, dataset, commit)


def test_an_attestation_of_the_publisher_holds_and_names_report_and_rules(
    client: LakeClient, settings: Settings, dataset: str, commit: str
):
    attest(client, settings, dataset, commit)
    found = require_attestation(client, settings, dataset, commit)
    assert (found.dataset, found.publisher, found.verdict) == (dataset, settings.user, "pass")
    assert found.content_digest == client.content_digest(dataset, commit)
    assert client.read(dataset, "evidence", f"reports/{found.report_sha256}.html") == b"<p>all rules hold</p>"
    assert b"all rules hold" in client.read(dataset, "evidence", f"reports/{found.report_sha256}.json")


def test_attesting_again_keeps_the_first_attestation(client: LakeClient, settings: Settings, dataset: str, commit: str):
    attest(client, settings, dataset, commit)
    first, head = require_attestation(client, settings, dataset, commit), client.head(dataset, "evidence").id
    attest(client, settings, dataset, commit, report="another report")
    assert require_attestation(client, settings, dataset, commit) == first
    assert client.head(dataset, "evidence").id == head


def test_a_forged_statement_under_a_true_signature_is_refused(
    client: LakeClient, settings: Settings, dataset: str, commit: str
):
    attest(client, settings, dataset, commit)
    true = require_attestation(client, settings, dataset, commit)
    client.upload(
        dataset, "evidence", f"attestations/{true.content_digest}.json", replace(true, publisher="somebody").to_bytes()
    )
    client.commit(dataset, "evidence", "forged", {})
    with pytest.raises(Unattested, match="signature does not hold"):
        require_attestation(client, settings, dataset, commit)


def test_a_signature_of_an_unknown_key_is_refused_and_a_true_publisher_replaces_it(
    client: LakeClient, settings: Settings, dataset: str, commit: str, tmp_path: Path
):
    attest(client, settings.model_copy(update={"home": tmp_path / "stranger"}), dataset, commit)
    with pytest.raises(Unattested, match=r"unknown key '[0-9a-f]{16}'"):
        require_attestation(client, settings, dataset, commit)
    attest(client, settings, dataset, commit)
    require_attestation(client, settings, dataset, commit)


def test_a_stranger_who_names_the_publishers_key_is_refused(
    client: LakeClient, settings: Settings, dataset: str, commit: str
):
    digest = client.content_digest(dataset, commit)
    trusted = key_id(ensure_signing_key(settings).public_key())
    statement = Attestation(dataset, digest, "0" * 64, "0" * 64, "me", "pass", now(), trusted).to_bytes()
    store(client, dataset, digest, statement, Ed25519PrivateKey.generate().sign(statement))
    with pytest.raises(Unattested, match="signature does not hold"):
        require_attestation(client, settings, dataset, commit)


def test_content_that_changed_after_its_attestation_is_refused(
    client: LakeClient, settings: Settings, dataset: str, commit: str
):
    attest(client, settings, dataset, commit)
    client.upload(dataset, "work", "images/a.png", b"two")
    changed = client.commit(dataset, "work", "changed", {})
    with pytest.raises(Unattested, match="nobody attested"):
        require_attestation(client, settings, dataset, changed)
    require_attestation(client, settings, dataset, commit)


def test_an_attestation_that_is_replayed_on_other_content_is_refused(
    client: LakeClient, settings: Settings, dataset: str, commit: str
):
    attest(client, settings, dataset, commit)
    good = client.content_digest(dataset, commit)
    client.upload(dataset, "work", "images/a.png", b"two")
    changed = client.commit(dataset, "work", "changed", {})
    evil = client.content_digest(dataset, changed)
    for suffix in ("json", "sig"):
        data = client.read(dataset, "evidence", f"attestations/{good}.{suffix}")
        client.upload(dataset, "evidence", f"attestations/{evil}.{suffix}", data)
    client.commit(dataset, "evidence", "replay", {})
    with pytest.raises(Unattested, match="digest differs"):
        require_attestation(client, settings, dataset, changed)


def test_an_attestation_of_another_dataset_or_verdict_does_not_count(
    client: LakeClient, settings: Settings, dataset: str, commit: str
):
    digest, key = client.content_digest(dataset, commit), ensure_signing_key(settings)
    base = Attestation(dataset, digest, "0" * 64, "0" * 64, "me", "pass", now(), key_id(key.public_key()))
    for statement, reason in ((replace(base, dataset="other"), "other content"), (replace(base, verdict="fail"), "verdict")):
        store(client, dataset, digest, statement.to_bytes(), key.sign(statement.to_bytes()))
        with pytest.raises(Unattested, match=reason):
            require_attestation(client, settings, dataset, commit)
    store(client, dataset, digest, b"[]", b"")
    with pytest.raises(Unattested, match="cannot be read"):
        require_attestation(client, settings, dataset, commit)


def test_a_statement_without_its_signature_does_not_count(client: LakeClient, settings: Settings, dataset: str, commit: str):
    digest = client.content_digest(dataset, commit)
    client.upload(dataset, "evidence", f"attestations/{digest}.json", b"{}")
    client.commit(dataset, "evidence", "half", {})
    assert find_attestation(client, settings, dataset, digest) == "nobody attested this content"


def test_only_the_newest_attested_version_is_taken_by_itself(
    client: LakeClient, settings: Settings, dataset: str, colour: Colour
):
    v1 = publish_version(client, settings, dataset, "v1", [a_sample("a", colour("a", (9, 9, 9)))])
    client.create_branch(dataset, "by-hand", "main")
    client.delete_many(dataset, "by-hand", ["images/a.png"])
    client.create_tag(dataset, "v2", client.commit(dataset, "by-hand", "past the gate", {}))
    assert newest_attested(client, settings, dataset) == v1
    with pytest.raises(Unattested, match="is not attested"):
        open_version(client, settings, pin(client, f"{dataset}@v2"))


def test_a_signing_key_is_made_once_and_kept_private(tmp_path: Path, settings: Settings):
    own = settings.model_copy(update={"home": tmp_path})
    first, second = ensure_signing_key(own), ensure_signing_key(own)
    assert first.private_bytes_raw() == second.private_bytes_raw()
    assert (tmp_path / "secrets" / "publisher.ed25519").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "keys" / f"{key_id(first.public_key())}.pub").is_file()
    (tmp_path / "secrets" / "publisher.ed25519").write_text("no key")
    with pytest.raises(SetupProblem, match="no private key in PEM"):
        ensure_signing_key(own)
