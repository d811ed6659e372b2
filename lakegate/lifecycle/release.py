"""From a judged run to production, as one request that a person decides on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lakegate.catalog import load_dataset
from lakegate.declarations import ResourcesTable
from lakegate.errors import GateFailed, RegistryError
from lakegate.gate_rules import Outcome
from lakegate.lake.client import LakeClient
from lakegate.lake.versions import publisher_of
from lakegate.lifecycle import comparison
from lakegate.lifecycle.comparison import ComparisonPlan, StoredComparison
from lakegate.lifecycle.engine_run import engines_gate
from lakegate.lifecycle.release_facts import gather_facts, keep_facts
from lakegate.lifecycle.release_page import save_release_page
from lakegate.lifecycle.serving import serve_release, stage_candidate
from lakegate.lifecycle.training_run import RunPlan, plan_run
from lakegate.registry import releases, runs
from lakegate.registry.documents import EngineOutcome, Release, ReleaseRequest
from lakegate.registry.roles import load_roles, propose_reviewers, team_members
from lakegate.registry.store import EVIDENCE, put_evidence, read_document, read_pointer
from lakegate.serving.functional_cases import load_cases
from lakegate.settings import Settings


@dataclass(frozen=True)
class ReleasePlan:
    """What a release will train and judge, pinned.

    ``proposed``: what this flow run put into staging before it waited. ``done``: why there is nothing left to do, "" where
    there is.
    """

    training: RunPlan
    is_trained: bool
    requested_by: str
    flow_run_id: str
    proposed: ReleaseRequest | None
    done: str = ""

    @property
    def model(self) -> str:
        return self.training.model

    @property
    def resources(self) -> ResourcesTable:
        """What the training needs; chooses its work pool."""
        return self.training.declaration.resources

    @property
    def references(self) -> list[str]:
        """The versions as ``dataset@tag``."""
        return [version.reference for version in self.training.versions]

    @property
    def training_parameters(self) -> dict[str, Any]:
        """Parameters of the flow train_model."""
        return {
            "model": self.model,
            "versions": self.references,
            "seed": self.training.seed,
            "requested_by": self.requested_by,
        }

    @property
    def export_parameters(self) -> dict[str, Any]:
        """Parameters of the flow export_model."""
        return {"model": self.model, "run": self.training.run_id}

    @property
    def comparison_parameters(self) -> dict[str, Any]:
        """Parameters of the flow compare_models."""
        return {"model": self.model, "candidate": self.training.run_id, "versions": self.references}


def plan_release(
    client: LakeClient,
    settings: Settings,
    model: str,
    version: str,
    seed: int | None,
    flow_run_id: str = "",
    requested_by: str = "",
) -> ReleasePlan:
    """Pin what will be trained; an empty ``version`` is the newest attested one.

    The author is ``requested_by``; where that is empty, who published the version that the release is for.

    A flow run that waited for its approval goes on with what it proposed then, also where code, data or declaration
    changed meanwhile: a person approved that, and nothing else.

    Raises:
        RegistryError: the code is not committed, so a release could not be traced to it.
        BadDeclaration: deployments/roles.toml is missing, or does not know the model's team.
    """
    training = plan_run(client, settings, model, [version] if version else [], seed)
    team_members(load_roles(settings), training.declaration)  # a team that nobody knows is told before anything is trained
    load_cases(settings, model, load_dataset(settings, training.versions[0].dataset).labels)  # as is a case that cannot be read
    author = requested_by.strip() or _publisher(client, training, version) or settings.user
    proposed = read_document(client, EVIDENCE, _own_path(flow_run_id), ReleaseRequest) if flow_run_id else None
    if proposed is not None:
        return ReleasePlan(training, True, author, flow_run_id, proposed)
    if training.code.problem and not settings.allow_dirty_release:
        raise RegistryError(
            f"this code may train, but not release: {training.code.problem}; commit it, then release again"
        )
    is_trained = runs.find_run(client, model, training.run_id) is not None
    done = _released_already(client, model, training.run_id) if is_trained else ""
    return ReleasePlan(training, is_trained, author, flow_run_id, None, done)


def _released_already(client: LakeClient, model: str, run_id: str) -> str:
    release, standing = releases.release_of_run(client, model, run_id), releases.in_production(client, model)
    if release is None or standing is None:
        return ""
    if release.number == standing.number:
        return f"run {run_id} is release {release.number} of {model}, which is in production already"
    return (
        f"run {run_id} is release {release.number} of {model} already, and production has release {standing.number}; "
        f"`lakegate model roll-back {model} {release.number}` puts it back"
    )


def _publisher(client: LakeClient, training: RunPlan, version: str) -> str:
    """Return who published the version that the release was asked for, or the first that it trains on."""
    asked = [item for item in training.versions if item.reference == version]
    return publisher_of(client, (asked or list(training.versions))[0])


def _own_path(flow_run_id: str) -> str:
    return f"flow-runs/{flow_run_id}.json"


def is_exported(client: LakeClient, plan: ReleasePlan) -> bool:
    """Return True where the run has its model.onnx."""
    if plan.proposed is not None:
        return True
    return runs.find_artifact(client, plan.model, plan.training.run_id, runs.ONNX) is not None


def plan_comparison(client: LakeClient, settings: Settings, plan: ReleasePlan) -> ComparisonPlan:
    """Compare with what is in production now, on the versions that the candidate trained on."""
    return comparison.plan_comparison(
        client, settings, plan.model, plan.training.run_id, comparison.PRODUCTION, plan.references
    )


def is_compared(client: LakeClient, settings: Settings, plan: ReleasePlan) -> bool:
    """Return True where the evidence of this comparison is there."""
    if plan.proposed is not None:
        return True
    return comparison.find_comparison(client, plan_comparison(client, settings, plan).key) is not None


def propose(
    client: LakeClient, settings: Settings, plan: ReleasePlan, engines: Sequence[EngineOutcome] = ()
) -> ReleaseRequest:
    """Serve the candidate on staging, test it there, and put the request with its page before the approver.

    Raises:
        GateFailed: the verdict is not PASS, the served interface changed, or a functional test failed; nothing moves. Or a
            demanded engine is not built: the request and its page say so, and it cannot be approved.
    """
    if plan.proposed is not None:
        return plan.proposed
    compared = plan_comparison(client, settings, plan)
    judged = comparison.require_comparison(client, compared)
    if judged.verdict != Outcome.PASS:
        raise GateFailed(f"{judged.sentence} Nothing was staged; the report says which samples to look at")
    standing = releases.in_production(client, plan.model)
    if standing is not None and standing.run.run_id == plan.training.run_id:
        return standing.request
    request = _draft(client, plan, compared, judged, standing)
    same = _same_in_staging(client, request, engines)
    if same is None:
        staged = stage_candidate(client, settings, compared.declaration, request.release, request.candidate)
        served = {"engines": tuple(engines), "functional": staged.functional, "served": staged.served}
        request = _put_before_approver(client, settings, compared, request.model_copy(update=served))
    else:
        request = same
        save_release_page(client, settings, request)  # a kill between the pointer and the page left none
    if plan.flow_run_id:
        put_evidence(client, {_own_path(plan.flow_run_id): request.to_bytes()}, f"flow run {plan.flow_run_id} waits")
    missing = engines_gate(request.engines)
    if missing:
        raise GateFailed(f"release {request.release} of {request.model} stays in staging: {missing}")
    return request


def _draft(
    client: LakeClient, plan: ReleasePlan, compared: ComparisonPlan, judged: StoredComparison, standing: Release | None
) -> ReleaseRequest:
    return ReleaseRequest(
        model=plan.model,
        release=releases.next_release_number(client, plan.model),
        candidate=compared.candidate,
        replaces=0 if standing is None else standing.number,
        baseline=compared.baseline,
        versions=tuple(plan.references),
        content_digests=tuple(version.content_digest for version in plan.training.versions),
        declaration_digest=compared.declaration.digest,
        operating=compared.declaration.operating,
        code_commit=_code_name(plan),
        verdict=judged.verdict,
        verdict_sentence=judged.sentence,
        comparison=compared.key,
        evidence_digest=judged.evidence_digest,
        requested_by=plan.requested_by,
    )


def _same_in_staging(client: LakeClient, draft: ReleaseRequest, engines: Sequence[EngineOutcome]) -> ReleaseRequest | None:
    """Return the request in staging where it is this one already: what was staged, shown or decided is not done again."""
    if read_pointer(client, "staging", draft.model) is None:
        return None
    shown = releases.open_request(client, draft.model)
    later = {"engines", "functional", "served", "page_digest", "reviewers", "requested_by", "code_commit"}
    is_same = shown.model_dump(exclude=later) == draft.model_dump(exclude=later) and shown.engines == tuple(engines)
    return shown if is_same else None


def _put_before_approver(
    client: LakeClient, settings: Settings, compared: ComparisonPlan, draft: ReleaseRequest
) -> ReleaseRequest:
    """Bind the request to the facts of its page, propose reviewers, write pointer and page."""
    facts = gather_facts(client, settings, draft)
    keep_facts(client, facts)
    reviewers = propose_reviewers(load_roles(settings), compared.declaration, draft.requested_by, facts.digest)
    request = draft.model_copy(update={"page_digest": facts.digest, "reviewers": reviewers})
    releases.propose(client, request)
    save_release_page(client, settings, request)
    return request


def _code_name(plan: ReleasePlan) -> str:
    code = plan.training.code
    return f"{code.commit or 'no commit'}{'+not committed' if code.is_dirty else ''}"


def finish(client: LakeClient, request: ReleaseRequest) -> str:
    """Serve an approved request in production, then promote it; return a sentence on how it stands.

    Raises:
        ServingError, GateFailed: production could not serve it, or it failed its functional tests there; what was served
            before is served again, and the pointer did not move.
        NotApproved: the approval is stale, or an engine that model.toml demands is not built.
    """
    decision = releases.find_decision(client, request)
    name = f"release {request.release} of {request.model}"
    if decision is None:
        return (
            f"{name} is in staging and waits for approval by somebody other than {request.requested_by}: "
            f"lakegate model approve {request.model} --by NAME --reason TEXT"
        )
    who = f"{decision.approver} ({decision.identity})"
    if decision.decision == "reject":
        save_release_page(client, client.settings, request, decision)
        return f"{name} was rejected by {who}: {decision.reason}; production is as it was"
    said: list[str] = []
    pointer = releases.promote(client, request, lambda: said.append(_serve(client, request)))
    save_release_page(client, client.settings, request, decision)
    served = f" ({said[0]})" if said else ""
    return f"release {pointer.release} of {request.model} is in production, approved by {who}: {decision.reason}{served}"


def _serve(client: LakeClient, request: ReleaseRequest) -> str:
    return serve_release(client, client.settings, request.model, request.release, request.candidate, request.operating)
