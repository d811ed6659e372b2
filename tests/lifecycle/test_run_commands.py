"""``lakegate run list|compare`` on runs that were really trained and committed to a real lakeFS."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lakegate.errors import RegistryError
from lakegate.lifecycle import comparison, export_run, training_run
from lakegate.settings import Settings
from lakegate_cli.main import app
from tests.lifecycle.conftest import Workshop
from tests.squares import declare_model, write_squares

pytestmark = pytest.mark.services


@pytest.fixture
def trained(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    """A model with two runs that differ in the seed."""
    monkeypatch.setenv("LAKEGATE_CHECKOUT", str(workshop.checkout))
    workshop.publish(write_squares(workshop.folder / "one", range(8)), "v1")
    model = f"finder-{workshop.dataset[-8:]}"
    declare_model(workshop.checkout, model, [workshop.dataset], epochs=2)
    names = []
    for seed in (0, 1):
        plan = training_run.plan_run(workshop.client, workshop.settings, model, [], seed=seed)
        training_run.fit_run(workshop.client, workshop.settings, plan, "", workshop.lines.append)
        names.append(training_run.commit(workshop.client, workshop.settings, plan).run_id)
    return model, names


def typed(*words: str, group: str = "run") -> str:
    done = CliRunner().invoke(app, [group, *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_two_runs_are_listed_and_stand_side_by_side(trained: tuple[str, list[str]], tmp_path: Path) -> None:
    model, names = trained
    assert {row["run"] for row in json.loads(typed("list", model, "--json"))} == set(names)

    content = json.loads(typed("compare", model, "--json"))
    assert sorted(content["runs"]) == sorted(names)
    assert content["parameters"]["training.seed"]["values"] == {names[0]: "0", names[1]: "1"}
    assert all(len(values) == 2 for values in content["curves"]["loss"].values())

    printed = typed("compare", model, *names, "--into", str(tmp_path / "runs.html"))
    assert all(printed.count(name) == 2 for name in names) and "The runs differ in: training.seed" in printed
    assert "facts are the same in all" in printed
    assert (tmp_path / "runs.html").read_text().count("<polyline") >= 2

    with pytest.raises(Exception, match=f"{model} has no run 'absent'"):
        typed("compare", model, "absent")

    (Settings.load().home / "runs" / f"{model}-0123456789").mkdir(parents=True)
    assert "not finished on this machine: 0123456789" in typed("list", model)
    with pytest.raises(Exception, match=f"run '0123456789' of {model} is not finished"):
        typed("compare", model, "0123456789")


def test_a_run_is_compared_only_after_its_export_and_the_refusal_names_the_command(
    trained: tuple[str, list[str]], workshop: Workshop
) -> None:
    model, (run, _) = trained
    with pytest.raises(RegistryError, match=f"export it first: lakegate model export {model} {run}"):
        comparison.plan_comparison(workshop.client, workshop.settings, model, run, comparison.NONE, [])
    with pytest.raises(RegistryError, match="export it first"):
        export_run.find_export(workshop.client, model, run)
    exported = export_run.export(workshop.client, workshop.settings, model, run, workshop.lines.append)
    assert export_run.find_export(workshop.client, model, run) == exported
    assert "ONNX against the trained network" in exported.sentence()


def test_help_shows_the_whole_sentence_of_each_command() -> None:
    printed = " ".join(typed("--help", group="model").split())
    assert "Print first rules of the gate as TOML" in printed
