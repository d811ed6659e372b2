"""Keep-alive connections to one server: a fifth of urllib3's time per request, which counts with tens of thousands of them."""

import http.client
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from queue import LifoQueue
from typing import Any, BinaryIO
from urllib.parse import urlsplit

STALE_S = 0.1
WITHOUT_BODY = (204, 304)
MAX_LINE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered, read to its end."""

    status: int
    data: bytes
    lines: tuple[bytes, ...]

    def header(self, name: str) -> str:
        """Return a header's value, empty where the server sent none."""
        return _value(self.lines, name.lower().encode()).decode("latin-1")

    def json(self) -> Any:
        """Parse the body; raises ``ValueError``."""
        return json.loads(self.data)


class Connection:
    """One connection: a request goes out in one piece, and of an answer's header only what is asked for is looked at."""

    def __init__(self, host: str, port: int | None, is_tls: bool, connect_s: float, read_s: float) -> None:
        if is_tls:
            context = ssl.create_default_context()
            opened: http.client.HTTPConnection = http.client.HTTPSConnection(host, port, timeout=connect_s, context=context)
        else:
            opened = http.client.HTTPConnection(host, port, timeout=connect_s)
        opened.connect()
        self._socket = opened.sock
        self._socket.settimeout(read_s)
        self._reader: BinaryIO = self._socket.makefile("rb")
        name = f"[{host}]" if ":" in host else host
        self._host = name if port is None else f"{name}:{port}"
        self.is_open = True

    def close(self) -> None:
        """Close it; it cannot be used again."""
        self.is_open = False
        self._reader.close()
        self._socket.close()

    def ask(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """Send a request and read the answer; raises ``OSError``, ``http.client.HTTPException``."""
        content = body or b""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._host}", "Accept-Encoding: identity"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if content or method in ("POST", "PUT"):
            lines.append(f"Content-Length: {len(content)}")
        head = "\r\n".join(lines)
        if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
            raise http.client.InvalidURL(f"a line break in the header of {method} {target!r}")
        self._socket.sendall(f"{head}\r\n\r\n".encode("latin-1") + content)
        return self._answer()

    def _answer(self) -> Answer:
        status, answered = 0, b""
        lines: tuple[bytes, ...] = ()
        while status < 200:  # 1xx: the answer itself follows
            answered = self._line()
            words = answered.split(None, 2)
            if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
                raise http.client.BadStatusLine(repr(answered[:100]) if answered else "the server closed the connection")
            status = int(words[1])
            lines = tuple(iter(self._line, b""))
        data = b"" if status in WITHOUT_BODY else self._body(lines)
        if answered.startswith(b"HTTP/1.0") or _value(lines, b"connection").lower() == b"close":
            self.close()
        return Answer(status, data, lines)

    def _body(self, lines: tuple[bytes, ...]) -> bytes:
        length = _value(lines, b"content-length")
        if length.isdigit():
            return self._exactly(int(length))
        if _value(lines, b"transfer-encoding").lower() != b"chunked":
            data = self._reader.read()
            self.close()
            return data
        pieces = []
        while size := self._chunk_size():
            pieces.append(self._exactly(size))
            self._line()
        while self._line():  # trailers
            pass
        return b"".join(pieces)

    def _chunk_size(self) -> int:
        line = self._line()
        try:
            return int(line.partition(b";")[0], 16)
        except ValueError as error:
            raise http.client.HTTPException(f"expected the size of a chunk, got {line[:100]!r}") from error

    def _line(self) -> bytes:
        line = self._reader.readline(MAX_LINE_BYTES)
        if not line.endswith(b"\n"):
            raise http.client.RemoteDisconnected("the server closed the connection within an answer")
        return line.rstrip(b"\r\n")

    def _exactly(self, size: int) -> bytes:
        data = self._reader.read(size)
        if len(data) != size:
            raise http.client.IncompleteRead(data, size - len(data))
        return data


class Connections:
    """At most ``limit`` connections to ``endpoint`` (``http://host:port`` or ``https://…``), shared by threads."""

    def __init__(self, endpoint: str, limit: int, connect_s: float, read_s: float) -> None:
        url = urlsplit(endpoint)
        self._host, self._port, self._is_tls = url.hostname or "", url.port, url.scheme == "https"
        self._connect_s, self._read_s = connect_s, read_s
        self._free: LifoQueue[Connection | None] = LifoQueue()  # None: may be opened
        for _ in range(limit):
            self._free.put(None)

    def send(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """Send a request for a path and return the answer; sent once more where an idle connection had been closed.

        Raises:
            OSError, http.client.HTTPException: no connection, or no whole answer in time.
        """
        connection, kept = self._free.get(), None
        try:
            answer = None
            if connection is not None:
                answer = self._ask_idle(connection, method, target, body, headers)
            if answer is None:
                connection = Connection(self._host, self._port, self._is_tls, self._connect_s, self._read_s)
                answer = connection.ask(method, target, body, headers)
            kept = connection if connection is not None and connection.is_open else None
            return answer
        finally:
            if connection is not None and kept is None:
                connection.close()
            self._free.put(kept)

    @staticmethod
    def _ask_idle(
        connection: Connection, method: str, target: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Answer | None:
        """Return ``None`` where the server closed the connection: all requests may be repeated."""
        try:
            return connection.ask(method, target, body, headers)
        except (ConnectionError, http.client.HTTPException):
            connection.close()
            time.sleep(STALE_S)
            return None


def _value(lines: tuple[bytes, ...], name: bytes) -> bytes:
    for line in lines:
        found, _, value = line.partition(b":")
        if found.lower() == name:
            return value.strip()
    return b""
