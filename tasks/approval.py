"""How a release waits for a person: suspended, with a form, without holding a worker."""

from uuid import UUID, uuid4

from prefect import get_run_logger, runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRunInput
from prefect.flow_runs import suspend_flow_run

from lakegate.errors import LakegateError, ServiceRefused
from lakegate.lake.client import LakeClient
from lakegate.lifecycle.release_page import release_page_url, release_words
from lakegate.registry import releases
from lakegate.registry.decisions import DecisionWords
from lakegate.registry.documents import ReleaseRequest
from tasks.forms import ApprovalForm
from tasks.running import settings_for

TIMEOUT_S = 14 * 24 * 3600
MAX_FORMS = 200  # what Prefect returns at once


def wait_for_decision(request: ReleaseRequest) -> None:
    """Return once a valid decision is in the registry; a run that is not deployed returns at once.

    A form that does not count (author = approver, wrong code, no reason) is answered with the reason and the form again.
    A suspended run ends its process and later starts from the top, so what a person filled in is read where it starts.
    """
    if not runtime.deployment.id:
        return
    client, note = LakeClient(settings_for("")), ""
    for words in _take_forms(UUID(str(runtime.flow_run.id)), request):
        if releases.find_decision(client, request) is None:
            note = _record(client, request, words)
    if releases.find_decision(client, request) is not None:
        return
    page = release_page_url(client.settings, request)
    get_run_logger().info("waits for a decision by somebody other than %s: %s", request.requested_by, page)
    suspend_flow_run(
        wait_for_input=ApprovalForm.with_initial_data(description=f"{note}{_description(client, request)}"),
        timeout=TIMEOUT_S,
        key=f"{_form_key(request)}{uuid4().hex[:8]}",  # never one that was answered before: Prefect would not suspend
    )
    raise ServiceRefused("Prefect let this run go on without suspending it; start the release again")


def _form_key(request: ReleaseRequest) -> str:
    return f"decision-{request.digest[:12]}-"


def _take_forms(run_id: UUID, request: ReleaseRequest) -> list[DecisionWords]:
    """Read the forms that people filled for this request, oldest first, and delete them in Prefect's database."""
    with get_client(sync_client=True) as client:
        stored = client.filter_flow_run_input(run_id, f"suspended-{_form_key(request)}", MAX_FORMS, set())
        filled = sorted((item for item in stored if item.key.endswith("-response")), key=_sent_at_s)
        for item in filled:
            client.delete_flow_run_input(run_id, item.key)
    return [ApprovalForm.load_from_flow_run_input(item).words(_sent_at_s(item)) for item in filled]


def _sent_at_s(item: FlowRunInput) -> float:
    return item.created.timestamp() if item.created else 0.0


def _record(client: LakeClient, request: ReleaseRequest, words: DecisionWords) -> str:
    """Record a decision; return "" or, where it does not count, the reason for the next form."""
    try:
        releases.decide(client, request, words)
    except LakegateError as error:
        get_run_logger().warning("the form was not accepted: %s", error)
        return f"**Not accepted:** {error}\n\n"
    return ""


def _description(client: LakeClient, request: ReleaseRequest) -> str:
    return release_words(request, release_page_url(client.settings, request))
