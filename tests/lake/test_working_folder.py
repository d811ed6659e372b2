"""A version as files: a folder of one's own that is moved by the diff, and a read-only snapshot of hard links."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lakegate.errors import BadInput
from lakegate.lake.client import LakeClient
from lakegate.lake.local import cache_path, open_version
from lakegate.lake.local_version import DatasetVersion
from lakegate.lake.working_folder import RECORD, get_version, snapshot_version
from lakegate.settings import Settings
from tests.lake.proxy import Proxy
from tests.lake.story import a_sample, publish_version

pytestmark = pytest.mark.services
Colour = Callable[[str, tuple[int, int, int]], Path]


@pytest.fixture
def versions(client: LakeClient, settings: Settings, dataset: str, colour: Colour) -> tuple[DatasetVersion, DatasetVersion]:
    """v1 has the samples a, b and c; in v2, a has another image, b is gone and d is new."""
    first = [a_sample(name, colour(name, (number, 0, 0))) for number, name in enumerate("abc")]
    one = publish_version(client, settings, dataset, "v1", first)
    second = [a_sample("a", colour("a", (9, 9, 9))), first[2], a_sample("d", colour("d", (8, 8, 8)))]
    return one, publish_version(client, settings, dataset, "v2", second)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of a version by path."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != RECORD)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_folder_that_holds_a_version_gets_the_diff_only(
    client: LakeClient, fresh: Settings, proxy: Proxy, versions: tuple[DatasetVersion, DatasetVersion], tmp_path: Path
):
    proxied = LakeClient(fresh.model_copy(update={"lakefs_endpoint": proxy.endpoint}))
    first = get_version(proxied, fresh, versions[0], tmp_path / "copy")
    assert (first.files, first.written, first.removed) == (7, 7, 0)
    proxy.reads.clear()
    (tmp_path / "copy" / "notes.txt").write_text("mine")
    untouched = (tmp_path / "copy" / "images" / "c.png").stat()
    second = get_version(proxied, fresh, versions[1], tmp_path / "copy")
    assert (second.files, second.written, second.removed) == (7, 3, 2)
    assert {path for path in proxy.reads if not path.startswith("attestations/")} == {
        "images/a.png", "images/d.png", "annotations/d.json",
    }  # fmt: skip
    assert (tmp_path / "copy" / "images" / "c.png").stat() == untouched
    get_version(client, fresh, versions[1], tmp_path / "new")
    assert contents(tmp_path / "copy") == {**contents(tmp_path / "new"), "notes.txt": b"mine"}
    assert get_version(client, fresh, versions[1], tmp_path / "copy").written == 0


def test_edits_are_named_and_nothing_is_overwritten(
    client: LakeClient, fresh: Settings, versions: tuple[DatasetVersion, DatasetVersion], tmp_path: Path
):
    folder = tmp_path / "copy"
    get_version(client, fresh, versions[0], folder)
    (folder / "images" / "c.png").write_bytes(b"edited")
    (folder / "annotations" / "a.json").unlink()
    (folder / "images" / "d.png").write_bytes(b"of my own")
    before = contents(folder)
    with pytest.raises(BadInput, match=r"3 files of .* were edited .*: annotations/a\.json, images/c\.png, images/d\.png;"):
        get_version(client, fresh, versions[1], folder)
    assert contents(folder) == before
    opened = open_version(client, fresh, versions[0])
    assert b"edited" not in [image.path.read_bytes() for image in opened.images.values()], "the folder's files are copies"


def test_a_folder_of_something_else_is_refused(
    client: LakeClient, fresh: Settings, versions: tuple[DatasetVersion, DatasetVersion], tmp_path: Path
):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(BadInput, match="is not empty, and no version lies in it"):
        get_version(client, fresh, versions[0], tmp_path)


def test_a_get_that_was_killed_is_ended_by_the_next_one(
    client: LakeClient,
    fresh: Settings,
    versions: tuple[DatasetVersion, DatasetVersion],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    folder = tmp_path / "copy"
    get_version(client, fresh, versions[0], folder)
    real, calls = Path.replace, []

    def dies(self: Path, target: Path) -> Path:
        if Path(target).parent.name in ("images", "annotations"):
            calls.append(target)
            if len(calls) == 2:
                raise KeyboardInterrupt
        return real(self, target)

    client.manifest(versions[1].dataset, versions[1].commit)
    open_version(client, fresh, versions[1])
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dies)
        with pytest.raises(KeyboardInterrupt):
            get_version(client, fresh, versions[1], folder)
    assert get_version(client, fresh, versions[1], folder).files == 7
    get_version(client, fresh, versions[1], tmp_path / "new")
    assert contents(folder) == contents(tmp_path / "new")


def test_a_snapshot_is_read_only_links_into_the_cache_and_made_once(
    client: LakeClient, fresh: Settings, versions: tuple[DatasetVersion, DatasetVersion]
):
    folder, sentence = snapshot_version(client, fresh, versions[0])
    assert not sentence
    opened = open_version(client, fresh, versions[0])
    for name, image in opened.images.items():
        linked = folder / "images" / f"{name}.png"
        assert linked.samefile(image.path)
        assert linked.stat().st_mode & 0o777 == 0o444
    assert len(contents(folder)) == 7
    again, _ = snapshot_version(client, fresh, versions[0])
    assert again == folder
    other, _ = snapshot_version(client, fresh, versions[1])
    assert other != folder
    assert (other / "images" / "c.png").samefile(folder / "images" / "c.png"), "what both versions have lies there once"


def test_a_damaged_file_is_replaced_in_the_snapshot_too(
    client: LakeClient, fresh: Settings, versions: tuple[DatasetVersion, DatasetVersion]
):
    folder, _ = snapshot_version(client, fresh, versions[0])
    image = folder / "images" / "a.png"
    whole = image.read_bytes()
    image.chmod(0o644)
    image.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    again, _ = snapshot_version(client, fresh, versions[0])
    assert (again / "images" / "a.png").read_bytes() == whole
    assert cache_path(fresh, open_version(client, fresh, versions[0]).images["a"].sha256).read_bytes() == whole
