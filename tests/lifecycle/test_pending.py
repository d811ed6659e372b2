"""What an event should have started and did not."""

from pathlib import Path

import pytest

from lakegate.canonical import exact_json
from lakegate.lifecycle.pending import PendingRelease, find_pending
from lakegate.registry.store import ensure_registry, put_evidence
from tests.lifecycle.conftest import Workshop
from tests.squares import declare_model, write_squares

pytestmark = pytest.mark.services


@pytest.fixture
def published(workshop: Workshop, tmp_path: Path) -> Workshop:
    """A dataset with v1 and v2, a model that follows it, and one that does not."""
    for version, n_samples in (("v1", 6), ("v2", 7)):
        workshop.publish(write_squares(tmp_path / version, range(n_samples)), version)
    declare_model(workshop.checkout, "follower", [workshop.dataset], follows=True)
    declare_model(workshop.checkout, "by-hand", [workshop.dataset], follows=False)
    return workshop


def test_only_the_newest_version_is_pending_and_only_for_models_that_follow(published: Workshop):
    newest = PendingRelease("follower", f"{published.dataset}@v2")
    assert find_pending(published.client, published.settings, ()).found == (newest,)
    assert find_pending(published.client, published.settings, {("follower", f"{published.dataset}@v1")}).found == (newest,)


def test_what_was_started_is_not_pending_whatever_came_of_it(published: Workshop):
    assert find_pending(published.client, published.settings, {("follower", f"{published.dataset}@v2")}).found == ()


def test_what_was_proposed_is_not_pending_also_where_an_unknown_lakegate_wrote_the_request(published: Workshop):
    ensure_registry(published.client)
    request = {"model": "follower", "versions": [f"{published.dataset}@v2"], "of": "a later Lakegate"}
    put_evidence(published.client, {f"requests/{published.dataset}.json": exact_json(request)}, "a request")
    assert find_pending(published.client, published.settings, ()).found == ()


def test_a_tag_that_nobody_attested_starts_nothing(published: Workshop):
    client, dataset = published.client, published.dataset
    client.create_branch(dataset, "by-a-person", "main")
    client.upload(dataset, "by-a-person", "images/other.jpg", b"not validated")
    client.create_tag(dataset, "v3", client.commit(dataset, "by-a-person", "past the gate", {}))
    found = find_pending(client, published.settings, ()).found
    assert found == (PendingRelease("follower", f"{dataset}@v2"),)


def test_a_broken_declaration_is_named_and_the_other_models_are_looked_at(published: Workshop):
    path = published.checkout / "models" / "by-hand" / "model.toml"
    path.write_text(path.read_text() + "[scedule]\n")
    declare_model(published.checkout, "no-data-yet", ["never-published"], follows=True)
    published.declare("never-published", "refuse")
    pending = find_pending(published.client, published.settings, ())
    assert [item.model for item in pending.found] == ["follower"]
    (note,) = pending.notes
    assert "by-hand" in note and "did you mean 'schedule'" in note
