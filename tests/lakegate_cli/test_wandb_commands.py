"""``lakegate wandb publish`` through the command line, against a W&B server of our own."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lakegate.errors import SetupProblem
from lakegate.reports.wandb_report import FOLDER, KeptFlip, KeptReport, keep_report, read_report
from lakegate.settings import Settings
from lakegate_cli.main import app
from tests.wandb_server import AFTER_KEEPING, BEFORE_KEEPING, KEY, NEVER, WandbStub, wandb_stub

REPORT = KeptReport(
    key="ab" * 32,
    model="cells",
    candidate_run="new",
    baseline_run="old",
    verdict="fail",
    sentence="cells run new must not replace run old.",
    evidence_digest="cd" * 32,
    markdown="**✗ FAIL** it must not.\n\n| rule |\n| --- |\n| recall<br>0.5 |\n",
    flips=(KeptFlip(kind="negative", label="<b>|", sample="blood/7", words="missed"),),
    n_flips=3,
    wandb_run="new-compare-abababab",
)


@pytest.fixture
def server() -> Iterator[WandbStub]:
    with wandb_stub() as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: WandbStub) -> Settings:
    for name, value in (("WANDB_API_KEY", KEY), ("WANDB_BASE_URL", server.address), ("LAKEGATE_HOME", str(tmp_path))):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("WANDB_ENTITY", raising=False)
    return Settings.load()


def published(exit_code: int = 0) -> list[dict[str, Any]]:
    done = CliRunner().invoke(app, ["wandb", "publish", "--json"])
    assert done.exit_code == exit_code, done.output
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def test_a_kept_report_is_published_once_with_its_verdict_rules_flips_and_origin(settings: Settings, server: WandbStub) -> None:
    keep_report(settings, REPORT)
    assert [row["state"] for row in published()] == ["published"]
    [view] = server.views.values()
    assert view["title"] == "cells: run new against old" and server.projects == {"cells"}
    callout, rules, _, flips, _, origin = json.loads(view["spec"])["blocks"]
    assert callout["children"][0]["children"][0]["text"] == "FAIL: cells run new must not replace run old."
    assert rules["content"] == "| rule |\n| --- |\n| recall · 0.5 |\n"
    assert "| negative | &lt;b>\\| | blood/7 | missed |" in flips["content"] and "2 more are on" in flips["content"]
    assert f"{server.address}/team/cells/runs/new-compare-abababab" in origin["content"]

    [again] = published()
    assert again["state"] == "was published before" and server.n_sent == 1
    assert again["where"] == f"{server.address}/team/cells/reports/cells%3A-run-new-against-old--{view['id']}"


@pytest.mark.parametrize("when", [BEFORE_KEEPING, AFTER_KEEPING])
def test_a_half_sent_report_is_sent_again_and_stays_one(settings: Settings, server: WandbStub, when: str) -> None:
    keep_report(settings, REPORT)
    server.hang_up = when
    [row] = published(exit_code=1)
    assert row["state"] == "not published" and "gave no answer" in row["where"]
    server.hang_up = NEVER
    assert published()[0]["state"] == "published"
    assert len(server.views) == 1


def test_a_report_that_changed_replaces_what_was_published(settings: Settings, server: WandbStub) -> None:
    keep_report(settings, REPORT)
    published()
    keep_report(settings, REPORT.model_copy(update={"sentence": "It changed."}))
    assert published()[0]["state"] == "published"
    assert [view["description"] for view in server.views.values()] == ["It changed."]


def test_another_server_gets_the_report_too(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_report(settings, REPORT)
    published()
    with wandb_stub() as other:
        monkeypatch.setenv("WANDB_BASE_URL", other.address)
        assert published()[0]["state"] == "published"
        assert len(other.views) == 1
    assert published(exit_code=1)[0]["state"] == "not published"  # that server is gone


def test_a_damaged_report_is_a_row_and_the_others_are_published(settings: Settings, server: WandbStub) -> None:
    keep_report(settings, REPORT)
    damaged = settings.home / FOLDER / "damaged.report.json"
    damaged.write_bytes(b'{"key":')
    rows = {row["key"]: row for row in published(exit_code=1)}
    assert rows[REPORT.key]["state"] == "published" and len(server.views) == 1
    assert "damaged.report.json is no kept report" in rows["damaged"]["where"]


def test_an_offline_run_that_waits_is_named_until_it_was_sent(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "offline-run-1"
    folder.mkdir()
    path = keep_report(settings, REPORT.model_copy(update={"wandb_folder": str(folder)}))
    assert read_report(path).wandb_folder == str(folder)
    assert f"wandb sync {folder}" in CliRunner().invoke(app, ["wandb", "publish"]).output
    (folder / "run-1.wandb.synced").touch()
    assert "wandb sync" not in CliRunner().invoke(app, ["wandb", "publish"]).output


def test_offline_trainings_of_both_runs_are_named_too_with_all_attempts_in_the_order_to_send_them(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_DIR", raising=False)
    runs = settings.home / "wandb" / "wandb"
    names = ["20261101_100000-old-train", "20261102_100000-new-train", "20261103_100000-new-train"]
    for name in (*names, "20261101_110000-other-train", "20261104_100000-new-compare-abababab"):
        (runs / f"offline-run-{name}").mkdir(parents=True)
    compared = str(runs / "offline-run-20261104_100000-new-compare-abababab")
    keep_report(settings, REPORT.model_copy(update={"trained": ("new", "old"), "wandb_folder": compared}))
    assert published()[0]["unsent_runs"] == [*(str(runs / f"offline-run-{name}") for name in names), compared]
    (runs / f"offline-run-{names[0]}" / "run-old-train.wandb.synced").touch()
    printed = CliRunner().invoke(app, ["wandb", "publish"]).output
    assert printed.count("wandb sync ") == 3 and names[0] not in printed


def test_without_a_report_nothing_is_asked_and_without_a_key_it_is_said(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    assert "no report is kept" in CliRunner().invoke(app, ["wandb", "publish"]).output
    keep_report(settings, REPORT)
    done = CliRunner().invoke(app, ["wandb", "publish"])
    assert isinstance(done.exception, SetupProblem) and "WANDB_API_KEY is empty" in str(done.exception)
