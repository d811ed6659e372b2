"""How production is watched: each model with a release there, as a page, an event and the evidence; nothing is decided."""

from datetime import UTC, datetime

from prefect import get_run_logger
from prefect.events import emit_event

from lakegate.catalog import model_names
from lakegate.lake.client import LakeClient
from lakegate.lifecycle import watch
from lakegate.lifecycle.watch import WatchReport
from lakegate.monitoring.frames import Window
from tasks.artifacts import artifact_key, show_link
from tasks.running import settings_for, step

EVENT = "lakegate.drift"


@step
def find_models(model: str) -> list[str]:
    """Return the model that was named; without a name all that have a release in production."""
    settings = settings_for("")
    return [model] if model else watch.watched_models(LakeClient(settings), model_names(settings))


@step
def compare_frames(model: str, window_days: float, max_frames: int) -> WatchReport:
    """Compare the frames that serving kept with what the release was trained on."""
    settings = settings_for("")
    client = LakeClient(settings)
    plan = watch.plan_watch(client, model, Window.last_days(window_days, datetime.now(UTC), max_frames))
    report = watch.watch(client, settings, plan)
    get_run_logger().info("%s: %s: %s", model, report.facts.outcome.upper(), report.facts.sentence)
    return report


def announce(report: WatchReport) -> None:
    """Send the event that automations may listen to, whatever the outcome is."""
    facts = report.facts
    emit_event(
        event=EVENT,
        resource={
            "prefect.resource.id": f"lakegate.model.{facts.model}",
            "prefect.resource.name": facts.model,
            "lakegate.outcome": facts.outcome,
        },
        payload={
            "model": facts.model,
            "release": facts.release,
            "outcome": facts.outcome,
            "sentence": facts.sentence,
            "frames": facts.n_frames,
            "evidence": f"{facts.evidence}.json",
            "page": report.page.url,
        },
    )


def show_report(report: WatchReport) -> str:
    """Leave the page on the run; return the verdict as a sentence."""
    facts = report.facts
    title = f"Drift of {facts.model} release {facts.release}: {facts.outcome}"
    show_link(artifact_key("drift", facts.model), report.page.url, title)
    return f"{facts.model} release {facts.release}: {facts.outcome.upper()}: {facts.sentence}"
