"""``lakegate run``: the runs of a model, side by side, from their records alone."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lakegate.catalog import load_model
from lakegate.errors import BadInput, UnknownName, nearest
from lakegate.lake.client import LakeClient
from lakegate.settings import Settings
from lakegate_cli.output import JsonOption, console, print_json, print_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakegate.reports.runs_side_by_side import RowOfRuns, RunsSideBySide
    from lakegate.training.record import RunRecord

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_runs(model: str, as_json: JsonOption = False) -> None:
    """List the runs of a model, the newest first."""
    from lakegate.lifecycle.history import run_rows, unfinished_runs

    settings = Settings.load()
    load_model(settings, model)
    rows = run_rows(LakeClient(settings), model)
    if as_json:
        print_json(rows)
        return
    print_rows(rows, f"{model} has no run yet; train one with `lakegate model train {model}`")
    for name in unfinished_runs(settings, model, [row["run"] for row in rows]):
        console().print(f"not finished on this machine: {name}; it still trains, or goes on when the same is trained again")


@app.command("compare")
def compare(
    model: str,
    names: Annotated[list[str] | None, typer.Argument(metavar="RUN…", help="Ids of runs; all of them by default.")] = None,
    into: Annotated[Path | None, typer.Option("--into", help="File to write, instead of the page under reports/.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show parameters, metrics and curves of any number of runs side by side, as a table and as a page."""
    from lakegate.reports.runs_side_by_side import put_side_by_side

    settings = Settings.load()
    load_model(settings, model)
    found = put_side_by_side(model, _records(settings, model, names or []))
    if as_json:
        print_json(found.to_json())
        return
    _print(found)
    console().print(
        f"{len(found.sameness)} of their parameters and facts are the same in all; the page has them, costs and curves:"
    )
    console().print(_save(settings, model, found, into), markup=False)


def _print(found: "RunsSideBySide") -> None:
    """Print what differs and what came out, a line per run: so any number of runs is readable."""
    console().print(found.sentence, markup=False)
    if found.differences:
        print_rows(_table(found, found.differences), "")
    console().print("\nWhat came out, of the epoch whose weights are kept (↓ lower is better, ↑ higher is better):")
    print_rows(_table(found, found.metrics, not found.differences), "")
    rest = f"No number is called the best: the runs have {found.why_not_ranked}."
    console().print(rest if found.why_not_ranked else "Only val_… was measured on samples that the run did not learn from.")


def _table(found: "RunsSideBySide", rows: "Sequence[RowOfRuns]", with_time: bool = True) -> list[dict[str, str]]:
    marks = {"lower": " ↓", "higher": " ↑", "": ""}
    return [
        {"run": run, **({"trained (UTC)": found.trained[index]} if with_time else {})}
        | {row.name + marks[row.better]: row.values[index] + (" best" if index in row.best else "") for row in rows}
        for index, run in enumerate(found.runs)
    ]


def _records(settings: Settings, model: str, names: list[str]) -> "list[RunRecord]":
    from lakegate.errors import VersionNotFound
    from lakegate.lifecycle.history import unfinished_runs
    from lakegate.registry import runs

    client = LakeClient(settings)
    try:
        known = runs.list_runs(client, model)
    except VersionNotFound:
        known = []
    if not known:
        raise BadInput(f"{model} has no run yet; train one with `lakegate model train {model}`")
    for name in names:
        if name in unfinished_runs(settings, model, known):
            raise BadInput(
                f"run '{name}' of {model} is not finished, so it has no record yet; train the same again, it goes on"
            )
        if name not in known:
            raise UnknownName(f"{model} has no run '{name}'{nearest(name, known)}; `lakegate run list {model}` shows them")
    records = [runs.find_run(client, model, name) for name in dict.fromkeys(names or known)]
    return [record for record in records if record is not None]


def _save(settings: Settings, model: str, found: "RunsSideBySide", into: Path | None) -> str:
    from lakegate.pages import save_page
    from lakegate.reports.runs_page import render_runs_html

    html = render_runs_html(found)
    if into is None:
        return save_page(settings, f"{model}/runs.html", html).url
    into.parent.mkdir(parents=True, exist_ok=True)
    aside = into.with_name(f".{into.name}.part")
    aside.write_text(html, encoding="utf-8")
    aside.replace(into)
    return str(into)
