"""The automation that marks a flow run as Crashed whose process and worker are both gone; recognised by its name."""

import os
from typing import Any

from infra.prefect_api import PrefectApi
from lakegate.errors import SetupProblem

ZOMBIE_NAME = "Lakegate: a flow run without a sign of life is Crashed"
ZOMBIE_AFTER_S = 100
"""More than three heartbeats of 30 s; LAKEGATE_ZOMBIE_S replaces it, at least two heartbeats."""

SHORTEST_S = 60
ENDS = ("Completed", "Failed", "Cancelled", "Cancelling", "Crashed")
WAITS = ("Suspended", "Paused", "Scheduled", "AwaitingRetry")
SIGNS = ("heartbeat", *ENDS, *WAITS)


def ensure_zombie_automation(api: PrefectApi) -> None:
    """Create the automation, or bring the one that is there up to date."""
    wanted = zombie_automation(_silence_s())
    found = api.post("automations/filter", {"automations": {"name": {"any_": [ZOMBIE_NAME]}}})
    if not found:
        api.post("automations/", wanted)
    elif not all(_holds(found[0].get(key), value) for key, value in wanted.items()):
        api.change("PUT", f"automations/{found[0]['id']}", wanted)


def zombie_automation(after_s: int) -> dict[str, Any]:
    """Return the automation that marks a run as Crashed after ``after_s`` without a heartbeat.

    Prefect's own worker notices only the death of a run whose worker lives. A run that waits for a person (Suspended,
    Paused) is none. Runs without a deployment are left alone: their heartbeat may be Prefect's default of 180 s.
    Source: Prefect's documentation, "Detect zombie flows".
    """
    return {
        "name": ZOMBIE_NAME,
        "description": "Set up by `lakegate up`. It does not end a process; a run on a GPU ends with its worker.",
        "enabled": True,
        "trigger": {
            "type": "event",
            "posture": "Proactive",
            "match": {"prefect.resource.id": "prefect.flow-run.*"},
            "match_related": {"prefect.resource.role": "deployment"},
            "for_each": ["prefect.resource.id"],
            "after": ["prefect.flow-run.heartbeat"],
            "expect": [f"prefect.flow-run.{sign}" for sign in SIGNS],
            "threshold": 1,
            "within": after_s,
        },
        "actions": [
            {
                "type": "change-flow-run-state",
                "state": "CRASHED",
                "message": f"No sign of life for {after_s} s: the process or its machine is gone.",
            }
        ],
    }


def _silence_s() -> int:
    text = os.environ.get("LAKEGATE_ZOMBIE_S", "")
    if not text:
        return ZOMBIE_AFTER_S
    if not text.isdigit() or int(text) < SHORTEST_S:
        raise SetupProblem(f"LAKEGATE_ZOMBIE_S = '{text}': expected whole seconds, at least {SHORTEST_S} (two heartbeats)")
    return int(text)


def _holds(found: Any, wanted: Any) -> bool:
    """Tell whether ``found`` says what ``wanted`` says; the server adds ids, defaults and an order of its own."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(_holds(found.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list) and all(isinstance(item, str) for item in wanted):
        return isinstance(found, list) and sorted(map(str, found)) == sorted(wanted)
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(_holds, found, wanted))
    return bool(found == wanted)
