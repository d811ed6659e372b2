"""``lakegate model suggest-gates`` and ``measure-noise``: where the limits of a gate come from."""

from typing import Annotated

import typer

from lakegate.lake.client import LakeClient
from lakegate.settings import Settings
from lakegate_cli.data_commands import LocalOption
from lakegate_cli.flow_runs import run_flow
from lakegate_cli.output import JsonOption, console, print_json
from lakegate_cli.progress import shown_progress

RunOption = Annotated[str, typer.Option("--run", help="Id of a run; default: the one in production.")]


def suggest_gates(
    model: str,
    run: RunOption = "production",
    noise: Annotated[bool, typer.Option("--noise", help="Also use what other seeds alone change (measure-noise).")] = False,
) -> None:
    """Print first rules of the gate as TOML, each with its reason, from what a run does now."""
    from lakegate.lifecycle.noise_runs import suggest_gate

    settings = Settings.load()
    text = suggest_gate(LakeClient(settings), settings, model, run, noise)
    console().print(text, markup=False, highlight=False, soft_wrap=True)


def measure_noise(
    model: str,
    run: RunOption = "production",
    repeats: Annotated[int, typer.Option("--repeats", min=1, max=20, help="How many other seeds are trained.")] = 3,
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a run's recipe again with other seeds: what changes then is the floor of every comparison."""
    from lakegate.lifecycle.kept_noise import find_noise
    from lakegate.lifecycle.noise_runs import base_run

    settings = Settings.load()
    parameters = {"model": model, "run": run, "repeats": repeats, "requested_by": settings.user}
    with shown_progress(as_json) as say:
        finished = run_flow(settings, "measure-noise/cpu", parameters, local, say)
    client = LakeClient(settings)
    record = base_run(client, model, run)
    noise = find_noise(client, record)
    words = "" if noise is None else noise.words("all")
    if as_json:
        print_json({"model": model, "run": record.run_id, "noise": words, "flow_run": finished.url})
    else:
        console().print(f"{model} run {record.run_id}: {words}", markup=False)
