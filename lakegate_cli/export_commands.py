"""``lakegate model export``: the file that is judged and released."""

from typing import Annotated

import typer

from lakegate.catalog import load_model
from lakegate.lake.client import LakeClient
from lakegate.settings import Settings
from lakegate_cli.data_commands import LocalOption
from lakegate_cli.flow_runs import run_flow
from lakegate_cli.output import JsonOption, console, print_json
from lakegate_cli.progress import shown_progress


def export(
    model: str,
    run: Annotated[str, typer.Argument(help="Id of the run, as `lakegate model log` lists it.")],
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Export a run to ONNX and check that it computes the same; this file is what is judged and released."""
    from lakegate.lifecycle.export_run import find_export

    settings = Settings.load()
    load_model(settings, model)
    with shown_progress(as_json) as say:
        finished = run_flow(settings, "export-model/cpu", {"model": model, "run": run}, local, say)
    exported = find_export(LakeClient(settings), model, run)
    if as_json:
        facts = {"model": model, "run": run, "model_sha256": exported.reference.model_sha256, "parity": exported.sentence()}
        print_json({**facts, "flow_run": finished.url})
    else:
        console().print(f"{exported.sentence()}\nnext: lakegate model compare {model} {run}", markup=False)
