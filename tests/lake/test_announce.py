"""The hook that announces a version: what it sends, and what it says where it cannot."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from infra.lakefs_binary import find_or_build
from infra.lakefs_server import start_lakefs, stop_lakefs
from infra.stack import write_stack_file
from lakegate.lake.client import LakeClient
from lakegate.lake.repository import read_actions
from lakegate.settings import LAKEFS_SECRET_FILE, Settings
from tests.lake.test_repository import call

pytestmark = pytest.mark.services


class Post(HTTPServer):
    """Keeps what is posted, and answers ``status``, as Prefect's ``/api/events`` does with 204."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taker)
        self.status = 204
        self.got: list[tuple[str, str | None, str]] = []

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api"


class Taker(BaseHTTPRequestHandler):
    server: Post

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.got.append((self.path, self.headers["Authorization"], body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_words: object) -> None:
        return


@pytest.fixture(scope="module")
def post() -> Iterator[Post]:
    server = Post()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def announcing(post: Post, lakefs_stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A lakeFS server of its own that was told where events go, and the password."""
    home = tmp_path_factory.mktemp("announcing")
    hooks = {"LAKEFSACTION_PREFECT_API_URL": post.api, "LAKEFSACTION_PREFECT_AUTH": "admin:pass"}
    try:
        endpoint = start_lakefs(home, find_or_build(lakefs_stack, print).path, action_environment=hooks)
        write_stack_file(home, lakefs_endpoint=endpoint)
        secret = json.loads((home / LAKEFS_SECRET_FILE).read_text())
        keys = {f"lakefs_{name}": value for name, value in secret.items()}
        yield Settings(checkout=lakefs_stack.checkout, home=home, lakefs_endpoint=endpoint, **keys)
    finally:
        stop_lakefs(home)


def said(settings: Settings, dataset: str) -> tuple[str, str]:
    """Wait for the end of the tag's hook; return its status and what it printed."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        runs = call(settings, "GET", f"/{dataset}/actions/runs").json()["results"]
        done = [run for run in runs if run["event_type"] == "post-create-tag" and run["status"] in ("completed", "failed")]
        if done:
            (hook,) = call(settings, "GET", f"/{dataset}/actions/runs/{done[0]['run_id']}/hooks").json()["results"]
            output = f"/{dataset}/actions/runs/{done[0]['run_id']}/hooks/{hook['hook_run_id']}/output"
            return done[0]["status"], call(settings, "GET", output).text
        time.sleep(0.1)
    raise AssertionError("the hook of the tag did not run within 30 s")


def tag(settings: Settings, dataset: str) -> str:
    client = LakeClient(settings)
    client.ensure_repository(dataset)
    commit = client.head(dataset, "main").id
    client.create_tag(dataset, "v1", commit)
    return commit


def test_a_tag_is_one_event_with_dataset_version_and_commit(announcing: Settings, post: Post, dataset: str):
    post.status = 204
    post.got.clear()
    commit = tag(announcing, dataset)
    status, words = said(announcing, dataset)
    assert status == "completed" and f"{dataset}@v1 was announced" in words
    ((path, authorization, body),) = post.got
    assert (path, authorization) == ("/api/events", "Basic YWRtaW46cGFzcw==")
    (event,) = json.loads(body)
    assert (event["event"], event["resource"]["prefect.resource.id"]) == (
        "lakegate.version.tagged",
        f"lakegate.dataset.{dataset}",
    )
    assert event["payload"] == {"dataset": dataset, "version": "v1", "commit": commit}
    assert event["id"] and event["occurred"]


def test_what_prefect_refuses_is_in_the_hooks_output_and_the_tag_stands(announcing: Settings, post: Post, dataset: str):
    post.status = 401
    commit = tag(announcing, dataset)
    status, words = said(announcing, dataset)
    assert status == "failed" and "answered 401" in words and "admin:pass" not in words
    assert LakeClient(announcing).tags(dataset) == {"v1": commit}


def test_without_an_address_the_hook_says_what_is_missing_and_the_tag_stands(settings: Settings, dataset: str):
    commit = tag(settings, dataset)
    status, words = said(settings, dataset)
    assert status == "failed" and "LAKEFSACTION_PREFECT_API_URL is empty" in words and "lakegate up" in words
    assert LakeClient(settings).tags(dataset) == {"v1": commit}


def test_the_registry_announces_nothing(client: LakeClient):
    client.ensure_repository("results")
    present = {Path(entry.path).name for entry in client.list_objects("results", "main", "_lakefs_actions/")}
    assert present and "announce_version.yaml" not in present
    assert "_lakefs_actions/announce_version.yaml" in read_actions(("main",))


def test_a_repository_of_an_earlier_lakegate_gets_the_hook_with_its_next_version(client: LakeClient, dataset: str):
    client.ensure_repository(dataset)
    client.create_branch(dataset, "older", "main")
    client.delete_many(dataset, "older", ["_lakefs_actions/announce_version.yaml"])
    older = client.commit(dataset, "older", "as an earlier Lakegate left it", {})
    client.merge(dataset, older, "main", "as an earlier Lakegate left it", {})
    assert len(client.list_objects(dataset, "main", "_lakefs_actions/")) == 2
    client.ensure_repository(dataset)
    assert len(client.list_objects(dataset, "main", "_lakefs_actions/")) == 3
