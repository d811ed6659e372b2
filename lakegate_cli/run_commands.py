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
    from lakegate.reports.runs_side_by_side import RunsSideBySide
    from lakegate.training.record import RunRecord

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_runs(model: str, as_json: JsonOption = False) -> None:
    """List the runs of a model, the newest first."""
    from lakegate.lifecycle.history import run_rows

    settings = Settings.load()
    load_model(settings, model)
    rows = run_rows(LakeClient(settings), model)
    if as_json:
        print_json(rows)
        return
    print_rows(rows, f"{model} has no run yet; train one with `lakegate model train {model}`")


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
    found = put_side_by_side(model, _records(LakeClient(settings), model, names or []))
    if as_json:
        print_json(found.to_json())
        return
    rows = [*found.facts, *(row for row in found.parameters if row.differs), *found.metrics]
    shown = [{"": row.name, **dict(zip(found.runs, row.values, strict=True))} for row in rows]
    print_rows(shown, "no run")
    n_same = sum(not row.differs for row in found.parameters)
    console().print(f"{n_same} of {len(found.parameters)} parameters are the same in all; the page shows them and the curves:")
    console().print(_save(settings, model, found, into), markup=False)


def _records(client: LakeClient, model: str, names: list[str]) -> "list[RunRecord]":
    from lakegate.errors import VersionNotFound
    from lakegate.registry import runs

    try:
        known = runs.list_runs(client, model)
    except VersionNotFound:
        known = []
    if not known:
        raise BadInput(f"{model} has no run yet; train one with `lakegate model train {model}`")
    for name in names:
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
