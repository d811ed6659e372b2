"""Start the releases whose event was lost: Prefect was down when the tag was made, or the hook failed."""

from prefect import flow

from tasks import reconciling


@flow(name="reconcile-events", persist_result=False)
def reconcile_events() -> str:
    """For every model: the newest version of its data without a release, a proposal or a try gets one."""
    missed = reconciling.find_missed()
    return reconciling.start_missed(missed)
