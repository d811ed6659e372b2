"""A training that starts from the weights of another run, on the real lakeFS: which run, and what id it gets."""

import pytest

from lakegate.declarations import OperatingTable
from lakegate.errors import BadInput, UnknownName
from lakegate.lifecycle import training_run
from lakegate.registry import releases, runs
from lakegate.registry.documents import Decision, Pointer, Release, ReleaseRequest, RunReference
from lakegate.registry.store import REPOSITORY, write_pointer
from lakegate.training.record import RunRecord
from tests.lifecycle.conftest import Workshop
from tests.squares import declare_model, write_squares

pytestmark = pytest.mark.services


def quiet(_line: str) -> None:
    """Swallow progress lines."""


def declare(workshop: Workshop, model: str, init: str, epochs: int = 1) -> None:
    declare_model(workshop.checkout, model, [workshop.dataset], epochs=epochs)
    path = workshop.checkout / "models" / model / "model.toml"
    path.write_text(path.read_text().replace("[architecture]", f'[architecture]\ninit = "{init}"'))


def planned(workshop: Workshop, model: str, seed: int | None = None) -> str:
    return training_run.plan_run(workshop.client, workshop.settings, model, [], seed).run_id


def put_in_production(workshop: Workshop, model: str, run_id: str, number: int) -> None:
    """Move the production pointer as a promotion does, without a comparison and a person."""
    client = workshop.client
    run = RunReference(run_id=run_id, commit=client.head(REPOSITORY, runs.run_branch(model, run_id)).id, model_sha256="")
    request = ReleaseRequest(
        model=model,
        release=number,
        candidate=run,
        replaces=number - 1,
        baseline=None,
        versions=(),
        content_digests=(),
        declaration_digest="",
        operating=OperatingTable(),
        code_commit="",
        verdict="pass",
        verdict_sentence="",
        comparison="",
        evidence_digest="",
        requested_by="ada",
    )
    decision = Decision(
        request_digest=request.digest, decision="approve", approver="grace", identity="", reason="", decided_at=releases.now()
    )
    pointer = Pointer(
        model=model,
        release=number,
        run=run,
        request_digest=request.digest,
        previous=number - 1,
        kind="promotion",
        written_by="ada",
        written_at=releases.now(),
    )
    release = Release(model=model, number=number, run=run, request=request, decision=decision)
    write_pointer(client, "production", pointer, release)


def train(workshop: Workshop, model: str, seed: int | None = None) -> RunRecord:
    plan = training_run.plan_run(workshop.client, workshop.settings, model, [], seed)
    training_run.fit_run(workshop.client, workshop.settings, plan, "", quiet)
    return training_run.commit(workshop.client, workshop.settings, plan)


def test_a_training_starts_from_a_run_or_from_production_and_its_id_follows_the_weights(workshop: Workshop) -> None:
    workshop.settings = workshop.settings.model_copy(update={"wandb_mode": "disabled"})
    workshop.publish(write_squares(workshop.folder / "one", range(24)), "v1")
    model = f"finder-{workshop.dataset[-8:]}"
    declare(workshop, model, "random", epochs=3)
    first, other = train(workshop, model), train(workshop, model, seed=1)
    assert (first.start_run, first.chosen_epoch) == ("", 3)

    declare(workshop, model, f"run:{first.run_id}")
    second = train(workshop, model)
    assert (second.start_run, second.start_sha256) == (first.run_id, first.artifacts[runs.CHECKPOINT].sha256)
    assert any(f"started from the weights of run {first.run_id}" in note for note in second.notes)
    assert second.history[0]["loss"] < first.history[0]["loss"]
    assert train(workshop, model).run_id == second.run_id
    declare(workshop, model, f"run:{other.run_id}")
    assert planned(workshop, model) not in (first.run_id, second.run_id)

    declare(workshop, model, "production")
    with pytest.raises(BadInput, match=r"is in production yet; train the first release with init = 'random'"):
        planned(workshop, model)
    put_in_production(workshop, model, first.run_id, 1)
    assert planned(workshop, model) == second.run_id  # the same weights under another name
    put_in_production(workshop, model, second.run_id, 2)
    assert planned(workshop, model) == second.run_id  # asking again is the same run, not one more round
    assert planned(workshop, model, seed=5) != second.run_id
    declare(workshop, model, "run:0123456789")
    with pytest.raises(UnknownName, match="has no run '0123456789'"):
        planned(workshop, model)
