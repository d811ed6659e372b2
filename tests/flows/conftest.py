"""A whole stack with a checkout of its own, used as a person uses it: through the command ``lakegate``."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import requests
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from lakegate.registry import one_time_codes
from lakegate.settings import Settings
from tests.squares import declare_model, declare_roles, make_checkout, write_squares

REPOSITORY = Path(__file__).resolve().parents[2]
CODE = ("flows", "tasks", "prefect.yaml")
TIMEOUT_S = 300
EASY = '"map.all.min" = 0.0'
HARD = '"map.all.min" = 0.99'


@dataclass(frozen=True)
class Answer:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Person:
    """Somebody at a terminal in the checkout."""

    def __init__(self, folder: Path, name: str = "ada") -> None:
        self.folder, self.name = folder, name
        self.checkout, self.home = folder / "checkout", folder / "home"

    def environment(self, **more: str) -> dict[str, str]:
        own = {
            "LAKEGATE_HOME": str(self.home),
            "LAKEGATE_CHECKOUT": str(self.checkout),
            "LAKEGATE_LAKEFS_PORT": "0",
            "LAKEGATE_PREFECT_PORT": "0",
            "LAKEGATE_REPORTS_PORT": "0",
            "LAKEGATE_USER": self.name,
            "LAKEGATE_THREADS": "2",
            "LAKEGATE_ALLOW_DIRTY_RELEASE": "1",
        }
        foreign = ("LAKEGATE_", "PREFECT_")
        return {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | own | more

    def types(self, *words: str, **variables: str) -> Answer:
        """Run ``lakegate <words>`` to its end."""
        command = [str(Path(sys.executable).parent / "lakegate"), *words]
        done = subprocess.run(
            command, cwd=self.checkout, env=self.environment(**variables), capture_output=True, text=True, timeout=TIMEOUT_S
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def gets(self, *words: str, **variables: str) -> Any:
        """Run ``lakegate <words> --json``, which must succeed, and return the value."""
        answer = self.types(*words, "--json", **variables)
        assert answer.code == 0, answer.err + answer.out
        return answer.json

    @property
    def settings(self) -> Settings:
        stack = json.loads((self.home / "stack.json").read_text())
        secret = json.loads((self.home / "secrets" / "lakefs.json").read_text())
        return Settings(
            checkout=self.checkout,
            home=self.home,
            lakefs_endpoint=stack["lakefs_endpoint"],
            prefect_api_url=stack["prefect_api_url"],
            lakefs_access_key_id=secret["access_key_id"],
            lakefs_secret_access_key=secret["secret_access_key"],
        )


    def code_of(self, name: str) -> str:
        """Return what the authenticator app of ``name`` shows, who is enrolled this moment: no test waits for the next code."""
        one_time_codes.enrol(self.settings, name, replace=True)
        return one_time_codes.next_code(self.settings, name)


@contextmanager
def asked_by(person: Person) -> Iterator[SyncPrefectClient]:
    """A client of the person's Prefect server, in an environment that is put back afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LAKEGATE_HOME", "LAKEGATE_CHECKOUT", "PREFECT_API_URL", "PREFECT_HOME"):
            patch.setenv(name, os.environ.get(name, ""))
        api = person.settings.prefect_api_url
        with temporary_settings({PREFECT_API_URL: api}), get_client(sync_client=True) as client:
            yield client


def publish_two(person: Person, dataset: str) -> None:
    """Publish v1, with two unfinished samples and one without area that is kept out, and v2."""
    first = write_squares(person.folder / f"{dataset}-one", range(24), unfinished=[2, 5])
    bad = first / "Annotations" / "square-3.xml"
    bad.write_text(bad.read_text().replace("<xmax>", "<xmax>-"))
    second = write_squares(person.folder / f"{dataset}-two", range(30))
    for version, source in (("v1", first), ("v2", second)):
        row = person.gets("data", "publish", dataset, "--source", str(source), "--version", version)
        assert row["version"] == version


def wait_for(client: SyncPrefectClient, run_id: UUID) -> None:
    """Wait until a flow run ends, which it must do well."""
    until = time.monotonic() + TIMEOUT_S
    while not (state := client.read_flow_run(run_id).state) or not state.is_final():
        assert time.monotonic() < until, state
        time.sleep(0.5)
    assert state.is_completed(), state.message


def artifacts_of(api: str, key: str) -> list[str]:
    """Return the content of the artifacts with a key, oldest first."""
    body = {"artifacts": {"key": {"any_": [key]}}, "sort": "CREATED_DESC"}
    found = requests.post(f"{api}/artifacts/filter", json=body, timeout=30).json()
    return [str(item["data"]) for item in reversed(found)]


def link_code(checkout: Path, *more: str) -> None:
    """Let a checkout have this repository's code, and ``deployments/`` of its own, where a test may change the roles."""
    for name in (*CODE, *more):
        (checkout / name).symlink_to(REPOSITORY / name)
    shutil.copytree(REPOSITORY / "deployments", checkout / "deployments")


@pytest.fixture(scope="session")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """Ada, whose stack is up: lakeFS, Prefect, two workers, pages."""
    someone = Person(tmp_path_factory.mktemp("flows"))
    make_checkout(someone.checkout, ["squares"], "quarantine")
    make_checkout(someone.checkout, ["tiles"], "quarantine", limits="")
    make_checkout(someone.checkout, ["refusing", "killed"], limits="")
    declare_model(someone.checkout, "finder", ["squares"], EASY)
    declare_model(someone.checkout, "strict-finder", ["squares"], HARD)
    link_code(someone.checkout)
    declare_roles(someone.checkout)
    try:
        answer = someone.types("up")
        assert answer.code == 0, answer.err + answer.out
        yield someone
    finally:
        someone.types("down")
