"""How a model is trained: planned, fitted with checkpoints, committed with its record."""

from collections.abc import Mapping

from prefect import get_run_logger, runtime

from lakegate.lake.client import LakeClient
from lakegate.lifecycle import training_run
from lakegate.lifecycle.training_run import RunPlan
from tasks.artifacts import artifact_key, show_text
from tasks.running import settings_for, step


@step
def plan_run(
    model: str, versions: list[str], seed: int, overrides: Mapping[str, float | int], requested_by: str
) -> RunPlan:
    """Pin versions, seed, declaration and code; nothing is read before."""
    settings = settings_for(requested_by)
    chosen_seed = None if seed < 0 else seed
    return training_run.plan_run(LakeClient(settings), settings, model, versions, chosen_seed, overrides)


@step
def fit(plan: RunPlan) -> None:
    """Train from the last checkpoint, or not at all where the run is committed already."""
    settings = settings_for(plan.requested_by)
    flow_run = str(runtime.flow_run.id or "")
    training_run.fit_run(LakeClient(settings), settings, plan, flow_run, get_run_logger().info)


@step
def commit_run(plan: RunPlan) -> str:
    """Commit the run with its record; return its id."""
    settings = settings_for(plan.requested_by)
    record = training_run.commit(LakeClient(settings), settings, plan)
    show_text(artifact_key("run", plan.model), training_run.summary_markdown(plan, record))
    return plan.run_id
