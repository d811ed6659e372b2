"""The cache by SHA-256: changed bytes are noticed, the size is bounded, processes share it, and a kill harms nothing."""

import hashlib
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lakegate.errors import ChecksumMismatch
from lakegate.lake.cache import GIB, ObjectCache

KIB = 1024


def put(cache: ObjectCache, *contents: bytes) -> list[str]:
    digests = [hashlib.sha256(data).hexdigest() for data in contents]
    for data, digest in zip(contents, digests, strict=True):
        cache.store(data, digest, "a test")
    cache.used(digests, digests)
    return digests


def test_a_flipped_bit_is_noticed_at_the_next_use_also_with_size_and_time_put_back(tmp_path: Path):
    cache = ObjectCache(tmp_path, 1)
    whole, flipped = put(cache, b"whole", b"flipped")
    path = cache.path(flipped)
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(b"flippee")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert ObjectCache(tmp_path, 1).find_whole([whole, flipped, "0" * 64]) == {whole}
    assert not path.exists(), "it is fetched again"


def test_bytes_of_another_digest_are_not_kept(tmp_path: Path):
    cache = ObjectCache(tmp_path, 1)
    with pytest.raises(ChecksumMismatch, match="expected SHA-256"):
        cache.store(b"x", "0" * 64, "a test")
    assert not cache.path("0" * 64).exists()


def test_the_least_recently_used_go_first_and_the_limit_holds(tmp_path: Path):
    cache = ObjectCache(tmp_path, 10 * KIB / GIB)
    old, used, third = put(cache, *(bytes([number]) * 3 * KIB for number in range(3)))
    cache.used([used], [])
    (new,) = put(cache, b"n" * 3 * KIB)
    assert cache.find_whole([old, used, third, new]) == {used, third, new}
    (newer,) = put(cache, b"N" * 3 * KIB)
    assert cache.find_whole([used, third, new, newer]) == {used, new, newer}, "third was never used again"


def test_what_a_living_process_has_under_lease_stays(tmp_path: Path):
    program = (
        "import sys, time; from pathlib import Path; from lakegate.lake.cache import ObjectCache\n"
        "ObjectCache(Path(sys.argv[1]), 1).lease('cells-1', [sys.argv[2]]); print('held', flush=True); time.sleep(60)"
    )
    cache = ObjectCache(tmp_path, 4 * KIB / GIB)
    (leased,) = put(cache, b"l" * 3 * KIB)
    reader = subprocess.Popen([sys.executable, "-c", program, str(tmp_path), leased], stdout=subprocess.PIPE, text=True)
    try:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "held\n"
        put(cache, b"n" * 3 * KIB)
        assert cache.path(leased).exists()
    finally:
        reader.kill()
        reader.wait()
    put(cache, b"m" * 3 * KIB)
    assert not cache.path(leased).exists(), "the lease ended with its process"


def store_many(folder: Path, seed: int) -> None:
    cache = ObjectCache(folder, 20 * KIB / GIB)
    for number in range(30):
        put(cache, bytes([seed]) * KIB + bytes([number % 10]), b"same for all" + bytes([number % 10]))


def test_processes_that_fill_and_sweep_one_cache_at_once_leave_it_whole(tmp_path: Path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=store_many, args=(tmp_path, seed)) for seed in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    files = [path for path in (tmp_path / "objects").rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if hashlib.sha256(path.read_bytes()).hexdigest() != path.name] == []


def test_half_a_file_of_a_killed_process_is_never_used_and_is_removed_later(tmp_path: Path):
    cache = ObjectCache(tmp_path, 4 * KIB / GIB)
    (first,) = put(cache, b"a" * 3 * KIB)
    half = cache.path(first).with_name(".part-of-a-killed-one")
    half.write_bytes(b"half")
    os.utime(half, (time.time() - 10**6,) * 2)
    put(cache, b"b" * 3 * KIB)
    assert not half.exists()


def test_a_damaged_index_costs_a_check_of_the_files_and_nothing_else(tmp_path: Path):
    cache = ObjectCache(tmp_path, 1)
    whole, damaged = put(cache, b"whole", b"damaged")
    cache.path(damaged).chmod(0o644)
    cache.path(damaged).write_bytes(b"dAmaged")
    (tmp_path / "objects.sqlite").write_bytes(b"this is no database" * 100)
    assert cache.find_whole([whole, damaged]) == {whole}
