"""The client on a real lakeFS: what it sends, what it checks, and how the service's errors read."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from infra.lakefs_binary import find_or_build
from infra.lakefs_server import start_lakefs, stop_lakefs
from infra.stack import write_stack_file
from lakegate.errors import (
    ChecksumMismatch,
    PublishConflict,
    ServiceRefused,
    ServiceUnavailable,
    SetupProblem,
    VersionExists,
    VersionNotFound,
)
from lakegate.lake import publish
from lakegate.lake.client import LakeClient
from lakegate.lake.versions import list_versions
from lakegate.settings import Settings
from tests.lake.proxy import Proxy
from tests.lake.story import DECLARATION, a_sample, digest_of, publish_version

pytestmark = pytest.mark.services


def test_more_objects_than_a_page_are_uploaded_listed_and_deleted(client: LakeClient, dataset: str):
    client.ensure_repository(dataset)
    client.create_branch(dataset, "many", "main")
    files = {f"images/{number:04}.txt": str(number).encode() for number in range(1203)}
    steps: list[tuple[int, int]] = []
    client.upload_many(dataset, "many", files, lambda done, total: steps.append((done, total)))
    assert steps[-1] == (1203, 1203)
    assert [entry.path for entry in client.list_objects(dataset, "many", "images/")] == sorted(files)
    assert len(client.diff(dataset, "main", client.commit(dataset, "many", "many", {}))) == 1203
    client.delete_many(dataset, "many", list(files))
    assert client.list_objects(dataset, "many", "images/") == []


def test_bytes_that_change_on_the_way_are_refused_and_removed(proxied: LakeClient, proxy: Proxy, dataset: str):
    proxied.ensure_repository(dataset)
    proxied.create_branch(dataset, "work", "main")
    proxy.damage = "images/"
    with pytest.raises(ChecksumMismatch, match=r"images/a\.bin: sent bytes with MD5 \w+, lakeFS stored \w+"):
        proxied.upload_many(dataset, "work", {"images/a.bin": b"whole"})
    assert proxied.list_objects(dataset, "work", "images/") == [], "a rerun must not take it for the right bytes"


def test_nothing_to_commit_or_to_merge_is_success(client: LakeClient, dataset: str):
    client.ensure_repository(dataset)
    client.create_branch(dataset, "work", "main")
    head = client.head(dataset, "main").id
    assert client.commit(dataset, "work", "nothing", {}) == head
    assert client.merge(dataset, "work", "main", "nothing", {}) == head


def test_a_tag_moves_nowhere(client: LakeClient, dataset: str):
    client.ensure_repository(dataset)
    first, second = (commit.id for commit in client.log(dataset, "main", 2))
    client.create_tag(dataset, "v1", first)
    client.create_tag(dataset, "v1", first)
    with pytest.raises(VersionExists, match="choose another version name"):
        client.create_tag(dataset, "v1", second)
    assert client.tags(dataset) == {"v1": first}


def test_two_sides_that_changed_one_object_conflict(client: LakeClient, dataset: str):
    client.ensure_repository(dataset)
    for branch in ("left", "right"):
        client.create_branch(dataset, branch, "main")
        client.upload(dataset, branch, "annotations/a.json", branch.encode())
        client.commit(dataset, branch, branch, {})
    with pytest.raises(PublishConflict):
        client.merge(dataset, "left", "right", "merge", {})
    assert [change.kind for change in client.diff(dataset, "right", "left", "three_dot")] == ["conflict"]


def test_what_does_not_exist_is_said_so(client: LakeClient, dataset: str):
    for ask in (lambda: client.head("no-such-dataset", "main"), lambda: client.list_objects("no-such-dataset", "main")):
        with pytest.raises(VersionNotFound, match="no-such-dataset"):
            ask()
    client.ensure_repository(dataset)
    with pytest.raises(VersionNotFound, match="lakeFS refused to read"):
        client.read(dataset, "main", "images/none.png")


def test_an_existing_branch_is_an_error_unless_it_may_exist(client: LakeClient, dataset: str):
    client.ensure_repository(dataset)
    client.create_branch(dataset, "work", "main")
    client.create_branch(dataset, "work", "main", exist_ok=True)
    with pytest.raises(VersionExists):
        client.create_branch(dataset, "work", "main")


def test_a_wrong_key_is_refused_with_advice_and_not_retried(settings: Settings):
    wrong = settings.model_copy(update={"lakefs_secret_access_key": SecretStr("wrong")})
    with pytest.raises(ServiceRefused, match="LAKEGATE_LAKEFS_ACCESS_KEY_ID") as caught:
        LakeClient(wrong).repositories()
    assert not caught.value.is_transient
    assert "wrong" not in str(caught.value)


def test_without_a_known_server_the_next_step_is_named(settings: Settings):
    with pytest.raises(SetupProblem, match="lakegate up"):
        LakeClient(settings.model_copy(update={"lakefs_endpoint": ""}))


def test_a_lakefs_that_stops_during_the_upload_is_said_plainly_and_a_rerun_completes(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    home = tmp_path / "home"
    binary = find_or_build(settings, print).path
    write_stack_file(home, lakefs_endpoint=start_lakefs(home, binary), prefect_api_url="")
    monkeypatch.setenv("LAKEGATE_HOME", str(home))
    own = Settings.load()
    client = LakeClient(own)
    images = [tmp_path / f"{number}.png" for number in range(200)]
    for number, path in enumerate(images):
        path.write_bytes(str(number).encode())
    samples = [a_sample(path.stem, path) for path in images]
    try:
        branch = publish.prepare_branch(client, "stopped-cells", "v1", digest_of(samples))

        def stop(done: int, _: int) -> None:
            if done == 100:
                stop_lakefs(home)

        with pytest.raises(ServiceUnavailable, match=r"(does not answer|was stopped) .* `lakegate up` starts it") as caught:
            publish.write_changes(client, "stopped-cells", branch, samples, DECLARATION, stop)
        assert caught.value.is_transient
        assert caught.value.__cause__ is not None
        with pytest.raises(ServiceUnavailable):
            client.create_branch("stopped-cells", "other", "main")  # the way through the SDK
        write_stack_file(home, lakefs_endpoint=start_lakefs(home, binary), prefect_api_url="")
        again = LakeClient(Settings.load())
        assert again.list_objects("stopped-cells", "main", "images/") == []
        publish_version(again, own, "stopped-cells", "v1", samples)
        assert [version.n_samples for version in list_versions(again, "stopped-cells")] == [200]
    finally:
        stop_lakefs(home)
