"""Approve or reject from the command line: the same decision as the form in the Prefect UI."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace

from infra.prefect_api import NoAnswer, PrefectApi
from lakegate.catalog import load_model
from lakegate.errors import BadInput, NotApproved, UnknownName
from lakegate.lake.client import LakeClient
from lakegate.lifecycle.release import finish
from lakegate.lifecycle.serving import require_production_server
from lakegate.registry import one_time_codes, releases
from lakegate.registry.decisions import DecisionWords
from lakegate.registry.documents import Decision, ReleaseRequest
from lakegate.registry.roles import ROLES_FILE, load_roles, may_approve
from lakegate.registry.store import EVIDENCE, read_document
from lakegate.settings import Settings
from lakegate_cli.flow_runs import follow_run

CODE_VARIABLE = "LAKEGATE_CODE"
DEMO_APPROVER = "demo-approver"


def decide(settings: Settings, model: str, words: DecisionWords, say: Callable[[str], None]) -> str:
    """Record the decision, bound to the evidence in staging, and let the waiting flow run go on.

    Where no flow run waits (a release with ``--local``), the release is finished right here.

    Raises:
        NotApproved: see :func:`lakegate.registry.releases.decide`.
    """
    client = LakeClient(settings)
    request = _waiting_request(client, model)
    if words.decision == "approve":
        require_production_server(settings)
    recorded = releases.decide(client, request, words)
    waiting = _waiting_run(settings, request)
    if waiting is not None:
        _resume(settings, waiting, recorded)
        follow_run(settings, waiting, say)
    return finish(client, request)


def with_code(settings: Settings, model: str, words: DecisionWords) -> DecisionWords:
    """Return ``words`` with the one-time code: as given, from ``LAKEGATE_CODE``, or asked for, hidden, on a terminal.

    Everything else is checked before, so that nobody types a code for nothing.

    Raises:
        BadInput: no code was given, and nobody sits at a terminal.
        NotApproved: the person may not decide, or there is nothing to decide on.
    """
    client = LakeClient(settings)
    request = _waiting_request(client, model)
    if releases.find_decision(client, request) is not None:
        return words
    releases.require_may_decide(client, request, words)
    return replace(words, code=words.code or os.environ.get(CODE_VARIABLE, "") or _typed_code())


def _waiting_request(client: LakeClient, model: str) -> ReleaseRequest:
    request = releases.open_request(client, model)
    if request.release in releases.release_numbers(client, model):
        raise NotApproved(f"nothing of {model} waits for approval: release {request.release} was approved before")
    return request


def _typed_code() -> str:
    if not sys.stdin.isatty():
        raise BadInput(
            f"a decision needs the approver's one-time code: type it when asked on a terminal, or give it as {CODE_VARIABLE} "
            "or --code"
        )
    from getpass import getpass

    return getpass("one-time code (6 digits, not shown): ")


def demo_code(settings: Settings, model: str) -> str:
    """Return a one-time code of the approver whom the demo plays, enrolled on first use.

    This shows the way of a code, not its protection: the demo reads the secret that only a person's phone should hold.

    Raises:
        BadInput: roles.toml does not let the demo's approver decide on this model.
    """
    if not may_approve(load_roles(settings), load_model(settings, model), DEMO_APPROVER):
        raise BadInput(
            f"the demo plays '{DEMO_APPROVER}', who may not decide on {model} by {settings.checkout / ROLES_FILE}; name it "
            "there while you try the demo, or approve yourself: `make demo APPROVE=manual`"
        )
    try:
        return one_time_codes.next_code(settings, DEMO_APPROVER)
    except UnknownName:
        one_time_codes.enrol(settings, DEMO_APPROVER)
        return one_time_codes.next_code(settings, DEMO_APPROVER)


def _waiting_run(settings: Settings, request: ReleaseRequest) -> str | None:
    """Return the id of the suspended run of release-model that proposed this request; ``None`` where there is none."""
    if not settings.prefect_api_url:
        return None
    asked = {"flows": {"name": {"any_": ["release-model"]}}, "flow_runs": {"state": {"type": {"any_": ["PAUSED"]}}}}
    try:
        found = PrefectApi(settings.prefect_api_url).every("flow_runs/filter", {**asked, "sort": "EXPECTED_START_TIME_DESC"})
    except NoAnswer:
        return None  # no server, so nothing waits there: the release is finished here
    lake = LakeClient(settings)
    return next((str(run["id"]) for run in found if _proposed(lake, str(run["id"])) == request), None)


def _proposed(lake: LakeClient, run_id: str) -> ReleaseRequest | None:
    return read_document(lake, EVIDENCE, f"flow-runs/{run_id}.json", ReleaseRequest)


def _resume(settings: Settings, run_id: str, decision: Decision) -> None:
    form = {"decision": decision.decision, "approver": decision.approver, "reason": decision.reason, "code": ""}
    PrefectApi(settings.prefect_api_url).resume(run_id, form)
