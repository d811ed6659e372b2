"""Keep-alive connections to one server: half of urllib3's time per request, which counts with tens of thousands of them."""

import http.client
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from queue import LifoQueue
from typing import Any
from urllib.parse import urlsplit

STALE_S = 0.1


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered, read to its end."""

    status: int
    data: bytes
    headers: Mapping[str, str]

    def json(self) -> Any:
        """Parse the body; raises ``ValueError``."""
        return json.loads(self.data)


class Connections:
    """At most ``limit`` connections to ``endpoint`` (``http://host:port`` or ``https://…``), shared by threads."""

    def __init__(self, endpoint: str, limit: int, connect_s: float, read_s: float) -> None:
        url = urlsplit(endpoint)
        self._host, self._port, self._is_tls = url.hostname or "", url.port, url.scheme == "https"
        self._connect_s, self._read_s = connect_s, read_s
        self._free: LifoQueue[http.client.HTTPConnection | None] = LifoQueue()  # None: may be opened
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
                connection = self._opened()
                answer = self._ask(connection, method, target, body, headers)
            kept = connection
            return answer
        finally:
            if connection is not None and kept is None:
                connection.close()
            self._free.put(kept)

    def _ask_idle(
        self, connection: http.client.HTTPConnection, method: str, target: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Answer | None:
        """Return ``None`` where the server closed the connection: all requests may be repeated."""
        try:
            return self._ask(connection, method, target, body, headers)
        except (ConnectionError, http.client.HTTPException):
            connection.close()
            time.sleep(STALE_S)
            return None

    def _opened(self) -> http.client.HTTPConnection:
        if self._is_tls:
            context = ssl.create_default_context()
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                self._host, self._port, timeout=self._connect_s, context=context
            )
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=self._connect_s)
        connection.connect()
        connection.sock.settimeout(self._read_s)
        return connection

    @staticmethod
    def _ask(
        connection: http.client.HTTPConnection, method: str, target: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        connection.request(method, target, body, dict(headers))
        response = connection.getresponse()
        return Answer(response.status, response.read(), dict(response.headers))
