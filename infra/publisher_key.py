"""The signing key of this machine's publisher: made once; the public half lies where consumers look for it."""

import hashlib
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infra.processes import write_private
from lakegate.errors import SetupProblem
from lakegate.settings import SIGNING_KEY_FILE

KEY_ID_LENGTH = 16
ADVICE = "move it away, and `lakegate up` makes a new one"


def ensure_publisher_key(home: Path) -> Path:
    """Make an Ed25519 key below ``home`` if there is none; return the path of the public key, ``keys/<key id>.pub``.

    The key id is the first 16 hexadecimal digits of the SHA-256 of the raw public key.

    Raises:
        SetupProblem: the file that is there is not an Ed25519 private key.
    """
    private_path = home / SIGNING_KEY_FILE
    if not private_path.exists():
        pem = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_private(private_path, pem.decode())
    public = _read_private(private_path).public_key()
    key_id = hashlib.sha256(public.public_bytes_raw()).hexdigest()[:KEY_ID_LENGTH]
    path = home / "keys" / f"{key_id}.pub"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        write_private(path, pem.decode())
    return path


def _read_private(path: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except ValueError as error:
        raise SetupProblem(f"{path} is not a private key in PEM ({error}); {ADVICE}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SetupProblem(f"{path} holds a {type(key).__name__}, expected Ed25519; {ADVICE}")
    return key
