"""From a dataset version to a released model, up to one person's decision."""

from prefect import flow

from flows.build_engine import build_engine
from flows.compare_models import compare_models
from flows.export_model import export_model
from flows.train_model import train_model
from tasks import approval, building, releasing, under_way
from tasks.running import ensure_child


@flow(name="release-model", flow_run_name="{model} on {version}", persist_result=False)
def release_model(model: str, version: str = "", seed: int = -1, requested_by: str = "") -> str:
    """Train, export, compare, stage, wait for the approval, promote. What exists already is not done again.

    Args:
        model: Name of a folder in models/, for example blood-cells.
        version: The dataset version that changed, as dataset@tag; empty, or another dataset: the newest attested one.
        seed: Seed of the training; -1 takes the one of model.toml.
        requested_by: Your name, the author of this release; somebody else must approve it. Empty: the publisher of the version.
    """
    plan = releasing.plan_release(model, version, seed, requested_by)
    if why_not := plan.done or under_way.claim(plan.model, plan.training.run_id):
        return releasing.say(why_not)
    ensure_child(train_model, plan.resources, plan.training_parameters, plan.is_trained)
    ensure_child(export_model, "cpu", plan.export_parameters, releasing.is_exported(plan))
    engines = building.ensure_engines(build_engine, plan)
    ensure_child(compare_models, "cpu", plan.comparison_parameters, releasing.is_compared(plan))
    request = releasing.propose(plan, engines)
    approval.wait_for_decision(request)
    return releasing.finish(request)
