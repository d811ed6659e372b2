"""A comparison in W&B: offline, online against a server of our own, and with a server that fails."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lakegate.evaluation.gate import Verdict
from lakegate.evaluation.matrix import Matrix
from lakegate.evaluation.report import evidence_digest, matrix_markdown
from lakegate.lifecycle.matrix_tracking import keep_for_publishing, make_report, track_comparison
from lakegate.reports.wandb_publishing import WandbServer, publish_report
from lakegate.reports.wandb_report import FOLDER, KeptReport, kept_paths, read_published, read_report
from lakegate.settings import Settings
from tests.evaluation.planted import World
from tests.evaluation.test_report import judged
from tests.wandb_server import BEFORE_KEEPING, KEY, NEVER, wandb_stub

Compared = tuple[Settings, KeptReport, Matrix, Verdict]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> tuple[Matrix, Verdict]:
    return judged(World(tmp_path_factory.mktemp("world"), loads=[]))


@pytest.fixture
def compared(outcome: tuple[Matrix, Verdict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compared:
    for name in ("WANDB_DIR", "WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_ENTITY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "wandb-data"))
    report = make_report("ab" * 32, "cells", *outcome, evidence_digest(*outcome), matrix_markdown(*outcome))
    return Settings(home=tmp_path), report, *outcome


def tables(folder: Path) -> dict[str, Any]:
    return {path.name.split("_")[0]: json.loads(path.read_text()) for path in folder.rglob("*.table.json")}


def test_offline_the_run_has_three_tables_and_the_report_waits(compared: Compared) -> None:
    settings, report, matrix, verdict = compared
    keep_for_publishing(settings, report)
    tracking = track_comparison(settings, report, matrix, verdict, ["planted@v2"])
    assert (tracking.mode, tracking.id, tracking.error) == ("offline", "new-compare-abababab", "")
    assert tracking.folder is not None
    found = tables(tracking.folder)
    assert set(found) == {"matrix", "rules", "flips"}
    assert found["matrix"]["columns"] == ["metric", "of", "all", "old_data", "diff"]
    assert found["rules"]["data"][0][:4] == ["recall.all.min", "fail", 0.9, 0.5]
    assert len(found["flips"]["data"]) == len(matrix.flips) == 24
    stored = [path.read_bytes() for path in settings.home.glob("wandb-data/artifacts/staging/*")]
    assert sum(item.startswith(b"\xff\xd8") for item in stored) >= 12  # one picture for each image with flips
    assert any(b'"image-file"' in item and b'"baseline"' in item for item in stored)  # with the boxes of both models

    [path] = kept_paths(settings)
    kept = read_report(path)
    assert kept == report.model_copy(update={"wandb_run": tracking.id, "wandb_folder": str(tracking.folder)})
    assert len(kept.flips) == kept.n_flips == 24 and kept.flips[0].kind == "negative"
    assert read_published(settings, kept) is None


def test_online_the_run_and_its_report_arrive_and_a_failing_server_leaves_the_report_kept(
    compared: Compared, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings, report, matrix, verdict = compared
    settings.wandb_mode = "online"
    with wandb_stub() as server:
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_BASE_URL", server.address)
        server.hang_up = BEFORE_KEEPING
        tracking = track_comparison(settings, report, matrix, verdict, ["planted@v2"])
        assert (tracking.mode, tracking.error, server.views) == ("online", "", {})
        assert list(server.runs) == ["new-compare-abababab"]
        assert any("flips" in path for path in server.uploads)
        kept = read_report(kept_paths(settings)[0])
        assert (kept.wandb_run, kept.wandb_folder) == (tracking.id, "")
        assert "publish it with `lakegate wandb publish`" in caplog.text

        server.hang_up = NEVER
        publish_report(settings, kept, WandbServer.of(os.environ))
        assert [view["title"] for view in server.views.values()] == ["cells: run new against old"]


def test_disabled_nothing_is_kept(compared: Compared) -> None:
    settings, report, matrix, verdict = compared
    settings.wandb_mode = "disabled"
    keep_for_publishing(settings, report)
    assert track_comparison(settings, report, matrix, verdict, []).folder is None
    assert not (settings.home / FOLDER).exists()


def test_a_disk_that_takes_no_report_fails_nothing(compared: Compared, caplog: pytest.LogCaptureFixture) -> None:
    settings, report, _, _ = compared
    (settings.home / FOLDER).write_text("a file where the folder should be")
    keep_for_publishing(settings, report)
    assert "was not kept (" in caplog.text
