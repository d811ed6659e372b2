"""The console script ``lakegate``."""

import io
import sys

import typer

from lakegate_cli import (
    approver_commands,
    data_commands,
    demo_commands,
    exchange_commands,
    export_commands,
    gate_commands,
    merge_commands,
    model_commands,
    run_commands,
    show_commands,
    stack_commands,
    wandb_commands,
    watch_commands,
)
from lakegate_cli.output import guarded

app = typer.Typer(
    name="lakegate",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="From a new annotation export to a released vision model, with evidence at every step.",
)
stack_commands.register(app)
demo_commands.register(app)
app.add_typer(data_commands.app, name="data", help="Dataset versions: publish, list, compare, fetch.")
app.add_typer(model_commands.app, name="model", help="Models: train, compare, release, approve, roll back.")
app.add_typer(run_commands.app, name="run", help="The runs of a model: list them, compare any number side by side.")
app.add_typer(wandb_commands.app, name="wandb", help="Weights & Biases: publish the reports that were kept offline.")
app.add_typer(approver_commands.app, name="approver", help="Who may prove by one-time codes who they are: add, remove, list.")
data_commands.app.command("show")(show_commands.show)
data_commands.app.command("export")(exchange_commands.export)
data_commands.app.command("frames")(exchange_commands.frames)
data_commands.app.command("merge")(merge_commands.merge)
data_commands.app.command("blame")(merge_commands.blame)
model_commands.app.command("export")(export_commands.export)
model_commands.app.command("watch")(watch_commands.watch)
model_commands.app.command("suggest-gates")(gate_commands.suggest_gates)
model_commands.app.command("measure-noise")(gate_commands.measure_noise)
app.command("predict")(model_commands.predict)


def run() -> None:
    """Run the command line; what Lakegate refuses is printed as a sentence."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # a log file shows each line when it is printed
    guarded(app)
