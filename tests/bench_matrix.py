"""`make bench BENCH=matrix`: the matrix beside its limits and its peers; also `bench/matrix.json` in the state folder.

``LAKEGATE_BENCH_ROWS`` picks some of the parts by name. A part is a module ``tests.bench_matrix_<part>`` with a function
``bench_rows(folder) -> list[Row]``; it measures in ``folder``, which is empty and of its own.
"""

import importlib
import importlib.util
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import tests.environment  # noqa: F401  first: it sets variables that numpy and torch read when imported
from tests.bench_rows import Row, print_table, save_rows

PARTS = ("statistics", "inference", "page")


def rows_of(part: str, folder: Path) -> list[Row]:
    """Return the rows of a part; one that this checkout lacks has none, and that is said."""
    module = f"tests.bench_matrix_{part}"
    if importlib.util.find_spec(module) is None:
        print(f"no rows of {part}: there is no module {module}", file=sys.stderr)
        return []
    folder.mkdir(parents=True)
    rows: list[Row] = importlib.import_module(module).bench_rows(folder)
    return rows


def main() -> None:
    """Measure, print the table, and keep it."""
    from lakegate.settings import Settings

    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that child processes are stopped, too
    chosen = (os.environ.get("LAKEGATE_BENCH_ROWS") or ",".join(PARTS)).split(",")
    state = Settings.load().home
    rows: list[Row] = []
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="lakegate-bench-") as folder:
        os.environ.setdefault("LAKEGATE_CHECKOUT", str(Path(__file__).resolve().parents[1]))
        for part in PARTS:
            if part in chosen:
                print(f"-- {part}", flush=True)
                rows += rows_of(part, Path(folder) / part)
    print_table(rows)
    kept = save_rows(state, rows, "matrix.json")
    print(f"\n{os.cpu_count()} cores, {time.perf_counter() - started:.0f} s; kept in {kept}")


if __name__ == "__main__":
    main()
