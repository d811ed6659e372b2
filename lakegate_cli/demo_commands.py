"""``lakegate demo``."""

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from lakegate.errors import BadInput, SetupProblem
from lakegate.settings import Settings
from lakegate_cli.output import JsonOption, console, print_json, print_rows
from lakegate_cli.progress import shown_progress

if TYPE_CHECKING:
    from lakegate_cli.demo import DemoResult


def register(app: typer.Typer) -> None:
    """Add the command ``demo``."""
    app.command("demo")(demo)


def demo(
    approve: Annotated[
        str, typer.Option("--approve", help="demo: the demo plays the approver; manual: it waits for you.")
    ] = "demo",
    as_json: JsonOption = False,
) -> None:
    """Run the main job on real images: two versions, two releases, a roll-back. The stack stays up."""
    from lakegate_cli.demo import Demo

    if approve not in ("demo", "manual"):
        raise BadInput(f"--approve {approve}: expected demo or manual")
    started = time.monotonic()
    _bring_up(as_json)
    settings = Settings.load()
    with shown_progress(as_json) as say:
        say(f"set-up took {time.monotonic() - started:.0f} s (not counted below)")
        result = Demo(settings, "manual" if approve == "manual" else "demo", say).run()
    path = result.save(settings)
    if as_json:
        print_json(result.__dict__)
    else:
        _print_summary(result, str(path))
    if result.verdict != "pass" or result.production == "none":
        raise SystemExit(1)


def _bring_up(quietly: bool) -> None:
    """Bring the stack up in a process of its own: Prefect reads its server's address once, when it is imported."""
    done = subprocess.run(
        [sys.executable, "-m", "lakegate_cli", "up"], stdout=subprocess.DEVNULL if quietly else None, check=False
    )
    if done.returncode:
        raise SetupProblem("the stack did not come up, see above; `lakegate doctor` says what is missing")


def _print_summary(result: "DemoResult", path: str) -> None:
    out = console()
    out.print(f"\nimages: {result.images}\n", markup=False)
    print_rows([{"stage": row["name"], "seconds": row["seconds"], "outcome": row["outcome"]} for row in result.stages], "")
    training = sum(row["seconds"] for row in result.stages if "train" in row["name"])
    out.print(f"\ntotal {result.total_seconds:.0f} s, of which training {training:.0f} s")
    numbers = ", ".join(f"{name} {value:.3f}" for name, value in result.candidate.items() if value is not None)
    out.print(f"verdict: {result.verdict} – {result.sentence}", markup=False)
    out.print(f"candidate on the test split: {numbers}; in production: {result.production}")
    inferred = ", ".join(f"{name} {count}" for name, count in result.images_inferred.items())
    out.print(f"images that went through a network for the matrix: {inferred} (the rest came from the prediction cache)\n")
    print_rows([{"look at": name, "where": where} for name, where in result.look_at.items()], "")
    out.print(f"\nthe same as JSON: {path}; stop everything with `make down`")
