"""What another seed alone changes, on the real lakeFS: trained again, kept, and shown beside a candidate's flips."""

import tomllib

import pytest

from lakegate.errors import BadInput, UnknownName
from lakegate.lifecycle import comparison, export_run, noise_runs, training_run
from lakegate.lifecycle.kept_noise import find_noise
from tests.lifecycle.conftest import Workshop
from tests.lifecycle.test_release import quiet, train
from tests.squares import declare_model, write_squares

pytestmark = pytest.mark.services
GATE = '"recall.all.min" = 0.0\n"negative_flip_rate.all.max" = 1.0'


def test_the_seed_alone_is_measured_kept_and_shown(workshop: Workshop) -> None:
    client, settings = workshop.client, workshop.settings
    workshop.publish(write_squares(workshop.folder / "one", range(24)), "v1")
    model = f"noisy-{workshop.dataset[-8:]}"
    declare_model(workshop.checkout, model, [workshop.dataset], GATE, epochs=1)
    with pytest.raises(UnknownName, match="in production yet; name a run: there is none"):
        noise_runs.base_run(client, model, "production")
    base = train(workshop, model, "v1").training
    with pytest.raises(BadInput, match=f"was not measured for run {base.run_id}; `lakegate model measure-noise {model}`"):
        noise_runs.suggest_gate(client, settings, model, base.run_id, True)

    plans = noise_runs.plan_noise_runs(client, settings, model, base.run_id, 1)
    assert [(plan.seed, plan.versions) for plan in plans] == [(base.seed + 1, base.versions)]
    assert plans[0].run_id != base.run_id
    training_run.fit_run(client, settings, plans[0], "", quiet)
    training_run.commit(client, settings, plans[0])
    export_run.export(client, settings, model, plans[0].run_id, quiet)
    noise = noise_runs.compare_noise_runs(client, settings, model, base.run_id, plans, quiet)
    found = noise.in_cell("all")
    assert found is not None and found.n_units > 0 and len(found.n_flips) == 2
    assert find_noise(client, noise_runs.base_run(client, model, base.run_id)) == noise
    assert find_noise(client, noise_runs.base_run(client, model, plans[0].run_id)) == noise  # the same recipe

    text = noise_runs.suggest_gate(client, settings, model, base.run_id, True)
    limits = tomllib.loads(text)["gate"]
    assert limits["negative_flip_rate.old_data.max"] >= found.largest / found.n_units
    pair = comparison.plan_comparison(client, settings, model, plans[0].run_id, base.run_id, [])
    assert noise.words("all") in comparison.judge(client, settings, pair, quiet).markdown
