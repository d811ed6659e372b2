"""Predictions on disk, one SQLite file per model and processing; disposable: what is absent or damaged is computed again."""

import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lakegate.canonical import exact_json, sha256_bytes
from lakegate.row_cache import RowCache
from lakegate.task_types.protocol import Arrays

_DIGEST_BYTES = 32
_STORED, _FASTEST = 0, 1  # zlib's levels: a map of labels shrinks a hundredfold all the same; boxes hardly shrink
_SMALL_BYTES = 16_384


@dataclass(frozen=True)
class PredictionKey:
    """Everything, besides the image, that determines a prediction."""

    model_sha256: str
    processing_digest: str
    runtime: str

    @property
    def digest(self) -> str:
        """SHA-256 over the three."""
        return sha256_bytes(exact_json([self.model_sha256, self.processing_digest, self.runtime]))


class PredictionCache:
    """The predictions of one :class:`PredictionKey`, by the SHA-256 of the image."""

    def __init__(self, cache_dir: Path, key: PredictionKey) -> None:
        self.path = cache_dir / "predictions" / f"{key.digest[:32]}.sqlite"
        self._rows = RowCache(self.path, "predictions", "predictions")

    def read(self, images_sha256: Iterable[str]) -> dict[str, Arrays]:
        """Return what was predicted for these images, by SHA-256; what is absent or not whole is left out."""
        found: dict[str, Arrays] = {}
        for sha256, row in self._rows.load(images_sha256):
            arrays = _unpacked(row)
            if arrays is not None:
                found[sha256] = arrays
        return found

    def write(self, predictions: Mapping[str, Arrays]) -> None:
        """Store predictions by the SHA-256 of their image; another process sees all of these or none."""
        self._rows.store([(sha256, _packed(arrays)) for sha256, arrays in predictions.items()])


def _packed(arrays: Arrays) -> bytes:
    whole = {name: np.asarray(value, order="C") for name, value in arrays.items()}
    head = json.dumps([[name, value.dtype.str, list(value.shape)] for name, value in whole.items()]).encode()
    content = b"".join([head, b"\n", *(value.tobytes() for value in whole.values())])
    payload = zlib.compress(content, _FASTEST if len(content) > _SMALL_BYTES else _STORED)
    return hashlib.sha256(payload).digest() + payload


def _unpacked(row: bytes) -> Arrays | None:
    digest, payload = row[:_DIGEST_BYTES], row[_DIGEST_BYTES:]
    if hashlib.sha256(payload).digest() != digest:
        return None
    head, _, data = zlib.decompress(payload).partition(b"\n")
    arrays: Arrays = {}
    start = 0
    for name, dtype, shape in json.loads(head):
        count = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(data, np.dtype(dtype), count, start).reshape(shape)
        start += arrays[name].nbytes
    return arrays
