"""From two versions to two releases and back, on the real lakeFS: every wall of the gate, and what a kill leaves behind."""

from pathlib import Path

import pytest

from lakegate.canonical import sha256_bytes
from lakegate.errors import BadInput, GateFailed, NotApproved, RegistryError, Unattested, UnknownName
from lakegate.lake.versions import pin
from lakegate.lifecycle import comparison, export_run, release, training_run
from lakegate.lifecycle.history import release_rows, run_rows, stage_status
from lakegate.registry import releases, runs
from lakegate.registry.documents import ReleaseRequest
from lakegate.registry.loading import load
from lakegate.registry.store import EVIDENCE, REPOSITORY, read_pointer
from tests.lifecycle.conftest import Workshop
from tests.squares import declare_model, write_squares

pytestmark = pytest.mark.services
EASY = '"map.all.min" = 0.0'
HARD = '"map.all.min" = 0.99 # nothing that two epochs make'


def quiet(_line: str) -> None:
    """Swallow progress lines."""


def train(workshop: Workshop, model: str, version: str, seed: int | None = None) -> release.ReleasePlan:
    reference = f"{workshop.dataset}@{version}"
    plan = release.plan_release(workshop.client, workshop.settings, model, reference, seed)
    training_run.fit_run(workshop.client, workshop.settings, plan.training, "", quiet)
    training_run.commit(workshop.client, workshop.settings, plan.training)
    export_run.export(workshop.client, workshop.settings, model, plan.training.run_id, quiet)
    return plan


def propose(workshop: Workshop, plan: release.ReleasePlan) -> ReleaseRequest:
    compared = release.plan_comparison(workshop.client, workshop.settings, plan)
    comparison.judge(workshop.client, workshop.settings, compared, quiet)
    return release.propose(workshop.client, workshop.settings, plan)


@pytest.fixture
def model(workshop: Workshop) -> str:
    """A model of a dataset that has v1."""
    workshop.publish(write_squares(workshop.folder / "one", range(24), unfinished=[2, 5, 7]), "v1")
    name = f"finder-{workshop.dataset[-8:]}"
    declare_model(workshop.checkout, name, [workshop.dataset], EASY)
    return name


def test_the_life_of_a_model_from_its_first_release_to_a_roll_back(workshop: Workshop, model: str) -> None:
    client = workshop.client
    first = train(workshop, model, "v1")
    request = propose(workshop, first)
    assert (request.release, request.replaces, request.baseline) == (1, 0, None)
    assert "waits for approval" in release.finish(client, request)
    workshop.decides(request)
    assert "in production, approved by grace (one-time code)" in release.finish(client, request)

    workshop.publish(write_squares(workshop.folder / "two", range(30)), "v2")
    second = train(workshop, model, "v2")
    request = propose(workshop, second)
    assert request.baseline is not None and request.baseline.run_id == first.training.run_id
    workshop.decides(request)
    release.finish(client, request)
    assert stage_status(client, model)["production"] == 2

    releases.roll_back(client, model, 1, "grace")
    standing = releases.in_production(client, model)
    assert standing is not None and (standing.number, standing.run.run_id) == (1, first.training.run_id)
    assert load(model, settings=workshop.settings).release == 1
    releases.roll_back(client, model, 2, "grace")
    pointer = read_pointer(client, "production", model)
    assert pointer is not None and (pointer.release, pointer.previous, pointer.kind) == (2, 1, "roll-back")
    assert [row["release"] for row in release_rows(client, model)] == [2, 1]
    assert {row["run"] for row in run_rows(client, model)} == {first.training.run_id, second.training.run_id}


def test_the_baseline_computes_only_what_is_new_for_it(workshop: Workshop, model: str) -> None:
    first = train(workshop, model, "v1")
    request = propose(workshop, first)
    workshop.decides(request)
    release.finish(workshop.client, request)
    workshop.publish(write_squares(workshop.folder / "two", range(30)), "v2")
    second = train(workshop, model, "v2")

    compared = release.plan_comparison(workshop.client, workshop.settings, second)
    comparison.judge(workshop.client, workshop.settings, compared, quiet)

    import json

    data = workshop.client.read(REPOSITORY, EVIDENCE, f"comparisons/{compared.key}/matrix.json")
    measured = json.loads(data)["measured"]
    versions = [
        training_run.open_version(workshop.client, workshop.settings, pin(workshop.client, f"{workshop.dataset}@{tag}"))
        for tag in ("v1", "v2")
    ]
    n_old, n_new = (len(version.samples_in(split="test")) for version in versions)
    assert measured["candidate"]["n_inferred"] == n_new
    assert measured["baseline"]["n_inferred"] == n_new - n_old


def test_training_again_on_the_same_inputs_is_the_same_run(workshop: Workshop, model: str) -> None:
    plan = train(workshop, model, "v1")
    again = release.plan_release(workshop.client, workshop.settings, model, f"{workshop.dataset}@v1", None)
    assert again.is_trained and again.training.run_id == plan.training.run_id
    other = release.plan_release(workshop.client, workshop.settings, model, f"{workshop.dataset}@v1", 7)
    assert not other.is_trained and other.training.run_id != plan.training.run_id


def test_a_changed_gate_judges_anew_but_trains_nothing(workshop: Workshop, model: str) -> None:
    plan = train(workshop, model, "v1")
    key = release.plan_comparison(workshop.client, workshop.settings, plan).key
    declare_model(workshop.checkout, model, [workshop.dataset], HARD)
    again = release.plan_release(workshop.client, workshop.settings, model, f"{workshop.dataset}@v1", None)
    assert again.is_trained
    assert release.plan_comparison(workshop.client, workshop.settings, again).key != key


def test_a_failed_gate_moves_nothing(workshop: Workshop, model: str) -> None:
    declare_model(workshop.checkout, model, [workshop.dataset], HARD)
    plan = train(workshop, model, "v1")
    with pytest.raises(GateFailed):
        propose(workshop, plan)
    assert stage_status(workshop.client, model) | {"sentence": ""} == {
        "model": model,
        "production": None,
        "staging": None,
        "sentence": "",
    }


def test_training_on_an_unattested_commit_is_refused_and_says_why(workshop: Workshop, model: str) -> None:
    client, dataset = workshop.client, workshop.dataset
    client.create_branch(dataset, "by-hand", "main")
    client.upload(dataset, "by-hand", "annotations/square-0.json", client.read(dataset, "main", "annotations/square-1.json"))
    client.commit(dataset, "by-hand", "labels swapped by hand", {})

    plan = training_run.plan_run(client, workshop.settings, model, [f"{dataset}@by-hand"])
    with pytest.raises(Unattested, match="attest"):
        training_run.fit_run(client, workshop.settings, plan, "", quiet)
    assert runs.find_run(client, model, plan.run_id) is None


def test_author_and_approver_must_differ_and_a_reason_is_needed(workshop: Workshop, model: str) -> None:
    request = propose(workshop, train(workshop, model, "v1"))
    with pytest.raises(NotApproved, match="must differ"):
        workshop.decides(request, by=" ADA ")
    with pytest.raises(NotApproved, match="reason"):
        workshop.decides(request, reason=" ")
    with pytest.raises(NotApproved, match="nobody decided"):
        releases.promote(workshop.client, request)


def test_an_approval_goes_stale_when_production_moved_meanwhile(workshop: Workshop, model: str) -> None:
    slow = propose(workshop, train(workshop, model, "v1"))
    quick = propose(workshop, train(workshop, model, "v1", seed=1))
    workshop.decides(quick)
    release.finish(workshop.client, quick)
    workshop.decides(slow)
    with pytest.raises(NotApproved, match="stale"):
        release.finish(workshop.client, slow)
    standing = releases.in_production(workshop.client, model)
    assert standing is not None and standing.run == quick.candidate


def test_a_rejected_release_stays_out_of_production(workshop: Workshop, model: str) -> None:
    request = propose(workshop, train(workshop, model, "v1"))
    workshop.decides(request, word="reject", reason="too few night images")
    assert "too few night images" in release.finish(workshop.client, request)
    assert releases.in_production(workshop.client, model) is None
    with pytest.raises(NotApproved, match="decided already"):
        workshop.decides(request)


def test_a_flow_run_that_waited_goes_on_with_what_it_proposed(workshop: Workshop, model: str) -> None:
    client, settings, version = workshop.client, workshop.settings, f"{workshop.dataset}@v1"
    train(workshop, model, "v1")
    plan = release.plan_release(client, settings, model, version, None, "flow-run-1")
    request = propose(workshop, plan)
    declare_model(workshop.checkout, model, [workshop.dataset], EASY, epochs=3)  # edited while a person thinks

    resumed = release.plan_release(client, settings, model, version, None, "flow-run-1")
    assert resumed.is_trained and release.is_exported(client, resumed) and release.is_compared(client, settings, resumed)
    assert release.propose(client, settings, resumed) == request
    other = release.plan_release(client, settings, model, version, None, "flow-run-2")
    assert not other.is_trained and other.proposed is None


def test_without_a_version_the_newest_attested_one_is_released(workshop: Workshop, model: str) -> None:
    plan = release.plan_release(workshop.client, workshop.settings, model, "", None)
    assert plan.references == [f"{workshop.dataset}@v1"]


def test_a_run_is_immutable(workshop: Workshop, model: str) -> None:
    plan = train(workshop, model, "v1")
    with pytest.raises(RegistryError, match="immutable"):
        runs.commit_run(workshop.client, model, plan.training.run_id, {runs.ONNX: b"other bytes"}, "replace")


def test_a_run_whose_upload_was_killed_is_no_run_yet(workshop: Workshop, model: str) -> None:
    plan = release.plan_release(workshop.client, workshop.settings, model, f"{workshop.dataset}@v1", None)
    training_run.fit_run(workshop.client, workshop.settings, plan.training, "", quiet)
    branch = runs.run_branch(model, plan.training.run_id)
    workshop.client.create_branch(REPOSITORY, branch, "main")
    workshop.client.upload(REPOSITORY, branch, runs.CHECKPOINT, b"half")  # uncommitted, as a kill leaves it
    assert runs.list_runs(workshop.client, model) == []

    training_run.commit(workshop.client, workshop.settings, plan.training)
    record = runs.find_run(workshop.client, model, plan.training.run_id)
    assert record is not None
    stored = workshop.client.read(REPOSITORY, branch, runs.CHECKPOINT)
    assert sha256_bytes(stored) == record.artifacts[runs.CHECKPOINT].sha256


def test_the_record_says_what_is_needed_to_repeat_the_run(workshop: Workshop, model: str) -> None:
    plan = train(workshop, model, "v1")
    record = runs.find_run(workshop.client, model, plan.training.run_id)
    assert record is not None
    pinned = plan.training.versions[0]
    assert [(item.tag, item.commit, item.content_digest) for item in record.datasets] == [
        ("v1", pinned.commit, pinned.content_digest)
    ]
    assert (record.requested_by, record.requester_is_authenticated, record.wandb_mode) == ("ada", False, "offline")
    assert {runs.CHECKPOINT, runs.ONNX} <= record.artifacts.keys()
    assert record.parity is not None and record.parity.passed
    assert {item.origin for item in record.parameters if item.name == "training.epochs"} == {"model.toml"}


def test_a_model_learns_from_several_datasets_and_is_judged_on_further_ones(workshop: Workshop, model: str) -> None:
    del model
    second, judge_only = f"{workshop.dataset}-b", f"{workshop.dataset}-c"
    for seed, name in enumerate((second, judge_only), start=1):
        workshop.declare(name, "refuse")
        workshop.publish(write_squares(workshop.folder / name, range(16), seed=seed), "v1", name)
    mixed = f"mixed-{workshop.dataset[-8:]}"
    declare_model(workshop.checkout, mixed, [workshop.dataset, f"{second}:first"], EASY, [judge_only])

    plan = train(workshop, mixed, "v1")
    assert [item.dataset for item in plan.training.versions] == [workshop.dataset, second]
    compared = release.plan_comparison(workshop.client, workshop.settings, plan)
    stored = comparison.judge(workshop.client, workshop.settings, compared, quiet)
    assert judge_only in stored.markdown and second in stored.markdown


def test_predict_gives_the_objects_of_a_released_model_in_pixels_of_the_image(workshop: Workshop, model: str) -> None:
    request = propose(workshop, train(workshop, model, "v1"))
    staged = load(model, stage="staging", settings=workshop.settings)
    found = staged.predict(Path(workshop.folder / "one" / "JPEGImages" / "square-1.jpg"))
    assert staged.release == request.release
    assert all(0 <= side <= 96 for item in found for side in item.box_xyxy_px)
    with pytest.raises(RegistryError, match="no release in production"):
        load(model, settings=workshop.settings)


def test_words_that_name_nothing_are_refused_with_what_there_is(workshop: Workshop, model: str) -> None:
    client, settings = workshop.client, workshop.settings
    with pytest.raises(UnknownName):
        comparison.plan_comparison(client, settings, model, "0123456789", comparison.NONE, [])
    with pytest.raises(BadInput, match="does not train on"):
        training_run.plan_run(client, settings, model, ["blood-cells@v1"])
    with pytest.raises(BadInput, match="cannot be overridden"):
        training_run.plan_run(client, settings, model, [], overrides={"sead": 1})
    with pytest.raises(UnknownName, match="no release 4"):
        releases.read_release(client, model, 4)


def test_code_that_is_not_committed_may_train_but_not_be_released(workshop: Workshop, model: str) -> None:
    strict = workshop.settings.model_copy(update={"allow_dirty_release": False})
    plan = training_run.plan_run(workshop.client, strict, model, [])
    if plan.code.problem:
        with pytest.raises(RegistryError, match="may train, but not release"):
            release.plan_release(workshop.client, strict, model, f"{workshop.dataset}@v1", None)
    else:
        assert release.plan_release(workshop.client, strict, model, f"{workshop.dataset}@v1", None).requested_by == "ada"
