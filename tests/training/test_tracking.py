import os
import subprocess
import sys
from pathlib import Path

import pytest

from lakegate.settings import Settings
from lakegate.training.tracking import choose_mode, open_tracking
from tests.wandb_files import read_offline

CHECKOUT = Path(__file__).resolve().parents[2]
UNREACHABLE = """
import sys
from pathlib import Path
from lakegate.settings import Settings
from lakegate.training.tracking import open_tracking
tracking = open_tracking(Settings(home=Path(sys.argv[1])), "squares", "abc", {})
tracking.log(1, {"loss": 0.5})
print(tracking.mode, tracking.id, "|", tracking.error, flush=True)
tracking.finish()
"""


def curves(run, name):
    return [(row["epoch"], row[name]) for row in run.history if name in row]


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("WANDB_MODE", "WANDB_DIR", "WANDB_DATA_DIR", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "wandb-data"))  # restored after the test
    return tmp_path


def test_a_run_is_offline_without_a_key_and_its_files_hold_what_was_logged(home):
    tracking = open_tracking(Settings(home=home), "squares", "abc", {"epochs": 2})
    assert (tracking.mode, tracking.id, tracking.url, tracking.error) == ("offline", "abc-train", "", "")
    tracking.log(1, {"loss": 0.5})
    tracking.log(2, {"loss": 0.25})
    tracking.finish({"map50": 0.83})
    tracking.finish()
    assert tracking.folder is not None
    assert tracking.folder.is_relative_to(home / "wandb")
    run = read_offline(tracking.folder)
    assert (run.config["epochs"], run.summary["map50"], run.exit_code) == (2, 0.83, 0)
    assert curves(run, "loss") == [(1, 0.5), (2, 0.25)]
    assert run.metrics == {"epoch": "", "*": "epoch"}  # W&B draws every metric over the epochs
    assert (home / "wandb-data").is_dir()


def test_a_training_that_goes_on_logs_the_epochs_before_it_once_and_a_failed_one_is_marked(home):
    history = [{"loss": 0.5}, {"loss": 0.25, "val_loss": 0.3}, {"loss": 0.125}]
    tracking = open_tracking(Settings(home=home), "squares", "resumed", {}, notes="trained on squares@v1")
    tracking.catch_up(history[:2])
    tracking.log(3, history[2])
    tracking.catch_up(history)
    tracking.finish(has_failed=True)
    run = read_offline(tracking.folder)
    assert curves(run, "loss") == [(1, 0.5), (2, 0.25), (3, 0.125)]
    assert curves(run, "val_loss") == [(2, 0.3)]
    assert (run.notes, run.exit_code) == ("trained on squares@v1", 1)


def test_two_runs_in_one_process_do_not_mix(home):
    train = open_tracking(Settings(home=home), "squares", "both", {})
    judge = open_tracking(Settings(home=home), "squares", "both", {}, job_type="compare")
    train.log(1, {"loss": 0.5})
    judge.log(1, {"only_judged": 0.8})
    train.finish()
    judge.finish()
    assert train.folder is not None
    assert train.id != judge.id
    assert [set(row) & {"loss", "only_judged"} for row in read_offline(train.folder).history] == [{"loss"}]


def test_an_unreachable_server_is_a_note_and_the_run_goes_on_offline(tmp_path):
    environment = {**os.environ, "WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"}
    environment = {name: value for name, value in environment.items() if name not in ("WANDB_MODE", "WANDB_DATA_DIR")}
    answer = subprocess.run(
        [sys.executable, "-c", UNREACHABLE, str(tmp_path)], cwd=CHECKOUT, env=environment, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("offline abc-train-2 | W&B did not start abc-train online (")


def test_a_folder_that_cannot_be_written_is_a_note_and_nothing_fails(home):
    (home / "wandb").write_text("a file where the folder should be")
    tracking = open_tracking(Settings(home=home), "squares", "blocked", {})
    tracking.log(1, {"loss": 0.5})
    tracking.finish({"map50": 0.8})
    assert "W&B did not start blocked-train-2 offline (FileExistsError" in tracking.error
    assert (tracking.mode, tracking.folder) == ("disabled", None)


def test_a_failure_while_logging_is_a_note_and_the_run_goes_on_without_it(home):
    tracking = open_tracking(Settings(home=home), "squares", "odd", {})
    tracking.log(1, {1: 0.5})  # type: ignore[dict-item]
    tracking.log(2, {"loss": 0.5})
    tracking.finish()
    assert "failed to log" in tracking.error


def test_a_second_start_of_an_open_run_gets_an_id_of_its_own(home):
    first, second = (open_tracking(Settings(home=home), "squares", "twice", {}) for _ in range(2))
    assert (first.id, second.id) == ("twice-train", "twice-train-2")
    assert "in use" in second.error
    first.finish()
    second.finish()


def test_disabled_tracking_writes_nothing(home):
    tracking = open_tracking(Settings(home=home, wandb_mode="disabled"), "squares", "abc", {})
    tracking.log(1, {"loss": 0.5})
    tracking.finish()
    assert tracking.error == ""
    assert not (home / "wandb").exists()


@pytest.mark.parametrize(
    ("setting", "environment", "mode"),
    [
        ("auto", {}, "offline"),
        ("auto", {"WANDB_API_KEY": "key"}, "online"),
        ("auto", {"WANDB_API_KEY": "key", "WANDB_MODE": "offline"}, "offline"),
        ("auto", {"WANDB_MODE": "disabled"}, "disabled"),
        ("online", {"WANDB_MODE": "offline"}, "online"),
    ],
)
def test_the_setting_counts_before_the_environment_and_a_key_means_online(setting, environment, mode):
    assert choose_mode(Settings(wandb_mode=setting), environment) == mode
