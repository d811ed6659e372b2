"""Automations that keep one machine's Prefect honest; created once each, recognised by name."""

from typing import Any

from infra.prefect_api import PrefectApi

ZOMBIE_NAME = "Lakegate: a flow run without a sign of life is Crashed"
ZOMBIE_AFTER_S = 600
"""At least three heartbeats, also for runs outside a worker, whose heartbeat is Prefect's default of 180 s."""

ENDS = ("Completed", "Failed", "Cancelled", "Cancelling", "Crashed")
WAITS = ("Suspended", "Paused", "Scheduled", "AwaitingRetry")
SIGNS = ("heartbeat", *ENDS, *WAITS)


def ensure_automations(api: PrefectApi) -> None:
    """Create the automations that are missing."""
    found = api.post("automations/filter", {"automations": {"name": {"any_": [ZOMBIE_NAME]}}})
    if not found:
        api.post("automations/", zombie_automation())


def zombie_automation() -> dict[str, Any]:
    """Return the automation that marks a run as Crashed whose process and worker were killed.

    Prefect's own worker notices only the death of a run whose worker lives. A run that waits for a person (Suspended,
    Paused) is none. Source: Prefect's documentation, "Detect zombie flows".
    """
    return {
        "name": ZOMBIE_NAME,
        "description": "Set up by `lakegate up`. It does not end a process.",
        "enabled": True,
        "trigger": {
            "type": "event",
            "posture": "Proactive",
            "match": {"prefect.resource.id": "prefect.flow-run.*"},
            "for_each": ["prefect.resource.id"],
            "after": ["prefect.flow-run.heartbeat"],
            "expect": [f"prefect.flow-run.{sign}" for sign in SIGNS],
            "threshold": 1,
            "within": ZOMBIE_AFTER_S,
        },
        "actions": [
            {
                "type": "change-flow-run-state",
                "state": "CRASHED",
                "message": f"No sign of life for {ZOMBIE_AFTER_S} s: the process or its machine is gone.",
            }
        ],
    }
