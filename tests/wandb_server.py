"""A W&B server of our own for tests: GraphQL for runs and reports, file streams and uploads, on 127.0.0.1."""

import gzip
import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "0123456789" * 4
PROJECT = {"id": "p", "internalId": "1", "name": "cells", "entityName": "team", "entity": {"id": "e", "name": "team"}}
NEVER, BEFORE_KEEPING, AFTER_KEEPING = "never", "before the report is kept", "after the report is kept"


class WandbStub(ThreadingHTTPServer):
    """``views``, ``runs`` (both by id) and ``uploads`` are what it took; ``hang_up`` says when a report's connection drops."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.views: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.projects: set[str] = set()
        self.uploads: list[str] = []
        self.n_sent = 0
        self.hang_up = NEVER
        self._n_artifacts = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """W&B's service drops its open connections when a run is done; everything else is told."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def answer(self, query: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Return the data for one operation; an unknown one gets none."""
        found = re.search(r"(?:query|mutation)\s+(\w+)", query)
        operation = getattr(self, f"on_{found[1].lower()}", None) if found else None
        return operation(asked) if operation else {}

    def on_viewer(self, _: dict[str, Any]) -> dict[str, Any]:
        teams: dict[str, Any] = {"edges": []}
        return {"viewer": {"id": "u", "entity": "team", "username": "me", "flags": "{}", "teams": teams, "name": "me"}}

    def on_project(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"project": PROJECT if asked["project"] in self.projects else None}

    def on_createproject(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.projects.add(asked["project"])
        return {"upsertModel": {"model": PROJECT}}

    def on_projectviews(self, asked: dict[str, Any]) -> dict[str, Any]:
        same = [view for view in self.views.values() if view["name"] == asked["name"]]
        return {"project": {"allViews": {"edges": [{"node": {"id": view["id"], "name": view["name"]}} for view in same]}}}

    def on_upsertview(self, asked: dict[str, Any]) -> dict[str, Any]:
        assert asked["project"] in self.projects
        view_id = asked["id"] or f"Vmlldzo{len(self.views)}"
        self.views[view_id] = {**asked, "id": view_id}
        self.n_sent += 1
        return {"upsertView": {"view": {"id": view_id}, "inserted": not asked["id"]}}

    def on_upsertbucket(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.runs[asked["name"]] = asked
        self.projects.add(str(asked.get("project")))
        bucket = {"id": "b", "name": asked["name"], "displayName": "run", "config": "{}", "historyLineCount": 0}
        return {"upsertBucket": {"bucket": {**bucket, "project": PROJECT}, "inserted": True}}

    def on_createrunfiles(self, asked: dict[str, Any]) -> dict[str, Any]:
        files = [{"name": name, "uploadUrl": f"{self.address}/files/{name}"} for name in asked["files"]]
        return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}

    def on_artifacttype(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"artifact": None}}

    def on_createartifact(self, _: dict[str, Any]) -> dict[str, Any]:
        self._n_artifacts += 1
        artifact = {"id": str(self._n_artifacts), "state": "PENDING"}
        return {"createArtifact": {"artifact": {**artifact, "artifactSequence": {"id": "s", "latestArtifact": None}}}}

    def on_createartifactmanifest(self, _: dict[str, Any], name: str = "createArtifactManifest") -> dict[str, Any]:
        file = {"id": "f", "name": "m", "displayName": "m", "uploadUrl": f"{self.address}/manifest", "uploadHeaders": []}
        return {name: {"artifactManifest": {"id": "m", "file": file}}}

    def on_updateartifactmanifest(self, asked: dict[str, Any]) -> dict[str, Any]:
        return self.on_createartifactmanifest(asked, "updateArtifactManifest")

    def on_createartifactfiles(self, asked: dict[str, Any]) -> dict[str, Any]:
        nodes = [
            {
                "id": "f",
                "name": file["name"],
                "displayName": file["name"],
                "storagePath": None,
                "uploadUrl": f"{self.address}/artifacts/{file['name']}",
                "uploadHeaders": [],
                "uploadMultipartUrls": None,
                "artifact": {"id": file["artifactID"]},
            }
            for file in (asked.get("input") or asked)["artifactFiles"]
        ]
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}

    def on_commitartifact(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"commitArtifact": {"artifact": {"id": (asked.get("input") or asked)["artifactID"], "digest": "d"}}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: WandbStub

    def do_POST(self) -> None:
        body = self._body()
        if not self.path.startswith("/graphql"):
            self._send({"exitcode": None, "limits": {}})
            return
        asked = json.loads(body)
        is_report = "upsertView" in asked["query"]
        if is_report and self.server.hang_up == BEFORE_KEEPING:
            self.close_connection = True
            return
        data = self.server.answer(asked["query"], asked.get("variables") or {})
        if is_report and self.server.hang_up == AFTER_KEEPING:
            self.close_connection = True
            return
        self._send({"data": data})

    def do_PUT(self) -> None:
        self._body()
        self.server.uploads.append(self.path)
        self._send({})

    def do_GET(self) -> None:
        self._send({})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        else:
            body = b""
            while n_bytes := int(self.rfile.readline(), 16):
                body += self.rfile.read(n_bytes)
                self.rfile.readline()
            self.rfile.readline()
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _send(self, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def wandb_stub() -> Iterator[WandbStub]:
    """Start a server and stop it at the end."""
    server = WandbStub()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
