"""What a run learned from the runs whose weights it started from: followed back on the real lakeFS, left out and counted."""

import pytest
from PIL import Image

from lakegate.errors import RegistryError
from lakegate.evaluation.stored import StoredMatrix, read_matrix
from lakegate.lake.local import open_version
from lakegate.lake.versions import pin
from lakegate.lifecycle import comparison, export_run
from lakegate.lifecycle.starting_run import ancestry
from lakegate.registry import runs
from lakegate.registry.store import EVIDENCE, REPOSITORY
from lakegate.samples import draw_split
from tests.lifecycle.conftest import Workshop
from tests.lifecycle.test_starting_run import declare, quiet, train
from tests.squares import write_squares

pytestmark = pytest.mark.services
NUMBERS = range(24)


def test_a_test_sample_that_an_ancestor_trained_on_is_left_out_and_counted(workshop: Workshop) -> None:
    """Three runs, each from the weights of the one before: only the first trained on what is in the test split since v2."""
    workshop.settings = workshop.settings.model_copy(update={"wandb_mode": "disabled"})
    client, settings = workshop.client, workshop.settings
    workshop.publish(write_squares(workshop.folder / "one", NUMBERS), "v1")
    model = f"finder-{workshop.dataset[-8:]}"
    declare(workshop, model, "random")
    first = train(workshop, model)

    moved = publish_larger_test_split(workshop)
    first_samples = in_split(workshop, "v1", "")
    declare(workshop, model, f"run:{first.run_id}")
    second = train(workshop, model)
    declare(workshop, model, f"run:{second.run_id}")
    toml = workshop.checkout / "models" / model / "model.toml"
    toml.write_text(toml.read_text() + "[operating]\nscore_threshold = 0.01\n")  # so low that the two differ in much
    third = train(workshop, model)
    assert [item.run_id for item in ancestry(client, model, third.run_id)] == [third.run_id, second.run_id, first.run_id]
    assert {item.tag for item in (*second.datasets, *third.datasets)} == {"v2"}

    for run in (second, third):
        export_run.export(client, settings, model, run.run_id, quiet)
    matrix = compared(workshop, model, third.run_id, second.run_id)
    seen = matrix.coverage[0]
    assert (seen.n_trained_on_by_candidate, seen.n_like_trained_on_by_candidate) == (len(moved) - 1, 1)
    assert (seen.n_trained_on_by_baseline, seen.n_like_trained_on_by_baseline) == (len(moved) - 1, 1)
    assert seen.n_judged == seen.n_test - len(moved) > 0
    assert {flip.sample_id: flip.version for flip in matrix.flips} == {
        flip.sample_id: "v1" if flip.sample_id in first_samples else "v2" for flip in matrix.flips
    }
    assert {flip.version for flip in matrix.flips} == {"v1", "v2"}

    client.delete_branch(REPOSITORY, runs.run_branch(model, first.run_id))
    words = f"{third.run_id} started from {second.run_id} started from {first.run_id}.*nobody can say which test samples"
    with pytest.raises(RegistryError, match=words):
        compared(workshop, model, third.run_id, comparison.NONE)
    changed = second.model_copy(update={"start_run": third.run_id})
    runs.commit_run(client, model, second.run_id, {runs.RECORD: changed.to_bytes()}, "a record that somebody changed")
    words = f"run {third.run_id} started from {second.run_id} started from {third.run_id} again"
    with pytest.raises(RegistryError, match=words):
        compared(workshop, model, third.run_id, comparison.NONE)


def publish_larger_test_split(workshop: Workshop) -> set[str]:
    """Publish v2 with 8 samples more; return those of v1 that moved to the test split: one of them was compressed again."""
    declaration = workshop.checkout / "datasets" / workshop.dataset / "dataset.toml"
    declaration.write_text(declaration.read_text().replace("test = 0.3", "test = 0.6"))
    export = write_squares(workshop.folder / "two", range(32))
    moved = in_split(workshop, "v1", "train") & {f"square-{number}" for number in NUMBERS if drawn(number) == "test"}
    path = export / "JPEGImages" / f"{min(moved)}.jpg"
    with Image.open(path) as image:
        image.save(path, quality=80)
    workshop.publish(export, "v2")
    assert moved == in_split(workshop, "v1", "train") & in_split(workshop, "v2", "test")
    return moved


def drawn(number: int) -> str:
    return draw_split(f"square-{number}", 0.6)


def in_split(workshop: Workshop, tag: str, split: str) -> set[str]:
    version = open_version(workshop.client, workshop.settings, pin(workshop.client, f"{workshop.dataset}@{tag}"))
    return {sample.id for sample in version.samples_in(split=split)}


def compared(workshop: Workshop, model: str, candidate: str, baseline: str) -> StoredMatrix:
    """Judge on the newest version, and return what the evidence keeps of it."""
    plan = comparison.plan_comparison(workshop.client, workshop.settings, model, candidate, baseline, [])
    comparison.judge(workshop.client, workshop.settings, plan, quiet)
    data = workshop.client.read(REPOSITORY, EVIDENCE, f"comparisons/{plan.key}/matrix.json")
    return read_matrix(data)
