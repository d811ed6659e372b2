"""Train a candidate on pinned dataset versions."""

from prefect import flow

from tasks import training
from tasks.forms import TrainingOverrides


@flow(name="train-model", flow_run_name="{model}", persist_result=False)
def train_model(
    model: str,
    versions: list[str] = [],  # noqa: B006 - Prefect shows the default in its form
    seed: int = -1,
    overrides: TrainingOverrides = TrainingOverrides(),  # noqa: B008 - likewise
    requested_by: str = "",
) -> str:
    """Train, and commit the run with its record. The same inputs are the same run: it is trained once.

    Args:
        model: Name of a folder in models/, for example blood-cells.
        versions: Dataset versions as dataset@tag; a dataset that is not named is taken at its newest attested tag.
        seed: Seed of everything random; -1 takes the one of model.toml.
        overrides: Values for this run only.
        requested_by: Your name; empty means the name that the worker runs under.
    """
    plan = training.plan_run(model, versions, seed, overrides.given(), requested_by)
    training.fit(plan)
    return training.commit_run(plan)
