"""The store that hosts share: a folder, and S3 as lakeFS's own gateway speaks it."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from lakegate.errors import BadInput, ServiceRefused, ServiceUnavailable, SetupProblem
from lakegate.settings import S3_SECRET_FILE, Settings
from lakegate.shared_store import SharedStore, fetch_prefix, open_store, s3_client, split_address
from tests.object_store import with_bucket


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.services)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> SharedStore:
    if request.param == "folder":
        opened = open_store(Settings(results_store=str(tmp_path / "mounted")))
    else:
        opened = open_store(with_bucket(request.getfixturevalue("settings")))
    assert opened is not None
    return opened


def write(folder: Path, text: str) -> Path:
    path = folder / "source.bin"
    path.write_text(text)
    return path


def test_an_object_is_read_back_replaced_listed_and_removed(store: SharedStore, tmp_path: Path) -> None:
    store.put("runs/a/one.pt", write(tmp_path, "first"))
    store.put("runs/a/one.pt", write(tmp_path, "second"))
    store.put("runs/b/two.pt", write(tmp_path, "other"))
    assert store.names("runs/a/") == ["runs/a/one.pt"]
    assert store.names("") == ["runs/a/one.pt", "runs/b/two.pt"]
    assert store.get("runs/a/one.pt", tmp_path / "copy") and (tmp_path / "copy").read_text() == "second"
    store.delete("runs/a/one.pt")
    store.delete("runs/a/one.pt")
    assert store.names("runs/a/") == []


def test_what_is_not_there_leaves_the_file_as_it_was(store: SharedStore, tmp_path: Path) -> None:
    (tmp_path / "copy").write_text("kept")
    assert store.get("nothing/here", tmp_path / "copy") is False
    assert (tmp_path / "copy").read_text() == "kept"
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_without_a_store_nothing_is_shared_and_a_bad_address_is_refused() -> None:
    assert open_store(Settings()) is None
    with pytest.raises(BadInput, match="expected an absolute folder, or s3://bucket/prefix"):
        open_store(Settings(results_store="shared/results"))
    with pytest.raises(BadInput, match="is no S3 address"):
        split_address("s3:///prefix")


@pytest.mark.services
def test_a_wrong_key_is_refused_and_a_dead_server_is_transient(settings: Settings, tmp_path: Path) -> None:
    good = with_bucket(settings)
    wrong_key = good.model_copy(update={"s3_secret_access_key": SecretStr("wrong")})
    no_bucket = good.model_copy(update={"results_store": "s3://no-such-bucket/main/x"})
    for bad in (wrong_key, no_bucket):
        store = open_store(bad)
        assert store is not None
        with pytest.raises(ServiceRefused, match="look at the address and the key"):
            store.names("")
        with pytest.raises(ServiceRefused):
            store.put("a", write(tmp_path, "text"))
    dead = open_store(good.model_copy(update={"s3_endpoint_url": "http://127.0.0.1:9"}))
    assert dead is not None
    with pytest.raises(ServiceUnavailable, match="LAKEGATE_S3_ENDPOINT_URL"):
        dead.names("")


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / S3_SECRET_FILE
    path.parent.mkdir()
    path.write_text('{"access_key_id": "a", "secret_access_key": "b"}')
    path.chmod(0o644)
    with pytest.raises(SetupProblem, match="chmod 600"):
        s3_client(Settings(home=tmp_path))


@pytest.mark.services
def test_an_export_on_s3_is_fetched_once_per_state_of_its_prefix(settings: Settings, tmp_path: Path) -> None:
    settings = with_bucket(settings).model_copy(update={"home": tmp_path / "home"})
    store = open_store(settings)
    assert store is not None
    for name in ("export/images/a.jpg", "export/labels/a.txt"):
        store.put(name, write(tmp_path, name))
    address = f"{settings.results_store}/export"
    folder = fetch_prefix(settings, address)
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {"images/a.jpg", "labels/a.txt"}
    assert fetch_prefix(settings, address) == folder
    store.put("export/labels/a.txt", write(tmp_path, "changed"))
    changed = fetch_prefix(settings, address)
    assert changed != folder and (changed / "labels" / "a.txt").read_text() == "changed"
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".")] == []
    with pytest.raises(BadInput, match="holds no file"):
        fetch_prefix(settings, f"{settings.results_store}/nothing")
