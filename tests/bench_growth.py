"""What a version costs when the dataset is five times as large and the diff is the same: a process of its own per size."""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from tests.bench_rows import Row

MIN_BYTES, MAX_BYTES = 1_000, 2_000  # small files: what is asked is the cost per file that did not change
TIMES = 5
SLACK = 1.5  # a cost that grows with the diff only may differ by this factor from run to run
MEMORY_LIMIT_GB = 1.5


def bench_growth(folder: Path, n_images: int) -> list[Row]:
    """Compare ``n_images`` and five times as many, with the same number of changed images."""
    n_changed = max(n_images // 100, 1)
    small, large = (_child(folder / str(n), n, n_changed) for n in (n_images, n_images * TIMES))
    wanted, found = (side["record_s"] - side["scan_s"] for side in (small, large))
    name = f"record v2 of {n_images * TIMES:,} images, less the stat scan"
    limit = f"limit: {SLACK} x that of {n_images:,}"
    reason = f"{large['words']}; what lies here about unchanged files is read whole"
    return [
        Row(name, found, SLACK * wanted, limit, "s", reason=reason),
        Row(f"peak memory, record {n_images * TIMES:,} images", large["peak_gb"], MEMORY_LIMIT_GB, "limit", "GB"),
    ]


def _child(folder: Path, n_images: int, n_changed: int) -> dict[str, float]:
    words = [sys.executable, "-m", "tests.bench_growth", str(folder), str(n_images), str(n_changed)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, cwd=Path(__file__).resolve().parents[1])
    *lines, last = done.stdout.strip().splitlines()
    print("\n".join(lines), flush=True)
    found: dict[str, float] = json.loads(last)
    return found


def scan_s(folder: Path) -> float:
    """Return how long a look at the state of every file takes, in seconds."""
    started = time.perf_counter()
    for name in ("images", "annotations"):
        for entry in os.scandir(folder / name):
            Path(entry.path).stat()
    return time.perf_counter() - started


def main(folder: Path, n_images: int, n_changed: int) -> None:
    """Record two versions and print the numbers of the second one and the peak memory as JSON."""
    from lakegate.lake.client import LakeClient
    from tests.bench_files import write_first, write_second
    from tests.bench_versions import DATASET, lakefs, record

    folder.mkdir(parents=True)
    write_first(folder / "files", n_images, MIN_BYTES, MAX_BYTES)
    with lakefs(folder / "home") as settings:
        client = LakeClient(settings)
        client.ensure_repository(DATASET)
        record(client, settings, DATASET, "v1", folder / "files")
        write_second(folder / "files", n_images, n_changed, n_changed, MAX_BYTES)
        time.sleep(2)
        client = LakeClient(settings)  # as another process would: nothing in memory
        _, steps = record(client, settings, DATASET, "v2", folder / "files")
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    numbers = {"record_s": steps.total_s, "scan_s": scan_s(folder / "files"), "peak_gb": peak_gb, "words": steps.words}
    print(json.dumps(numbers))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
