"""Real data of all three tasks from an export to a verdict: published, trained for an epoch, exported with parity, judged."""

import re
from pathlib import Path

import pytest

from lakegate.catalog import load_model
from lakegate.declarations import EngineTable
from lakegate.errors import BadInput
from lakegate.lifecycle import comparison, export_run, serving, training_run
from lakegate.lifecycle.engine_run import narrow_run
from lakegate.lifecycle.publication import Publication, PublicationRequest
from lakegate.registry.documents import RunReference
from tests.lifecycle.conftest import Workshop
from tests.lifecycle.real_models import REAL_MODELS, RealModel

pytestmark = pytest.mark.services
N_IMAGES, SIDE_PX = 40, 64


def publish(workshop: Workshop, real: RealModel, source: Path, images: str) -> None:
    path = workshop.checkout / "datasets" / workshop.dataset / "dataset.toml"
    path.write_text(real.dataset_toml)
    request = PublicationRequest.from_words(
        workshop.settings, workshop.dataset, str(source), "v1", images, "auto", "", licence="see SOURCE.md"
    )
    publication = Publication(workshop.client, workshop.settings, request, workshop.lines.append)
    for step in ("read_export", "screen", "write", "audit", "attest", "merge", "tag"):
        getattr(publication, step)()


def assert_not_served(workshop: Workshop, model: str, run: RunReference) -> None:
    """No server is asked: none listens at these addresses."""
    nobody = {f"triton_{stage}_{kind}": "127.0.0.1:9" for stage in ("staging", "production") for kind in ("http", "grpc")}
    settings = workshop.settings.model_copy(update=nobody)
    declaration = load_model(settings, model)
    staged = serving.stage_candidate(workshop.client, settings, declaration, 1, run)
    assert staged == serving.StagedCandidate((), serving.NO_DETECTOR)
    assert serving.serve_release(workshop.client, settings, model, 1, run, declaration.operating) == serving.NO_DETECTOR
    with pytest.raises(BadInput, match="engines are for detection models"):
        narrow_run(workshop.client, settings, model, run, EngineTable(compute_capability="8.6"), workshop.folder / "engine")


@pytest.mark.parametrize("name", list(REAL_MODELS))
def test_a_model_of_each_sample_trains_exports_with_parity_and_is_judged(
    workshop: Workshop, samples_dir: Path, name: str
) -> None:
    real = REAL_MODELS[name]
    publish(workshop, real, *real.stage(samples_dir, workshop.folder / "export", N_IMAGES))
    model = f"{name.replace('_', '-')}-{workshop.dataset[-8:]}"
    path = workshop.checkout / "models" / model / "model.toml"
    path.parent.mkdir(parents=True)
    path.write_text(real.model_toml(workshop.dataset, 1, SIDE_PX))

    plan = training_run.plan_run(workshop.client, workshop.settings, model, [])
    training_run.fit_run(workshop.client, workshop.settings, plan, "", workshop.lines.append)
    record = training_run.commit(workshop.client, workshop.settings, plan)
    assert (record.task, tuple(record.labels)) == (real.task, real.labels)

    exported = export_run.export(workshop.client, workshop.settings, model, plan.run_id, workshop.lines.append)
    assert exported.record.parity is not None and exported.record.parity.passed
    assert ("boxes" in exported.sentence()) == (real.task == "detection")

    judged = comparison.judge(
        workshop.client,
        workshop.settings,
        comparison.plan_comparison(workshop.client, workshop.settings, model, plan.run_id, plan.run_id, []),
        workshop.lines.append,
    )
    assert judged.baseline == exported.reference
    own_rule, _ = real.gate.replace('"', "").split(" = ")
    assert own_rule in judged.markdown
    assert re.search(r"PASS.*negative_flip_rate\.all\.max", judged.markdown)  # a model has no flips against itself
    if real.task != "detection":
        assert_not_served(workshop, model, exported.reference)
