"""A spool is a list that lies on disk."""

import tracemalloc

import pytest

from lakegate.formats.spool import IN_MEMORY_BYTES, Spool


def test_items_come_back_in_order_by_number_and_by_slice():
    spool = Spool(str, ["a", "b", "c"])
    spool.append("d")
    assert list(spool) == ["a", "b", "c", "d"] == spool.keys
    assert (spool[0], spool[-1], spool[1:3], len(spool)) == ("a", "d", ["b", "c"], 4)
    assert spool == ["a", "b", "c", "d"]
    assert spool != ["a"]
    with pytest.raises(IndexError):
        spool[4]


def test_two_readings_at_once_do_not_disturb_each_other():
    spool = Spool(str, range(5))
    assert [(one, other) for one in spool for other in spool] == [(one, other) for one in range(5) for other in range(5)]


def test_large_contents_lie_on_disk():
    tracemalloc.start()
    spool = Spool(lambda _: "", ("x" * 100_000 for _ in range(200)))
    assert all(item == "x" * 100_000 for item in spool)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * IN_MEMORY_BYTES
