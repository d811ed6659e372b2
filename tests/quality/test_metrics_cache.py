"""Known metrics in one SQLite file."""

import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from lakegate.errors import LakegateError
from lakegate.quality.image_metrics import ImageMetrics
from lakegate.quality.images import measure_many
from lakegate.quality.metrics_cache import MetricsCache
from tests.quality.building import write_jpeg

WRITER = """
import sys
from pathlib import Path
from lakegate.quality.metrics_cache import MetricsCache
from tests.quality.test_metrics_cache import some_metrics
cache, first, rounds = MetricsCache(Path(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
for number in range(rounds):
    cache.store(some_metrics(first + number * 10 + one) for one in range(10))
"""


def some_metrics(number):
    return ImageMetrics(f"{number:064x}", "JPEG", 640, 480, 4 / 3, 100.0 + number, 40.0, 7.0, 90.0, 1, f"{number:016x}")


def start_writer(folder, first, rounds):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(first), str(rounds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def test_what_was_stored_is_loaded_and_nothing_else(tmp_path):
    cache = MetricsCache(tmp_path / "metrics")
    stored = [some_metrics(number) for number in range(1200)]
    assert cache.load(["f" * 64]) == {}
    cache.store(stored)
    assert cache.load([item.sha256 for item in stored] + ["f" * 64]) == {item.sha256: item for item in stored}


def test_a_file_that_is_no_database_is_thrown_away_and_measured_anew(tmp_path):
    path, cache = write_jpeg(tmp_path / "cat.jpg"), MetricsCache(tmp_path / "metrics")
    first = measure_many([("cat", path)], 1, cache)
    cache.path.write_bytes(b"this is no database" * 500)
    again = measure_many([("cat", path)], 1, cache)
    assert (again.n_measured, again.metrics) == (1, first.metrics)
    assert measure_many([("cat", path)], 1, cache).n_measured == 0


def test_a_damaged_row_counts_as_absent(tmp_path):
    cache = MetricsCache(tmp_path / "metrics")
    cache.store([some_metrics(1), some_metrics(2)])
    with sqlite3.connect(cache.path) as connection:
        connection.execute("UPDATE metrics SET content = '{' WHERE sha256 = ?", [some_metrics(1).sha256])
    assert list(cache.load([some_metrics(1).sha256, some_metrics(2).sha256])) == [some_metrics(2).sha256]


def test_a_path_that_is_a_folder_is_an_error_that_says_what_was_expected(tmp_path):
    cache = MetricsCache(tmp_path / "metrics")
    cache.path.mkdir(parents=True)
    with pytest.raises(LakegateError, match="expected a writable SQLite file"):
        cache.store([some_metrics(1)])


def test_two_processes_write_at_once_and_one_that_is_killed_leaves_whole_rows_behind(tmp_path):
    folder = tmp_path / "metrics"
    patient, killed = start_writer(folder, 0, 30), start_writer(folder, 1_000_000, 100_000)
    cache = MetricsCache(folder)
    until = time.monotonic() + 60
    while not cache.load([some_metrics(1_000_000).sha256]):
        assert time.monotonic() < until
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait(timeout=30)
    assert patient.wait(timeout=60) == 0
    wanted = [some_metrics(number) for number in range(300)]
    assert cache.load(item.sha256 for item in wanted) == {item.sha256: item for item in wanted}
    ten = [some_metrics(1_000_000 + number) for number in range(10)]
    assert len(cache.load(item.sha256 for item in ten)) == 10
    cache.store([some_metrics(77)])
