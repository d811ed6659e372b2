"""Approve or reject from the command line: the same decision as the form in the Prefect UI."""

from collections.abc import Callable
from typing import Any, Literal

from lakegate.errors import NotApproved
from lakegate.lake.client import LakeClient
from lakegate.lifecycle.release import finish
from lakegate.registry import releases
from lakegate.registry.documents import Decision
from lakegate.settings import Settings
from lakegate_cli.flow_runs import follow_run, prepare_environment


def decide(
    settings: Settings, model: str, decision: Literal["approve", "reject"], by: str, reason: str, say: Callable[[str], None]
) -> str:
    """Record the decision, bound to the evidence in staging, and let the waiting flow run go on.

    Where no flow run waits (a release with ``--local``), the release is finished right here.

    Raises:
        NotApproved: author and approver are the same, no reason, or the evidence changed.
    """
    client = LakeClient(settings)
    request = releases.open_request(client, model)
    if request.release in releases.release_numbers(client, model):
        raise NotApproved(f"nothing of {model} waits for approval: release {request.release} was approved before")
    recorded = releases.decide(
        client,
        request,
        Decision(
            request_digest=request.digest, decision=decision, approver=by, reason=reason, decided_at=releases.now()
        ),
    )
    waiting = _waiting_run(settings, model)
    if waiting is not None:
        _resume(waiting, recorded)
        follow_run(settings, str(waiting.id), say)
    return finish(client, request)


def _waiting_run(settings: Settings, model: str) -> Any:
    """Return the newest suspended run of release-model for this model; ``None`` where there is none."""
    if not settings.prefect_api_url:
        return None
    prepare_environment(settings)
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter, FlowRunFilterState
    from prefect.client.schemas.filters import FlowRunFilterStateType as StateTypes
    from prefect.client.schemas.objects import StateType
    from prefect.client.schemas.sorting import FlowRunSort

    try:
        with get_client(sync_client=True) as client:
            found = client.read_flow_runs(
                flow_filter=FlowFilter(name=FlowFilterName(any_=["release-model"])),
                flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=StateTypes(any_=[StateType.PAUSED]))),
                sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            )
    except httpx.TransportError:
        return None  # no server, so nothing waits there: the release is finished here
    return next((run for run in found if run.parameters.get("model") == model), None)


def _resume(run: Any, decision: Decision) -> None:
    from prefect.flow_runs import resume_flow_run

    form = {"decision": decision.decision, "approver": decision.approver, "reason": decision.reason}
    resume_flow_run(run.id, run_input=form)
