"""One release at a time of the same thing: of several flow runs on one (model, versions, recipe, seed, code), one goes on.

Lamport's bakery algorithm on the tags of the flow runs, which every process reads and only its own run writes. So a killed
process leaves no lock behind: a run that ended does not count, whatever its tags say.
"""

import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prefect import runtime
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort

from lakegate.errors import ServiceUnavailable
from lakegate.flow_run_words import LEFT_TO
from tasks.running import settings_for, step

FLOW = "release-model"
CLAIMS = "release:"
CHOOSING = "release-ticket:choosing"
TICKET = "release-ticket:"
UNDER_WAY = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.PAUSED]
CHOOSING_TIMEOUT_S = 30.0
POLL_S = 0.2
PAGE = 200


@dataclass(frozen=True)
class Claim:
    """What the tags of one flow run say; ``ticket`` is 0 while the run still chooses one."""

    run: FlowRun
    ticket: int

    @property
    def order(self) -> tuple[int, str]:
        """The lowest goes on."""
        return self.ticket, str(self.run.id)


@step
def claim(model: str, run_id: str) -> str:
    """Return "" where this flow run is the one that releases this run of the model; else a sentence naming the one that is.

    A run outside a deployment claims nothing. A run that waited for its approval keeps what it claimed before.

    Raises:
        ServiceUnavailable: another flow run began to claim and does not go on.
    """
    if not runtime.deployment.id or not runtime.flow_run.id:
        return ""
    with get_client(sync_client=True) as client:
        other = take(client, UUID(str(runtime.flow_run.id)), release_tag(model, run_id))
    if other is None:
        return ""
    return _sentence(model, run_id, other)


def take(client: SyncPrefectClient, flow_run: UUID, name: str) -> FlowRun | None:
    """Tag a flow run with ``name`` and return None, or return the flow run that has it; of two at once, one gets it.

    Raises:
        ServiceUnavailable: another flow run began to claim and does not go on.
    """
    own = client.read_flow_run(flow_run)
    if any(tag.startswith(CLAIMS) for tag in own.tags) and _waited(client, own):
        return None  # also where the code or the declaration changed meanwhile: it goes on with what it proposed
    foreign = [tag for tag in own.tags if not tag.startswith((CLAIMS, TICKET, LEFT_TO))]
    client.update_flow_run(own.id, tags=[*foreign, name, CHOOSING])
    ticket = 1 + max((other.ticket for other in _others(client, name, own)), default=0)
    client.update_flow_run(own.id, tags=[*foreign, name, f"{TICKET}{ticket}"])
    first = min(_settled(client, name, own), key=lambda other: other.order, default=None)
    if first is None or (ticket, str(own.id)) < first.order:
        return None
    client.update_flow_run(own.id, tags=[*foreign, f"{LEFT_TO}{first.run.id}"])
    return first.run


def release_tag(model: str, run_id: str) -> str:
    """Return the tag of the flow run that releases this run of the model."""
    return f"{CLAIMS}{model}-{run_id}"


def runs_of_releases(client: SyncPrefectClient) -> list[FlowRun]:
    """Return all flow runs of release-model that the server knows, newest first, whatever their state."""
    flow = FlowFilter(name=FlowFilterName(any_=[FLOW]))
    found: list[FlowRun] = []
    while page := client.read_flow_runs(
        flow_filter=flow, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=PAGE, offset=len(found)
    ):
        found += page
        if len(page) < PAGE:
            break
    return found


def left_to(run: FlowRun) -> str:
    """Return the id of the flow run that this one left its release to; "" where it did not."""
    return next((tag.removeprefix(LEFT_TO) for tag in run.tags if tag.startswith(LEFT_TO)), "")


def _others(client: SyncPrefectClient, name: str, own: FlowRun) -> list[Claim]:
    """Return what other flow runs that have not ended claim."""
    found = client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=[FLOW])),
        flow_run_filter=FlowRunFilter(
            tags=FlowRunFilterTags(all_=[name]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=UNDER_WAY)),
        ),
    )
    return [Claim(run, _ticket(run)) for run in found if run.id != own.id]


def _settled(client: SyncPrefectClient, name: str, own: FlowRun) -> list[Claim]:
    """Return the claims of the others once none of them is choosing."""
    deadline = time.monotonic() + CHOOSING_TIMEOUT_S
    while True:
        others = _others(client, name, own)
        choosing = [other.run.name for other in others if not other.ticket]
        if not choosing:
            return others
        if time.monotonic() > deadline:
            raise ServiceUnavailable(
                f"the flow run '{choosing[0]}' began to claim the same release {CHOOSING_TIMEOUT_S:.0f} s ago and does not "
                "go on; cancel it in the Prefect UI, then run this one again"
            )
        time.sleep(POLL_S)


def _ticket(run: FlowRun) -> int:
    digits = [tag.removeprefix(TICKET) for tag in run.tags if tag.startswith(TICKET) and tag != CHOOSING]
    return int(digits[0]) if digits else 0


def _waited(client: SyncPrefectClient, own: FlowRun) -> bool:
    """Tell whether this run comes back from waiting for a person, not from an end."""
    history: list[Any] = client.read_flow_run_states(own.id)
    stops = [state for state in history if state.is_paused() or state.is_final()]
    return bool(stops) and max(stops, key=lambda state: state.timestamp).is_paused()


def _sentence(model: str, run_id: str, other: FlowRun) -> str:
    state = other.state_name or "state unknown"
    ui = settings_for("").prefect_api_url.removesuffix("/api")
    return (
        f"run {run_id} of {model} is being released by the flow run '{other.name}' already ({state}): "
        f"{ui}/runs/flow-run/{other.id}; nothing was done here"
    )
