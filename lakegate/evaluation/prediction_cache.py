"""Predictions on disk, one small file per image; disposable: what is absent or damaged is computed again."""

import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lakegate.canonical import exact_json, sha256_bytes
from lakegate.task_types.protocol import Arrays

_DIGEST_BYTES = 32


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
        self._folder = cache_dir / "predictions" / key.digest[:32]

    def read(self, image_sha256: str) -> Arrays | None:
        """Return what was predicted for this image; None where nothing whole is there."""
        try:
            data = self._path(image_sha256).read_bytes()
        except OSError:
            return None
        digest, payload = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        if hashlib.sha256(payload).digest() != digest:
            return None
        with np.load(io.BytesIO(payload), allow_pickle=False) as arrays:
            return dict(arrays)

    def write(self, image_sha256: str, arrays: Arrays) -> None:
        """Store a prediction: written aside, then renamed, so nobody ever reads half of one."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # its stubs take the names for allow_pickle
        payload = buffer.getvalue()
        path = self._path(image_sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        aside.write_bytes(hashlib.sha256(payload).digest() + payload)
        aside.replace(path)

    def _path(self, image_sha256: str) -> Path:
        return self._folder / image_sha256[:2] / image_sha256
