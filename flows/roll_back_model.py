"""Put another release of a model back into production."""

from prefect import flow

from tasks import releasing


@flow(name="roll-back-model", flow_run_name="{model} to release {release}", persist_result=False)
def roll_back_model(model: str, release: int, requested_by: str = "") -> str:
    """Write a new pointer to an earlier (or, forward again, a later) release.

    Args:
        model: Name of a folder in models/, for example blood-cells.
        release: Number of the release that shall be in production.
        requested_by: Your name; kept with the pointer.
    """
    return releasing.roll_back(model, release, requested_by)
