"""How seed noise is measured: planned, compared, shown."""

from collections.abc import Sequence

from prefect import get_run_logger

from lakegate.lake.client import LakeClient
from lakegate.lifecycle import noise_runs
from lakegate.lifecycle.training_run import RunPlan
from tasks.artifacts import artifact_key, show_table
from tasks.running import settings_for, step


@step
def plan_noise_runs(model: str, run: str, repeats: int, requested_by: str) -> list[RunPlan]:
    """Pin the recipe, its versions and the other seeds."""
    settings = settings_for(requested_by)
    return noise_runs.plan_noise_runs(LakeClient(settings), settings, model, run, repeats)


@step
def compare_noise_runs(model: str, run: str, plans: Sequence[RunPlan]) -> str:
    """Compare each repeated run with the first, keep the noise, and leave it on the run; return it in words."""
    settings = settings_for("")
    noise = noise_runs.compare_noise_runs(LakeClient(settings), settings, model, run, plans, get_run_logger().info)
    rows = [{"column": cell.name, noise.unit + "s": cell.n_units, "flips": cell.words} for cell in noise.cells]
    show_table(artifact_key("noise", model), rows, f"What {len(noise.runs)} other seeds alone change")
    return noise.words("all")
