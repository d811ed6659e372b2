"""``lakegate model watch``."""

from typing import Annotated

import typer

from lakegate.catalog import load_model
from lakegate.lake.client import LakeClient
from lakegate.settings import Settings
from lakegate_cli.data_commands import LocalOption
from lakegate_cli.flow_runs import run_flow
from lakegate_cli.output import JsonOption, console, print_json
from lakegate_cli.progress import shown_progress

DEPLOYMENT = "watch-production/cpu"


def watch(
    model: str,
    days: Annotated[float, typer.Option("--days", min=0.001, help="Frames of so many days before now.")] = 7,
    max_frames: Annotated[int, typer.Option("--max-frames", min=30, help="At most so many, evenly drawn.")] = 500,
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare production's frames with the training data; advisory, ends with 0 whatever it finds."""
    from lakegate.lifecycle.watch import newest_report

    settings = Settings.load()
    load_model(settings, model)
    with shown_progress(as_json) as say:
        run_flow(settings, DEPLOYMENT, {"model": model, "window_days": days, "max_frames": max_frames}, local, say)
    report = newest_report(LakeClient(settings), settings, model)
    if as_json:
        print_json({**report.facts.model_dump(mode="json"), "page": report.page.url})
        return
    console().print(f"{report.facts.outcome.upper()}: {report.facts.sentence}", markup=False)
    console().print(f"page: {report.page.url}", markup=False)
