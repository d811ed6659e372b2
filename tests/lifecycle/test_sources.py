"""Sources: archives, single files on S3, and paths of lakeFS are opened like a folder, and leave nothing behind."""

import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from lakegate.errors import BadInput, UnsafeArchive, VersionNotFound
from lakegate.lake.local import open_version
from lakegate.lake.versions import pin
from lakegate.lifecycle.process_folder import UNPACKED
from lakegate.lifecycle.sources import check_address, open_source, split_lakefs
from lakegate.settings import Settings
from lakegate.shared_store import open_store
from tests.lifecycle.conftest import Workshop
from tests.object_store import with_bucket
from tests.squares import write_squares


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def left_in(settings: Settings) -> list[str]:
    folder = settings.home / UNPACKED
    return [path.name for path in folder.iterdir() if not path.name.startswith(".")] if folder.exists() else []


def test_an_archive_is_opened_as_the_folder_that_was_packed_and_removed_when_closed(tmp_path):
    source, settings = write_squares(tmp_path / "export", range(3)), Settings(home=tmp_path / "home")
    plain = shutil.make_archive(str(tmp_path / "plain"), "zip", source)
    wrapped = shutil.make_archive(str(tmp_path / "wrapped"), "gztar", tmp_path, "export")
    for archive in (plain, wrapped):
        opened = open_source(settings, archive)
        assert names_in(opened.path) == names_in(source)
        assert opened.notes == (f"unpacked 6 files of {Path(archive).name}",)
        opened.close()
    assert left_in(settings) == []


def test_an_archive_inside_an_archive_is_named_and_not_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
        archive.writestr("a.jpg", b"x")
        archive.writestr("inner/b.tar.gz", b"y")
    opened = open_source(Settings(home=tmp_path / "home"), str(tmp_path / "outer.zip"))
    assert opened.notes[-1] == "1 archives inside were not unpacked: inner/b.tar.gz"
    opened.close()


def test_an_evil_archive_leaves_nothing_behind(tmp_path):
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        for name in ("good.jpg", "../evil.jpg"):
            member = tarfile.TarInfo(name)
            member.size = 1
            archive.addfile(member, io.BytesIO(b"x"))
    settings = Settings(home=tmp_path / "home")
    with pytest.raises(UnsafeArchive, match=r"'\.\./evil\.jpg' was refused"):
        open_source(settings, str(tmp_path / "evil.tar"))
    assert left_in(settings) == []
    assert not list(tmp_path.rglob("*.jpg"))


def test_addresses_are_checked_before_anything_is_read(tmp_path):
    assert split_lakefs("lakefs://frames/main") == ("frames", "main", "")
    for wrong in ("lakefs://frames", "lakefs:///main/x", "s3:///x", "https://host/export.zip", str(tmp_path / "nothing"), ""):
        with pytest.raises(BadInput):
            check_address(wrong, "source")


@pytest.mark.services
def test_a_packed_export_on_s3_becomes_the_same_version_as_its_folder(workshop: Workshop) -> None:
    source = write_squares(workshop.folder / "one", range(6))
    archive = Path(shutil.make_archive(str(workshop.folder / "packed"), "zip", source))
    workshop.publish(source, "v1")
    workshop.settings = with_bucket(workshop.settings)
    store = open_store(workshop.settings)
    assert store is not None
    store.put("exports/packed.zip", archive)

    publication = workshop.publish(Path(), "v1", address=f"{workshop.settings.results_store}/exports/packed.zip")

    assert any("0 objects sent" in line for line in workshop.lines)
    assert "unpacked 12 files of packed.zip" in workshop.lines
    assert publication.request.source.startswith("s3://")
    assert left_in(workshop.settings) == []


@pytest.mark.services
def test_an_export_that_lies_on_a_branch_of_lakefs_is_published_with_a_filter_and_a_licence(workshop: Workshop) -> None:
    source = write_squares(workshop.folder / "one", range(6), unfinished=[2])
    workshop.client.ensure_repository(workshop.dataset)
    workshop.client.create_branch(workshop.dataset, "incoming", "main")
    files = {f"exports/may/{path.relative_to(source).as_posix()}": path for path in source.rglob("*") if path.is_file()}
    workshop.client.upload_many(workshop.dataset, "incoming", files)
    workshop.client.commit(workshop.dataset, "incoming", "An export", {})
    address = f"lakefs://{workshop.dataset}/incoming/exports/may"

    workshop.publish(Path(), "v1", address=address, where='"dark" in labels', licence="CC0-1.0")

    local = open_version(workshop.client, workshop.settings, pin(workshop.client, f"{workshop.dataset}@v1"))
    assert [sample.id for sample in local.samples] == [f"square-{number}" for number in (0, 1, 3, 4, 5)]
    assert {sample.source["licence"] for sample in local.samples} == {"CC0-1.0"}
    assert "where '\"dark\" in labels' keeps 5 of 6 samples" in workshop.lines
    assert left_in(workshop.settings) == []
    with pytest.raises(BadInput, match="holds no file"):
        open_source(workshop.settings, f"lakefs://{workshop.dataset}/incoming/exports/june")
    with pytest.raises(VersionNotFound):
        open_source(workshop.settings, f"lakefs://{workshop.dataset}/nowhere/exports")
