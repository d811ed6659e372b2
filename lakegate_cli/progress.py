"""A progress bar for people, plain lines for a log file, nothing for machines."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

COUNTED = re.compile(r"^(?:\d\d:\d\d:\d\d\s+)?(?P<what>[a-z]* ?)(?P<done>\d+) of (?P<total>\d+)(?P<rest>.*)")
Say = Callable[[str], None]


@contextmanager
def shown_progress(quietly: bool) -> Iterator[Say]:
    """Yield ``say(line)``; on a terminal, lines such as "epoch 3 of 20" or "400 of 1,000 objects" move one bar."""
    console = Console(highlight=False, soft_wrap=True)
    if quietly:
        yield lambda _line: None
    elif not sys.stdout.isatty():
        yield lambda line: console.print(line, markup=False)
    else:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            bar = progress.add_task("working", total=None)

            def say(line: str) -> None:
                counted = COUNTED.match(line)
                if counted is None:
                    progress.console.print(line, markup=False)
                    return
                what = (counted["what"] + counted["rest"].split(":")[0]).strip()
                progress.update(bar, description=what, completed=int(counted["done"]), total=int(counted["total"]))

            yield say


@contextmanager
def counted_progress(what: str, quietly: bool) -> Iterator[Callable[[int, int], None]]:
    """Yield ``report(done, total)`` for work that counts by itself."""
    with shown_progress(quietly or not sys.stdout.isatty()) as say:
        yield lambda done, total: say(f"{done} of {total} {what}")
