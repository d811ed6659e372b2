"""How a release waits for a person: suspended, with a form, without holding a worker."""

from itertools import count

from prefect import get_run_logger, runtime
from prefect.flow_runs import suspend_flow_run

from lakegate.errors import NotApproved
from lakegate.lake.client import LakeClient
from lakegate.lifecycle.release import request_markdown
from lakegate.registry import releases
from lakegate.registry.documents import Decision, ReleaseRequest
from tasks.forms import ApprovalForm
from tasks.running import settings_for

TIMEOUT_S = 14 * 24 * 3600


def wait_for_decision(request: ReleaseRequest) -> None:
    """Return once a valid decision is in the registry; a run that is not deployed returns at once.

    An invalid form (author = approver, no reason) is answered with the reason and the form again.
    """
    client = LakeClient(settings_for(""))
    if not runtime.deployment.id:
        return
    note = ""
    for attempt in count(1):
        if releases.find_decision(client, request) is not None:
            return
        form = suspend_flow_run(
            wait_for_input=ApprovalForm.with_initial_data(description=f"{note}{request_markdown(request)}"),
            timeout=TIMEOUT_S,
            key=f"decision-{request.digest[:12]}-{attempt}",
        )
        note = _record(client, request, form)


def _record(client: LakeClient, request: ReleaseRequest, form: ApprovalForm) -> str:
    decision = Decision(
        request_digest=request.digest,
        decision=form.decision,
        approver=form.approver,
        reason=form.reason,
        decided_at=releases.now(),
    )
    try:
        releases.decide(client, request, decision)
    except NotApproved as error:
        get_run_logger().warning("the form was not accepted: %s", error)
        return f"**Not accepted:** {error}\n\n"
    return ""
