"""``lakegate wandb``: publish the reports of comparisons that were kept while W&B could not be reached."""

import os
from pathlib import Path
from typing import Any

import typer

from lakegate.errors import BadInput, WandbUnavailable
from lakegate.settings import Settings
from lakegate_cli.output import EXIT_REFUSED, JsonOption, console, print_json, print_rows

app = typer.Typer(no_args_is_help=True)


@app.callback()
def wandb() -> None:
    """Keep ``publish`` a word of its own, though it is the only command."""


@app.command("publish")
def publish(as_json: JsonOption = False) -> None:
    """Publish every kept report that W&B does not have yet; exit with 1 where one could not be published.

    How a real W&B shows the reports is not verified: they were tried against a stand-in for its server.
    """
    from lakegate.reports.wandb_publishing import WandbServer
    from lakegate.reports.wandb_report import kept_paths

    settings = Settings.load()
    paths = kept_paths(settings)
    server = WandbServer.of(os.environ) if paths else None
    rows = [] if server is None else [_published(settings, path, server) for path in paths]
    if as_json:
        print_json(rows)
    else:
        shown = [{name: row[name] for name in ("model", "run", "verdict", "state", "where")} for row in rows]
        print_rows(shown, "no report is kept; a comparison keeps one")
        unsent = dict.fromkeys(folder for row in rows for folder in row["unsent_runs"])
        if unsent:
            console().print("tables and curves of these reports are in offline runs; send them, in this order, with:")
        for folder in unsent:
            console().print(f"wandb sync {folder}", markup=False)
    if any(row["state"] == "not published" for row in rows):
        raise typer.Exit(EXIT_REFUSED)


def _published(settings: Settings, path: Path, server: Any) -> dict[str, Any]:
    from lakegate.reports.wandb_publishing import publish_report
    from lakegate.reports.wandb_report import read_report
    from lakegate.training.tracking import is_unsent, unsent_trainings

    row: dict[str, Any] = {"key": path.name.split(".")[0], "model": "", "run": "", "verdict": "", "unsent_runs": []}
    try:
        report = read_report(path)
        row |= {"model": report.model, "run": report.candidate_run, "verdict": report.verdict}
        published, is_new = publish_report(settings, report, server)
    except (BadInput, WandbUnavailable) as error:
        return {**row, "state": "not published", "where": str(error)}
    folders = [*unsent_trainings(settings, report.trained), *([Path(report.wandb_folder)] if report.wandb_folder else [])]
    state = "published" if is_new else "was published before"
    unsent = [str(folder) for folder in folders if is_unsent(folder)]
    return {**row, "unsent_runs": unsent, "state": state, "where": published.url}
