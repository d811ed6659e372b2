"""A dataset's repository is protected from its first moment, and repaired where it is not."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from lakegate.errors import ServiceRefused
from lakegate.lake.client import LakeClient
from lakegate.lake.repository import read_actions
from lakegate.settings import Settings

pytestmark = pytest.mark.services


def call(settings: Settings, method: str, path: str, **options: Any) -> requests.Response:
    """Call lakeFS as a person with the key can."""
    auth = (settings.lakefs_access_key_id, settings.lakefs_secret_access_key.get_secret_value())
    return requests.request(method, f"{settings.lakefs_endpoint}/api/v1/repositories{path}", auth=auth, timeout=60, **options)


def test_main_cannot_be_written_committed_or_deleted(client: LakeClient, dataset: str):
    client.ensure_repository(dataset)
    for act in (
        lambda: client.upload(dataset, "main", "images/a.png", b"x"),
        lambda: client.delete_many(dataset, "main", ["dataset.toml"]),
        lambda: client.commit(dataset, "main", "directly", {}),
        lambda: client.delete_branch(dataset, "main"),
    ):
        with pytest.raises(ServiceRefused):
            act()


def test_cherry_pick_revert_and_tag_deletion_are_refused_with_a_reason(client: LakeClient, settings: Settings, dataset: str):
    client.ensure_repository(dataset)
    head = client.head(dataset, "main").id
    client.create_tag(dataset, "v1", head)
    client.create_branch(dataset, "side", "main")
    client.upload(dataset, "side", "images/a.png", b"x")
    side = client.commit(dataset, "side", "side", {})
    for answer in (
        call(settings, "POST", f"/{dataset}/branches/main/cherry-pick", json={"ref": side}),
        call(settings, "POST", f"/{dataset}/branches/main/revert", json={"ref": head, "parent_number": 1}),
        call(settings, "DELETE", f"/{dataset}/tags/v1"),
    ):
        assert answer.status_code == 412, answer.text
        assert "publish a new version instead" in answer.text
    assert client.head(dataset, "main").id == head
    assert client.tags(dataset) == {"v1": head}


def test_a_merge_by_hand_of_unattested_content_is_refused_early(client: LakeClient, dataset: str):
    client.ensure_repository(dataset)
    client.create_branch(dataset, "mine", "main")
    client.upload(dataset, "mine", "images/a.png", b"x")
    client.commit(dataset, "mine", "mine", {})
    with pytest.raises(ServiceRefused, match="publish with `lakegate data publish`"):
        client.merge(dataset, "mine", "main", "mine", {})
    with pytest.raises(ServiceRefused, match="has no attestation"):
        client.merge(dataset, "mine", "main", "mine", {"content_digest": "0" * 64})


def test_the_hooks_stand_in_main_and_evidence_begins_at_the_root(client: LakeClient, dataset: str):
    client.ensure_repository(dataset)
    assert {entry.path for entry in client.list_objects(dataset, "main")} == set(read_actions(("main",)))
    assert client.branches(dataset)["evidence"] == client.log(dataset, "main")[-1].id


def test_setting_up_again_changes_nothing(client: LakeClient, dataset: str):
    client.ensure_repository(dataset)
    before = client.branches(dataset)
    client.ensure_repository(dataset)
    assert client.branches(dataset) == before


def test_a_set_up_that_was_killed_half_way_is_repaired(client: LakeClient, settings: Settings, dataset: str):
    body = {"name": dataset, "storage_namespace": f"local://{dataset}", "default_branch": "main"}
    assert call(settings, "POST", "", json=body).ok
    client.ensure_repository(dataset)
    with pytest.raises(ServiceRefused, match="protected"):
        client.upload(dataset, "main", "images/a.png", b"x")
    assert len(client.list_objects(dataset, "main", "_lakefs_actions/")) == 3


def test_a_dirty_main_is_said_plainly(client: LakeClient, settings: Settings, dataset: str):
    body = {"name": dataset, "storage_namespace": f"local://{dataset}", "default_branch": "main"}
    assert call(settings, "POST", "", json=body).ok
    client.upload(dataset, "main", "images/a.png", b"before there was a rule")
    with pytest.raises(ServiceRefused, match="somebody wrote to the branch past Lakegate"):
        client.ensure_repository(dataset)


def test_a_removed_rule_is_put_back_and_rules_of_others_stay(client: LakeClient, settings: Settings, dataset: str):
    client.ensure_repository(dataset)
    rules = f"/{dataset}/settings/branch_protection"
    assert call(settings, "PUT", rules, json=[{"pattern": "important-*"}]).ok
    client.ensure_repository(dataset)
    assert {rule["pattern"] for rule in call(settings, "GET", rules).json()} == {"main", "important-*"}
    with pytest.raises(ServiceRefused, match="protected"):
        client.upload(dataset, "main", "images/a.png", b"x")


def test_four_processes_may_set_up_one_dataset_at_once(settings: Settings, dataset: str):
    clients = [LakeClient(settings) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda client: client.ensure_repository(dataset), clients))
    assert {entry.path for entry in clients[0].list_objects(dataset, "main")} == set(read_actions(("main",)))
    with pytest.raises(ServiceRefused, match="protected"):
        clients[0].upload(dataset, "main", "images/a.png", b"x")


def test_other_branches_can_be_protected_too(client: LakeClient, dataset: str):
    client.ensure_repository(dataset, protected_branches=("main", "staging"))
    client.create_branch(dataset, "staging", "main")
    client.ensure_repository(dataset, protected_branches=("main", "staging"))
    with pytest.raises(ServiceRefused, match="protected"):
        client.upload(dataset, "staging", "a.json", b"x")
    client.create_branch(dataset, "move", "staging")
    client.upload(dataset, "move", "a.json", b"x")
    client.merge(dataset, client.commit(dataset, "move", "move", {}), "staging", "a pointer needs no attestation", {})
    assert client.read(dataset, "staging", "a.json") == b"x"
    assert b"branches: [main, staging]" in client.read(dataset, "staging", "_lakefs_actions/deny_history_edits.yaml")
