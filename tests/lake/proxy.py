"""A reverse proxy on 127.0.0.1 that counts the requests, and damages the bytes of uploads when told to."""

import http.client
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Proxy:
    """Forwards everything to ``target``; ``uploads`` counts uploaded objects, ``reads`` downloaded ones, by path.

    ``n_requests`` counts requests of any kind.
    """

    def __init__(self, target: str) -> None:
        self.uploads: Counter[str] = Counter()
        self.reads: Counter[str] = Counter()
        self.n_requests = 0
        self.damage = ""  # an upload whose path begins so loses its last byte
        self._target = urlsplit(target)
        self._local = threading.local()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def forward(self, request: BaseHTTPRequestHandler) -> tuple[int, list[tuple[str, str]], bytes]:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        self.n_requests += 1
        url = urlsplit(request.path)
        path = parse_qs(url.query).get("path", [""])[0]
        if request.command == "POST" and url.path.endswith("/objects"):
            self.uploads[path] += 1
            if self.damage and path.startswith(self.damage):
                body = body[:-1]
        if request.command == "GET" and url.path.endswith("/objects"):
            self.reads[path] += 1
        headers = {key: value for key, value in request.headers.items() if key.lower() not in ("host", "content-length")}
        if not hasattr(self._local, "connection"):
            self._local.connection = http.client.HTTPConnection(str(self._target.hostname), self._target.port)
        self._local.connection.request(request.command, request.path, body, headers)
        answer = self._local.connection.getresponse()
        return answer.status, answer.getheaders(), answer.read()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                status, headers, body = proxy.forward(self)
                self.send_response_only(status)
                for key, value in headers:
                    if key.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(key, value)
                if status != 204:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_any  # noqa: N815

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
