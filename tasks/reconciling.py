"""How missed events are made good: what should run and does not is started, once."""

from prefect import get_run_logger, runtime
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment

from lakegate.errors import SetupProblem
from lakegate.lake.client import LakeClient
from lakegate.lifecycle.pending import PendingRelease, PendingReleases, find_pending
from tasks.running import settings_for, step
from tasks.under_way import runs_of_releases

RELEASE = "release-model/control"


@step
def find_missed() -> PendingReleases:
    """Compare the tags in lakeFS with the flow runs and the registry.

    Raises:
        SetupProblem: this run is local, so flow runs of others cannot be seen or started.
    """
    if not runtime.deployment.id:
        raise SetupProblem("reconcile-events needs the Prefect server of a stack; start it with `lakegate up`")
    settings = settings_for("")
    with get_client(sync_client=True) as client:
        started = {
            (str(run.parameters.get("model")), str(run.parameters.get("version"))) for run in runs_of_releases(client)
        }
    missed = find_pending(LakeClient(settings), settings, started)
    for note in missed.notes:
        get_run_logger().warning(note)
    return missed


def start_missed(missed: PendingReleases) -> str:
    """Start a release for each, without waiting for it; say what was started."""
    for pending in missed.found:
        _start(pending)
    words = ", ".join(f"{pending.model} on {pending.version}" for pending in missed.found)
    sentence = f"started: {words}" if words else "nothing was missed"
    get_run_logger().info(sentence)
    return sentence


@step
def _start(pending: PendingRelease) -> None:
    parameters = {"model": pending.model, "version": pending.version, "requested_by": ""}
    key = f"missed event: {pending.model} on {pending.version}"
    run_deployment(RELEASE, parameters=parameters, timeout=0, as_subflow=False, idempotency_key=key)
