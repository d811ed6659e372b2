"""The release that an event started: found by model and version, followed stage by stage."""

import time
from dataclasses import dataclass
from typing import Any

from infra.prefect_api import PrefectApi
from lakegate.errors import ServiceUnavailable
from lakegate.settings import Settings
from lakegate_cli.flow_runs import ENDS, Until, prepare_environment

EVENT_TIMEOUT_S = 120.0
POLL_S = 0.5
AUTOMATION = "AUTOMATION"


@dataclass(frozen=True)
class EventRun:
    """A flow run of release-model, and what started it: the name of an automation, or "" for a person or a schedule."""

    id: str
    name: str
    automation: str
    is_under_way: bool


def wait_for_event_run(settings: Settings, model: str, reference: str) -> EventRun:
    """Return the release that the event of the tag of ``dataset@tag`` started.

    Where that flow run left its release to another one, that one is returned.

    Raises:
        ServiceUnavailable: none came within two minutes.
    """
    deadline = time.monotonic() + EVENT_TIMEOUT_S
    while True:
        found = [run for run in release_runs(settings, model, reference) if run.automation]
        if found:
            return found[0]
        if time.monotonic() > deadline:
            dataset = reference.partition("@")[0]
            raise ServiceUnavailable(
                f"no release of {model} was started by the tag {reference} within {EVENT_TIMEOUT_S:.0f} s; the run of the hook "
                f"announce_version in the actions of the lakeFS repository '{dataset}' says why; `lakegate model release "
                f"{model} --version {reference}` starts it by hand, reconcile-events within a quarter of an hour"
            )
        time.sleep(POLL_S)


def release_runs(settings: Settings, model: str, reference: str) -> list[EventRun]:
    """Return the flow runs that release ``model`` on a version, newest first; those that left it to another one do not."""
    prepare_environment(settings)
    from prefect.client.orchestration import get_client

    from tasks.under_way import left_to, runs_of_releases

    with get_client(sync_client=True) as client:
        found = [
            run
            for run in runs_of_releases(client)
            if (run.parameters.get("model"), run.parameters.get("version")) == (model, reference)
        ]
    automations = {left_to(run) or str(run.id): _automation(run) for run in found if _automation(run)}
    own = [run for run in found if not left_to(run)]
    return [EventRun(str(run.id), run.name, automations.get(str(run.id), ""), _is_under_way(run)) for run in own]


def start_release(settings: Settings, model: str, reference: str) -> EventRun:
    """Start a release by hand and return at once."""
    prepare_environment(settings)
    from prefect.deployments import run_deployment

    parameters = {"model": model, "version": reference, "requested_by": settings.user}
    run: Any = run_deployment("release-model/control", parameters=parameters, timeout=0, as_subflow=False)
    return EventRun(str(run.id), run.name, "", True)


def training_is_over(run_id: str) -> Until:
    """Return a predicate for ``follow_run``: the training of that release ended, or it goes on with what it found."""

    def is_over(api: PrefectApi) -> bool:
        def children(*flows: str) -> list[Any]:
            asked = {"flows": {"name": {"any_": list(flows)}}, "flow_runs": {"parent_flow_run_id": {"any_": [run_id]}}}
            return api.every("flow_runs/filter", asked)

        trainings = children("train-model")
        if trainings:
            return all(run["state_type"] in ENDS for run in trainings)
        return bool(children("export-model", "compare-models"))

    return is_over


def _is_under_way(run: Any) -> bool:
    return run.state is not None and not run.state.is_final()


def _automation(run: Any) -> str:
    made_by = run.created_by
    return str(made_by.display_value) if made_by is not None and made_by.type == AUTOMATION else ""
