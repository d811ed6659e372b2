"""A training that one host began and another ends, and an export that lies on S3: both over a real S3 gateway."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lakegate.lake.client import LakeClient
from lakegate.lifecycle import training_run
from lakegate.lifecycle.publication import PublicationRequest
from lakegate.registry import runs
from lakegate.settings import Settings
from lakegate.shared_store import SharedStore, open_store
from tests.lifecycle.conftest import Workshop
from tests.object_store import with_bucket
from tests.squares import declare_model, write_squares

pytestmark = pytest.mark.services
N_EPOCHS = 40
HOST = """
import sys
from lakegate.lake.client import LakeClient
from lakegate.lifecycle import training_run
from lakegate.settings import Settings
settings = Settings.load()
client = LakeClient(settings)
plan = training_run.plan_run(client, settings, sys.argv[1], [])
training_run.fit_run(client, settings, plan, "", print)
"""


def other_host(settings: Settings, home: Path) -> Settings:
    """Return settings with a state folder of their own that trusts the same publishers."""
    shutil.copytree(settings.home / "keys", home / "keys")
    return settings.model_copy(update={"home": home})


def environment(settings: Settings) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "LAKEGATE_HOME": str(settings.home),
        "LAKEGATE_CHECKOUT": str(settings.checkout),
        "LAKEGATE_LAKEFS_ENDPOINT": settings.lakefs_endpoint,
        "LAKEGATE_LAKEFS_ACCESS_KEY_ID": settings.lakefs_access_key_id,
        "LAKEGATE_LAKEFS_SECRET_ACCESS_KEY": settings.lakefs_secret_access_key.get_secret_value(),
        "LAKEGATE_RESULTS_STORE": settings.results_store,
        "LAKEGATE_S3_ENDPOINT_URL": settings.s3_endpoint_url,
        "LAKEGATE_S3_ACCESS_KEY_ID": settings.s3_access_key_id,
        "LAKEGATE_S3_SECRET_ACCESS_KEY": settings.s3_secret_access_key.get_secret_value(),
        "WANDB_MODE": "disabled",
    }


def newest_epoch(store: SharedStore, note: Path) -> int:
    """Return the epoch that ``latest.json`` of the only run names; a checkpoint counts once it is named there."""
    names = [name for name in store.names("checkpoints/") if name.endswith("/latest.json")]
    return int(json.loads(note.read_text())["epoch"]) if names and store.get(names[0], note) else 0


def train_until_shared(settings: Settings, model: str, log: Path, epoch: int) -> None:
    """Train in a process of its own, as another host would, and kill it once the store holds ``epoch``."""
    store = open_store(settings)
    assert store is not None
    with log.open("w") as output:
        host = subprocess.Popen(
            [sys.executable, "-c", HOST, model], env=environment(settings), stdout=output, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + 120
        while newest_epoch(store, log.with_suffix(".json")) < epoch:
            assert host.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        os.kill(host.pid, signal.SIGKILL)
    finally:
        host.kill()
        host.wait()


def test_another_host_goes_on_where_a_killed_one_stopped(workshop: Workshop, tmp_path: Path) -> None:
    workshop.publish(write_squares(workshop.folder / "one", range(16)), "v1")
    model = f"finder-{workshop.dataset[-8:]}"
    declare_model(workshop.checkout, model, [workshop.dataset], epochs=N_EPOCHS)
    shared = with_bucket(workshop.settings)
    first, second = (other_host(shared, tmp_path / name) for name in ("host-a", "host-b"))
    train_until_shared(first, model, tmp_path / "host-a.log", epoch=2)

    lines: list[str] = []
    client = LakeClient(second)
    plan = training_run.plan_run(client, second, model, [])
    training_run.fit_run(client, second, plan, "", lines.append)
    record = training_run.commit(client, second, plan)
    assert record.resumed_from_epoch is not None and 2 <= record.resumed_from_epoch < N_EPOCHS
    assert f"goes on after epoch {record.resumed_from_epoch} from the shared store" in lines
    assert record.epochs_run == N_EPOCHS - record.resumed_from_epoch
    assert len(record.history) == N_EPOCHS
    assert runs.find_run(client, model, plan.run_id) is not None
    store = open_store(second)
    assert store is not None and store.names("checkpoints/") == []


def test_a_store_that_fails_while_training_is_said_and_ends_nothing(workshop: Workshop, tmp_path: Path) -> None:
    workshop.publish(write_squares(workshop.folder / "one", range(16)), "v1")
    model = f"finder-{workshop.dataset[-8:]}"
    declare_model(workshop.checkout, model, [workshop.dataset], epochs=2)
    folder = tmp_path / "mounted"
    settings = workshop.settings.model_copy(update={"results_store": str(folder)})
    plan = training_run.plan_run(workshop.client, settings, model, [])
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        if line.startswith("epoch 1 "):
            folder.write_text("no folder any more")

    training_run.fit_run(workshop.client, settings, plan, "", say)
    assert any("the checkpoint after epoch 1 was not shared" in line for line in lines)
    assert (plan.folder(settings) / runs.RECORD).is_file()


def test_an_export_on_s3_is_published_like_a_folder(workshop: Workshop) -> None:
    source = write_squares(workshop.folder / "one", range(6))
    settings = with_bucket(workshop.settings)
    store = open_store(settings)
    assert store is not None
    for path in sorted(source.rglob("*")):
        if path.is_file():
            store.put(f"exports/{path.relative_to(source)}", path)
    workshop.settings = settings
    address = f"{settings.results_store}/exports"
    request = PublicationRequest.from_words(settings, workshop.dataset, address, "v1", "", "auto", "")
    assert request.source == address
    publication = workshop.open(source, "v1")
    publication.request = request
    for step in ("read_export", "screen", "write", "audit", "attest", "merge", "tag"):
        getattr(publication, step)()
    assert f"{workshop.dataset}@v1 is published" in workshop.lines[-1]
