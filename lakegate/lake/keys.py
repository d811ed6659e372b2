"""Ed25519 keys: the publisher's own, and the public keys whose attestations count."""

import hashlib
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from lakegate.errors import SetupProblem
from lakegate.settings import SIGNING_KEY_FILE, Settings

KEY_ID_LENGTH = 16


def key_id(key: Ed25519PublicKey) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of the raw public key."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:KEY_ID_LENGTH]


def ensure_signing_key(settings: Settings) -> Ed25519PrivateKey:
    """Return this machine's key, made on first use (mode 0600); its public half is put where consumers look for it.

    Raises:
        SetupProblem: the file is there and holds no Ed25519 private key.
    """
    path = settings.home / SIGNING_KEY_FILE
    if not path.exists():
        pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _write_once(path, pem, 0o600)
    key = _read_private(path)
    public = settings.home / "keys" / f"{key_id(key.public_key())}.pub"
    if not public.exists():
        _write_once(public, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), 0o644)
    return key


def find_trusted_key(settings: Settings, wanted: str) -> Ed25519PublicKey | None:
    """Return the trusted public key with that id, or ``None``; a file whose name is not its key's id does not count."""
    for folder in settings.trusted_key_dirs:
        path = folder / f"{wanted}.pub"
        if len(wanted) == KEY_ID_LENGTH and wanted.isalnum() and path.is_file():
            key = _read_public(path)
            if key is not None and key_id(key) == wanted:
                return key
    return None


def is_signed(key: Ed25519PublicKey, signature: bytes, data: bytes) -> bool:
    """Tell whether ``signature`` is this key's over ``data``."""
    try:
        key.verify(signature, data)
    except InvalidSignature:
        return False
    return True


def _write_once(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
    try:
        os.link(aside, path)  # unlike a rename, this does not replace the key of a quicker process
    except FileExistsError:
        pass
    finally:
        aside.unlink()


def _read_private(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SetupProblem(f"{path} is no private key in PEM ({error}); move it away, and `lakegate up` makes one") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SetupProblem(f"{path} holds a {type(key).__name__}, expected Ed25519; move it away, and `lakegate up` makes one")
    return key


def _read_public(path: Path) -> Ed25519PublicKey | None:
    try:
        key = load_pem_public_key(path.read_bytes())
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, Ed25519PublicKey) else None
