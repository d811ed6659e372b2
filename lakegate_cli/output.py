"""Two ways to print: sentences and tables for people, one JSON value for machines."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lakegate.errors import BadInput, LakegateError

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON value for machines instead of text.")]
EXIT_REFUSED = 1
PIPED_WIDTH = 180
EXIT_BAD_INPUT = 2


def console() -> Console:
    """Return a console on standard output that leaves the wrapping of sentences to the terminal."""
    return Console(highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print one JSON value."""
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n")


def print_rows(rows: Sequence[Mapping[str, object]], empty: str) -> None:
    """Print rows that share their keys as a table; ``empty`` is the sentence for no rows."""
    if not rows:
        console().print(empty)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if value is None else str(value)) for value in row.values()))
    width = None if sys.stdout.isatty() else PIPED_WIDTH  # a log file has no edge to wrap at
    Console(highlight=False, width=width).print(table)


def guarded(action: Callable[[], None]) -> None:
    """Run a command; print what Lakegate refuses as a sentence, without a traceback, and exit with 1 or 2."""
    try:
        action()
    except LakegateError as error:
        if "--json" in sys.argv:
            print_json({"error": type(error).__name__, "message": str(error)})
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"[red]error:[/red] {type(error).__name__}: ", end="")
        sys.stderr.write(f"{error}\n")
        raise SystemExit(EXIT_BAD_INPUT if isinstance(error, BadInput) else EXIT_REFUSED) from error
