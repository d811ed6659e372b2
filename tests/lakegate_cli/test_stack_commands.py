import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from lakegate_cli.stack_commands import register


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """The four commands, on an empty state folder."""
    monkeypatch.setenv("LAKEGATE_HOME", str(tmp_path / "home"))
    for service in ("LAKEFS", "PREFECT", "REPORTS"):
        monkeypatch.setenv(f"LAKEGATE_{service}_PORT", "0")
    application = typer.Typer()
    register(application)
    return application


def test_status_of_an_empty_folder_shows_every_service_down_and_ends_with_1(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["status", "--json"])
    assert result.exit_code == 1
    services = json.loads(result.stdout)
    assert {service["state"] for service in services} == {"down"}
    assert {"lakefs", "prefect", "pages", "worker-control", "worker-cpu"} == {service["name"] for service in services}


def test_down_where_nothing_runs_says_so_and_makes_no_folder(app: typer.Typer, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["down"])
    assert (result.exit_code, result.stdout) == (0, "nothing was running\n")
    assert not (tmp_path / "home").exists()


def test_doctor_prints_one_line_per_check_and_the_same_as_json(app: typer.Typer) -> None:
    lines = CliRunner().invoke(app, ["doctor"]).stdout.splitlines()
    checks = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)
    heads = [line for line in lines if not line.startswith(" ")]
    assert heads[0].split()[:2] == ["ok", "python"]
    assert len(heads) == len(checks)
