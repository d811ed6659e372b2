"""One byte sequence per value: equal content has equal bytes, so equal digests and no diff."""

import hashlib
import json
from pathlib import Path
from typing import Any

FLOAT_DECIMALS = 3


def canonical_json(value: Any) -> bytes:
    """Serialise with sorted keys, one-space indent, floats rounded to 3 decimals and a final newline.

    >>> canonical_json({"b": 1.0, "a": 0.12345})
    b'{\\n "a": 0.123,\\n "b": 1.0\\n}\\n'
    """
    text = json.dumps(_rounded(value), sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, FLOAT_DECIMALS) + 0.0  # + 0.0 turns -0.0 into 0.0
    if isinstance(value, dict):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value


def exact_json(value: Any) -> bytes:
    """Serialise as :func:`canonical_json` does, but keep every float exactly (metrics, records)."""
    return (json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def sha256_bytes(data: bytes) -> str:
    """Return the SHA-256 of ``data`` in hex."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file in hex, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
