"""Frames kept for monitoring: a share of the requests by the hash of the image, bounded, never in the way of an answer."""

import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lakegate.canonical import sha256_bytes
from lakegate.detections import FoundObject
from lakegate.imaging import ByteArray

MAX_FRAMES = 5_000
MAX_BYTES = 2**30
"""Limits of one process; a model is served by two of them, which do not know each other's frames."""

PNG_COMPRESSION = 1
_SUFFIXES = ((b"\xff\xd8\xff", ".jpg"), (b"\x89PNG", ".png"))


@dataclass(frozen=True)
class Frame:
    """The image of one request as it came: the bytes of a file, or uint8 RGB of shape (height, width, 3)."""

    image: bytes | ByteArray

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes; of an array with its shape."""
        if isinstance(self.image, bytes):
            return sha256_bytes(self.image)
        return sha256_bytes(repr(self.image.shape).encode() + self.image.tobytes())


class FrameStore:
    """The folder of one release's frames: ``<time>-<sha12>.jpg|png`` with a ``.json`` beside each, which is written last.

    The same image is kept once, also where several processes serve the model.

    Above ``max_frames`` or ``max_bytes`` nothing more is kept; ``say`` gets one line about that.
    """

    def __init__(
        self,
        folder: Path,
        ratio: float,
        release: int,
        run_id: str,
        say: Callable[[str], None],
        max_frames: int = MAX_FRAMES,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.folder, self.ratio = folder, ratio
        self._release, self._run_id, self._say = release, run_id, say
        self._max_frames, self._max_bytes = max_frames, max_bytes
        present = [path for path in folder.glob("*-*.*") if path.suffix != ".json"] if folder.is_dir() else []
        self._kept = {path.stem.rpartition("-")[2] for path in present}
        self._n_bytes = sum(path.stat().st_size for path in present)
        self._is_stopped = False

    def offer(self, frame: Frame, objects: Sequence[FoundObject]) -> None:
        """Keep the frame and what was found in it if its hash is in the share; a failure is said, never raised."""
        if self.ratio <= 0 or self._is_stopped:
            return
        digest = frame.digest
        if int(digest[:16], 16) / 2**64 >= self.ratio or digest[:12] in self._kept:
            return
        if len(self._kept) >= self._max_frames or self._n_bytes >= self._max_bytes:
            self._is_stopped = True
            self._say(f"{self.folder} holds {len(self._kept)} frames, {self._n_bytes} bytes: no more are kept for this release")
            return
        try:
            self._keep(frame, digest[:12], objects)
        except OSError as error:
            self._say(f"a frame could not be kept in {self.folder}: {error}")

    def _claim(self, name: str) -> bool:
        """Return True for the one process that keeps this image."""
        claims = self.folder / ".claims"
        claims.mkdir(parents=True, exist_ok=True)
        try:
            os.close(os.open(claims / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return False
        return True

    def _keep(self, frame: Frame, name: str, objects: Sequence[FoundObject]) -> None:
        if not self._claim(name):
            self._kept.add(name)
            return
        data, suffix = _as_file(frame.image)
        now = datetime.now(UTC)
        stem = f"{now:%Y%m%dT%H%M%S}-{name}"
        content = {
            "release": self._release,
            "run_id": self._run_id,
            "at": now.isoformat(timespec="milliseconds"),
            "image": stem + suffix,
            "objects": [
                {"label": item.label, "score": item.score, "box_xyxy_px": list(item.box_xyxy_px)} for item in objects
            ],
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        _write_aside(self.folder / (stem + suffix), data)
        _write_aside(self.folder / f"{stem}.json", json.dumps(content, indent=1).encode())
        self._kept.add(name)
        self._n_bytes += len(data)


def _as_file(image: bytes | ByteArray) -> tuple[bytes, str]:
    """Return the bytes of a file and its suffix; what is neither JPEG nor PNG becomes a PNG with the same pixels."""
    from PIL import Image

    from lakegate.imaging import decode_image

    if isinstance(image, bytes):
        for start, suffix in _SUFFIXES:
            if image.startswith(start):
                return image, suffix
        image = decode_image(image)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png", compress_level=PNG_COMPRESSION)
    return buffer.getvalue(), ".png"


def _write_aside(path: Path, data: bytes) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_bytes(data)
    aside.replace(path)
