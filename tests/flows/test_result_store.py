"""Prefect keeps results where the settings say: blocks on a real server, a result on a real S3 gateway."""

import os
import subprocess
import sys

import pytest

from infra import prefect_server, processes
from infra.prefect_api import PrefectApi
from infra.result_store import BUCKET, CREDENTIALS, apply_result_store, result_environment
from lakegate.settings import Settings
from lakegate.shared_store import open_store
from tests.flows.conftest import Person
from tests.object_store import with_bucket

pytestmark = pytest.mark.services
KEEP_A_RESULT = """
import prefect

@prefect.flow(persist_result=True)
def answer() -> int:
    return 42

print(answer())
"""


def test_the_same_blocks_again_change_nothing_and_hold_results(person: Person) -> None:
    settings = with_bucket(person.settings)
    api = PrefectApi(settings.prefect_api_url)
    apply_result_store(settings)
    first = blocks(api)
    apply_result_store(settings)
    assert blocks(api) == first and {name for name, _ in first} == {CREDENTIALS, BUCKET}
    run_flow(settings)
    store = open_store(settings)
    assert store is not None and len(store.names("prefect-results/")) >= 1
    secret = settings.s3_secret_access_key.get_secret_value()
    assert secret not in processes.log_file(settings.home, prefect_server.NAME).read_text()


def blocks(api: PrefectApi) -> set[tuple[str, str]]:
    found = api.post("block_documents/filter", {"include_secrets": False})
    return {(block["name"], block["id"]) for block in found if block["name"] in (CREDENTIALS, BUCKET)}


def run_flow(settings: Settings) -> None:
    told = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
        **prefect_server.client_environment(settings.home, settings.prefect_api_url),
        **result_environment(settings),
    }
    command = [sys.executable, "-c", KEEP_A_RESULT]
    run = subprocess.run(command, env=told, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0 and "42" in run.stdout, run.stderr
