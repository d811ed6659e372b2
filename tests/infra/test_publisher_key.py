import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from infra.publisher_key import ensure_publisher_key
from lakegate.errors import SetupProblem
from lakegate.settings import SIGNING_KEY_FILE


def test_the_public_key_is_named_by_its_digest_and_verifies_what_the_private_one_signs(tmp_path: Path) -> None:
    public_path = ensure_publisher_key(tmp_path)
    private = load_pem_private_key((tmp_path / SIGNING_KEY_FILE).read_bytes(), password=None)
    public = load_pem_public_key(public_path.read_bytes())
    assert isinstance(public, Ed25519PublicKey)
    public.verify(private.sign(b"content"), b"content")  # type: ignore[union-attr,call-arg]
    assert public_path.name == hashlib.sha256(public.public_bytes_raw()).hexdigest()[:16] + ".pub"
    assert public_path.parent == tmp_path / "keys"


def test_the_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    first = ensure_publisher_key(tmp_path)
    before = (tmp_path / SIGNING_KEY_FILE).read_bytes()
    assert ensure_publisher_key(tmp_path) == first
    assert (tmp_path / SIGNING_KEY_FILE).read_bytes() == before
    assert (tmp_path / SIGNING_KEY_FILE).stat().st_mode & 0o777 == 0o600


def test_a_lost_public_key_is_written_again(tmp_path: Path) -> None:
    public_path = ensure_publisher_key(tmp_path)
    public_path.unlink()
    assert ensure_publisher_key(tmp_path).is_file()


def test_a_file_that_is_no_key_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / SIGNING_KEY_FILE).write_text("not a key")
    with pytest.raises(SetupProblem, match="not a private key"):
        ensure_publisher_key(tmp_path)
    assert (tmp_path / SIGNING_KEY_FILE).read_text() == "not a key"
