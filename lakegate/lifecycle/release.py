"""From a judged run to production, as one request that a person decides on."""

from dataclasses import dataclass
from typing import Any

from lakegate.errors import GateFailed, RegistryError
from lakegate.gate_rules import Outcome
from lakegate.lake.client import LakeClient
from lakegate.lifecycle import comparison
from lakegate.lifecycle.comparison import ComparisonPlan
from lakegate.lifecycle.training_run import RunPlan, plan_run
from lakegate.registry import releases, runs
from lakegate.registry.documents import ReleaseRequest
from lakegate.registry.store import EVIDENCE, put_evidence, read_document
from lakegate.settings import Settings


@dataclass(frozen=True)
class ReleasePlan:
    """What a release will train and judge, pinned. ``proposed``: what this flow run put into staging before it waited."""

    training: RunPlan
    is_trained: bool
    requested_by: str
    flow_run_id: str
    proposed: ReleaseRequest | None

    @property
    def model(self) -> str:
        return self.training.model

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
    client: LakeClient, settings: Settings, model: str, version: str, seed: int | None, flow_run_id: str = ""
) -> ReleasePlan:
    """Pin what will be trained; an empty ``version`` is the newest attested one.

    A flow run that waited for its approval goes on with what it proposed then, also where code, data or declaration
    changed meanwhile: a person approved that, and nothing else.

    Raises:
        RegistryError: the code is not committed, so a release could not be traced to it.
    """
    training = plan_run(client, settings, model, [version] if version else [], seed)
    proposed = read_document(client, EVIDENCE, _own_path(flow_run_id), ReleaseRequest) if flow_run_id else None
    if proposed is not None:
        return ReleasePlan(training, True, settings.user, flow_run_id, proposed)
    if training.code.problem and not settings.allow_dirty_release:
        raise RegistryError(
            f"this code may train, but not release: {training.code.problem}; commit it, then release again"
        )
    is_trained = runs.find_run(client, model, training.run_id) is not None
    return ReleasePlan(training, is_trained, settings.user, flow_run_id, None)


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


def propose(client: LakeClient, settings: Settings, plan: ReleasePlan) -> ReleaseRequest:
    """Put the candidate into staging.

    Raises:
        GateFailed: the verdict is not PASS; nothing moves.
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
    request = ReleaseRequest(
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
    releases.propose(client, request)
    if plan.flow_run_id:
        put_evidence(client, {_own_path(plan.flow_run_id): request.to_bytes()}, f"flow run {plan.flow_run_id} waits")
    return request


def _code_name(plan: ReleasePlan) -> str:
    code = plan.training.code
    return f"{code.commit or 'no commit'}{'+not committed' if code.is_dirty else ''}"


def finish(client: LakeClient, request: ReleaseRequest) -> str:
    """Promote an approved request; return a sentence on how it stands."""
    decision = releases.find_decision(client, request)
    name = f"release {request.release} of {request.model}"
    if decision is None:
        return (
            f"{name} is in staging and waits for approval by somebody other than {request.requested_by}: "
            f"lakegate model approve {request.model} --by NAME --reason TEXT"
        )
    who = f"{decision.approver} ({decision.identity})"
    if decision.decision == "reject":
        return f"{name} was rejected by {who}: {decision.reason}; production is as it was"
    pointer = releases.promote(client, request)
    return f"release {pointer.release} of {request.model} is in production, approved by {who}: {decision.reason}"


def request_markdown(request: ReleaseRequest) -> str:
    """Return what an approver needs to know, with where to look further."""
    replaced = f"release {request.replaces}" if request.replaces else "nothing (first release)"
    return (
        f"### Release {request.release} of {request.model}\n\n"
        f"**{request.verdict.upper()}:** {request.verdict_sentence}\n\n"
        f"| | |\n|---|---|\n"
        f"| candidate | run {request.candidate.run_id} |\n"
        f"| trained and judged on | {', '.join(request.versions)} |\n"
        f"| replaces | {replaced} |\n"
        f"| code | {request.code_commit[:60]} |\n"
        f"| asked for by | {request.requested_by} (unauthenticated) |\n"
        f"| evidence | {request.evidence_digest[:16]} |\n\n"
        f"Decide with the form of this run, or `lakegate model approve {request.model} --by NAME --reason TEXT`. "
        f"To go back afterwards: `lakegate model roll-back {request.model} {request.replaces or 'RELEASE'}`.\n"
    )
