"""Tar files read as a stream, compressed or not, without a header that fills the memory."""

import bz2
import gzip
import lzma
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MAX_HEADER_BYTES = 16 * 1024**2  # tarfile reads extended headers in one piece: no honest one is larger
PACKED: tuple[tuple[bytes, Any], ...] = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\0", lzma.open))


@contextmanager
def open_tar(path: Path) -> Iterator[tuple[Any, "CarefulStream"]]:
    """Open a tar file, packed or not; names that are not UTF-8 come with surrogates. Yields the ``TarFile`` and its stream.

    The tarfile stops in silence at a damaged header behind the first file: compare the stream's ``last`` with an empty block.
    """
    with path.open("rb") as packed:
        head = packed.read(6)
        packed.seek(0)
        plain = next((opened(packed) for start, opened in PACKED if head.startswith(start)), packed)
        stream: Any = CarefulStream(plain)
        with tarfile.open(fileobj=stream, mode="r:", encoding="utf-8", errors="surrogateescape") as archive:
            yield archive, stream


class CarefulStream:
    """A stream that gives no piece so large that it would fill the memory, and remembers the last one."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell
        self.last = b""

    def read(self, size: int) -> bytes:
        """Read at most ``size`` bytes; raises ``tarfile.ReadError`` for a piece that no honest header needs."""
        if not 0 <= size <= MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes, at most {MAX_HEADER_BYTES} are read")
        self.last = bytes(self._stream.read(size))
        return self.last
