"""`make bench BENCH=data`: datasets beside DVC, git-lfs and others in one run; also `bench/data.json` in the state folder.

``LAKEGATE_BENCH_IMAGES`` is the number of images (20,000), ``LAKEGATE_BENCH_ROWS`` picks some of the parts by name.
"""

import importlib.util
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tests.environment  # noqa: F401  first: it sets variables that numpy and torch read when imported
from tests.bench_rows import Row, print_table, save_rows

N_IMAGES = 20_000
LESS_IS_BETTER = {"s", "ms", "GB", "MB"}
PARTS = ("versions", "growth", "loader", "metrics", "pages")


def rows_of(module: str, folder: Path) -> list[Row]:
    """Return the rows that another part of the bench measured; a part that this checkout lacks has none."""
    if importlib.util.find_spec(module) is None:
        print(f"no rows of {module}: there is no such module", file=sys.stderr)
        return []
    folder.mkdir(parents=True)
    measured: list[dict[str, Any]] = importlib.import_module(module).bench_rows(folder)
    names = ("name", "ours", "peer", "peer_name", "unit", "wanted", "reason")
    rows = [{key: value for key, value in row.items() if key in names} for row in measured]
    return [Row(**row, less_is_better=row["unit"] in LESS_IS_BETTER) for row in rows]


def main() -> None:
    """Measure, print the table, and keep it."""
    from lakegate.settings import Settings
    from tests.bench_growth import bench_growth
    from tests.bench_loader import bench_loader
    from tests.bench_versions import bench_versions

    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that the servers are stopped, too
    n_images = int(os.environ.get("LAKEGATE_BENCH_IMAGES") or N_IMAGES)
    chosen = (os.environ.get("LAKEGATE_BENCH_ROWS") or ",".join(PARTS)).split(",")
    state = Settings.load().home
    parts: dict[str, Callable[[Path], list[Row]]] = {
        "versions": lambda folder: bench_versions(folder, n_images),
        "growth": lambda folder: bench_growth(folder, n_images),
        "loader": bench_loader,
        "metrics": lambda folder: rows_of("tests.bench_data_metrics", folder),
        "pages": lambda folder: rows_of("tests.bench_data_pages", folder),
    }
    rows: list[Row] = []
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="lakegate-bench-") as folder:
        os.environ.setdefault("LAKEGATE_CHECKOUT", str(Path(__file__).resolve().parents[1]))
        for name in PARTS:
            if name in chosen:
                print(f"-- {name}", flush=True)
                rows += parts[name](Path(folder) / name)
    print_table(rows)
    kept = save_rows(state, rows, "data.json")
    print(f"\n{n_images} images, {os.cpu_count()} cores, {time.perf_counter() - started:.0f} s; kept in {kept}")


if __name__ == "__main__":
    main()
