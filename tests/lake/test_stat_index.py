"""A file is known by its state: unchanged ones are not read again, changed ones always are."""

import os
from pathlib import Path

import pytest

from lakegate.lake.content import digests_of
from lakegate.lake.stat_index import StatIndex, read_whole, root_of, sha256_of_files


def remembered(tmp_path: Path, path: Path) -> StatIndex:
    """Return an index, read anew from its file, that saw ``path`` once."""
    index = StatIndex(tmp_path / "cache", path.parent)
    data, state, seen_at_ns = read_whole(str(path))
    assert state is not None
    index.remember(str(path), state, seen_at_ns, digests_of(data))
    index.save()
    return StatIndex(tmp_path / "cache", path.parent)


@pytest.fixture
def settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that counts as written some time ago."""
    monkeypatch.setattr("lakegate.lake.stat_index.SETTLED_NS", 0)
    path = tmp_path / "files" / "a.jpg"
    path.parent.mkdir()
    path.write_bytes(b"first")
    return path


def test_an_unchanged_file_is_known_to_the_next_process(tmp_path: Path, settled: Path):
    assert remembered(tmp_path, settled).find(str(settled)) == digests_of(b"first")


def test_a_changed_file_is_not_known_also_with_size_and_time_put_back(tmp_path: Path, settled: Path):
    index = remembered(tmp_path, settled)
    before = settled.stat()
    settled.write_bytes(b"other")
    os.utime(settled, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert index.find(str(settled)) is None


def test_a_replaced_file_is_not_known(tmp_path: Path, settled: Path):
    index = remembered(tmp_path, settled)
    other = settled.with_name("b.jpg")
    other.write_bytes(b"other")
    other.replace(settled)
    assert index.find(str(settled)) is None


def test_a_file_that_was_just_written_is_read_again_because_its_time_may_not_show_the_next_write(tmp_path: Path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"first")
    assert remembered(tmp_path, path).find(str(path)) is None


def test_a_damaged_index_is_made_anew(tmp_path: Path, settled: Path):
    remembered(tmp_path, settled)
    (file,) = (tmp_path / "cache" / "stat-index").iterdir()
    file.write_bytes(b"this is no index" * 100)
    assert StatIndex(tmp_path / "cache", settled.parent).find(str(settled)) is None
    assert remembered(tmp_path, settled).find(str(settled)) == digests_of(b"first")


def test_half_a_line_of_a_killed_process_hides_nothing_that_is_saved_before_or_after(tmp_path: Path, settled: Path):
    remembered(tmp_path, settled)
    (file,) = (tmp_path / "cache" / "stat-index").iterdir()
    file.write_bytes(file.read_bytes() + b'\n[["/half')
    other = settled.with_name("b.jpg")
    other.write_bytes(b"other")
    index = remembered(tmp_path, other)
    assert (index.find(str(settled)), index.find(str(other))) == (digests_of(b"first"), digests_of(b"other"))


def test_an_index_that_is_saved_often_stays_small(tmp_path: Path, settled: Path):
    for number in range(120):
        settled.write_bytes(b"%d" % number)
        index = remembered(tmp_path, settled)
    assert index.find(str(settled)) == digests_of(b"119")
    (file,) = (tmp_path / "cache" / "stat-index").iterdir()
    assert file.read_bytes().count(b"\n") < 60


def test_the_digest_of_a_known_file_is_told_without_reading_it(tmp_path: Path, settled: Path, monkeypatch: pytest.MonkeyPatch):
    first = sha256_of_files(tmp_path / "cache", [settled])
    assert first == [digests_of(b"first").sha256]
    monkeypatch.setattr("lakegate.lake.stat_index.read_whole", None)
    assert sha256_of_files(tmp_path / "cache", [settled]) == first


def test_the_root_is_the_deepest_folder_of_all(tmp_path: Path):
    assert root_of([f"{tmp_path}/a/b/x.jpg", f"{tmp_path}/a/c/y.jpg"]) == tmp_path / "a"
    assert root_of([]) == Path(os.sep)
