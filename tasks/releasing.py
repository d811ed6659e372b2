"""How a release moves: planned, proposed in staging, promoted after the decision, rolled back."""

from prefect import get_run_logger, runtime

from lakegate.lake.client import LakeClient
from lakegate.lifecycle import release, serving
from lakegate.lifecycle.release import ReleasePlan
from lakegate.lifecycle.release_page import release_page_url, release_words
from lakegate.registry.documents import EngineOutcome, ReleaseRequest
from tasks.artifacts import artifact_key, show_link, show_text
from tasks.running import settings_for, step


@step
def plan_release(model: str, version: str, seed: int, requested_by: str) -> ReleasePlan:
    """Pin what will be trained, and refuse code that could not be found again."""
    settings = settings_for(requested_by)
    chosen_seed = None if seed < 0 else seed
    flow_run = str(runtime.flow_run.id or "")
    return release.plan_release(LakeClient(settings), settings, model, version, chosen_seed, flow_run, requested_by)


def say(sentence: str) -> str:
    """Put a sentence into the log of the run; return it as the run's end."""
    get_run_logger().info(sentence)
    return sentence


@step
def is_exported(plan: ReleasePlan) -> bool:
    """Ask the registry whether model.onnx is there."""
    return release.is_exported(LakeClient(settings_for("")), plan)


@step
def is_compared(plan: ReleasePlan) -> bool:
    """Ask the registry whether this candidate was compared with what is in production now."""
    settings = settings_for("")
    return release.is_compared(LakeClient(settings), settings, plan)


@step
def propose(plan: ReleasePlan, engines: tuple[EngineOutcome, ...]) -> ReleaseRequest:
    """Put a candidate whose gate passed into staging: served, tested, with its release page."""
    settings = settings_for(plan.requested_by)
    request = release.propose(LakeClient(settings), settings, plan, engines)
    page = release_page_url(settings, request)
    show_link(artifact_key("release-page", plan.model), page, f"Release page: {request.model} release {request.release}")
    show_text(artifact_key("release", plan.model), release_words(request, page))
    return request


@step
def finish(request: ReleaseRequest) -> str:
    """Serve and promote what was approved; say what happened."""
    sentence = release.finish(LakeClient(settings_for("")), request)
    get_run_logger().info(sentence)
    return sentence


@step
def roll_back(model: str, number: int, requested_by: str) -> str:
    """Serve another release, test it there, and write the pointer to it."""
    settings = settings_for(requested_by)
    pointer, served = serving.roll_back(LakeClient(settings), settings, model, number, settings.user)
    before = f"after release {pointer.previous}" if pointer.previous else "the first"
    sentence = f"{model}: release {pointer.release} is in production, {before} ({served})"
    get_run_logger().info(sentence)
    return sentence
