"""Train a run's recipe again with other seeds: what changes then is the floor of every comparison."""

from prefect import flow

from tasks import exporting, measuring, training


@flow(name="measure-noise", flow_run_name="{model} {run}", persist_result=False)
def measure_noise(model: str, run: str = "production", repeats: int = 3, requested_by: str = "") -> str:
    """Train, export and compare the same recipe with other seeds; the matrix of later candidates shows the result.

    Args:
        model: Name of a folder in models/, for example blood-cells.
        run: Id of the run whose recipe is repeated; production.
        repeats: How many other seeds are trained, 1 to 20.
        requested_by: Your name; empty means the name that the worker runs under.
    """
    plans = measuring.plan_noise_runs(model, run, repeats, requested_by)
    for plan in plans:
        training.fit(plan)
        training.commit_run(plan)
        exporting.export_onnx(model, plan.run_id)
    return measuring.compare_noise_runs(model, run, plans)
