"""Judge a candidate: pin both sides, evaluate, keep the evidence under a key that the inputs determine."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

from lakegate.canonical import exact_json, sha256_bytes
from lakegate.catalog import load_model, split_reference
from lakegate.code_version import read_code_version
from lakegate.declarations import ModelDeclaration, Precision
from lakegate.errors import RegistryError, VersionNotFound
from lakegate.evaluation.comparing import compare
from lakegate.evaluation.gate import judge as judge_gate
from lakegate.evaluation.own_metrics import code_digests
from lakegate.evaluation.report import evidence_digest, matrix_json, matrix_markdown, render_matrix_html
from lakegate.evaluation.seed_noise import SeedNoise
from lakegate.evaluation.waivers import in_force, today_utc
from lakegate.lake.client import LakeClient
from lakegate.lake.local_version import DatasetVersion
from lakegate.lake.versions import newest_attested
from lakegate.lifecycle.comparison_inputs import open_inputs, require_record, versions_of_run
from lakegate.lifecycle.flip_versions import name_versions
from lakegate.lifecycle.judged_file import AS_SERVED, runtime_words
from lakegate.lifecycle.kept_noise import find_noise
from lakegate.lifecycle.matrix_tracking import keep_for_publishing, make_report, track_comparison
from lakegate.lifecycle.training_run import pin_versions
from lakegate.pages import Page
from lakegate.pages import save_page as write_page
from lakegate.registry import releases, runs
from lakegate.registry.documents import Document, RunReference
from lakegate.registry.store import EVIDENCE, REPOSITORY, ensure_registry, put_evidence, read_document
from lakegate.settings import Settings
from lakegate.thumbnails import Thumbnails

PRODUCTION, NONE = "production", "none"
Say = Callable[[str], None]


@dataclass(frozen=True)
class ComparisonPlan:
    """Both sides pinned. ``versions[0]`` is judged; ``baseline_versions`` are those that the baseline trained on."""

    model: str
    candidate: RunReference
    baseline: RunReference | None
    versions: tuple[DatasetVersion, ...]
    baseline_versions: tuple[DatasetVersion, ...]
    further: tuple[tuple[str, DatasetVersion], ...]  # reference in [data] evaluate, version
    declaration: ModelDeclaration
    code_digest: str
    waivers_in_force: tuple[str, ...] = ()  # keys of rules, on the day of the plan
    own_metrics: tuple[str, ...] = ()  # digests of the modules with the functions of [metrics]
    seed_noise: SeedNoise | None = None  # of the baseline's recipe
    precision: Precision = AS_SERVED  # of the candidate

    @property
    def key(self) -> str:
        """SHA-256 over everything that determines the matrix and the verdict."""
        content = {
            "candidate": self.candidate.model_sha256,
            "baseline": "" if self.baseline is None else self.baseline.model_sha256,
            "versions": [item.content_digest for item in self.versions],
            "baseline_versions": [item.content_digest for item in self.baseline_versions],
            "further": [[name, item.content_digest] for name, item in self.further],
            "declaration": self.declaration.digest,
            "code": self.code_digest,
            "waivers": list(self.waivers_in_force),
            "own_metrics": list(self.own_metrics),
            "seed_noise": None if self.seed_noise is None else asdict(self.seed_noise),
            "precision": self.precision,
        }
        return sha256_bytes(exact_json(content))


class StoredComparison(Document):
    """The outcome of a comparison, kept in the evidence; written after the matrix and the page."""

    key: str
    model: str
    candidate: RunReference
    baseline: RunReference | None
    verdict: str
    sentence: str
    evidence_digest: str
    markdown: str

    @property
    def page_name(self) -> str:
        """Where the page lies below ``<home>/reports``."""
        return f"{self.model}/matrix-{self.candidate.run_id}-{self.key[:8]}.html"


def plan_comparison(
    client: LakeClient,
    settings: Settings,
    model: str,
    candidate: str,
    baseline: str,
    versions: Sequence[str],
    precision: Precision = AS_SERVED,
) -> ComparisonPlan:
    """Pin candidate, baseline (``production``, ``none`` or a run id) and the data that they are judged on."""
    declaration = load_model(settings, model)
    ensure_registry(client)
    pinned = pin_versions(client, settings, declaration, versions)
    old = _baseline(client, model, baseline)
    trained = [] if old is None else versions_of_run(client, model, old.run_id)
    return ComparisonPlan(
        model=model,
        candidate=runs.reference(client, model, candidate),
        baseline=old,
        versions=tuple(pinned),
        baseline_versions=tuple(trained),
        further=tuple((name, _further(client, settings, name, pinned)) for name in declaration.data.evaluate),
        declaration=declaration,
        code_digest=read_code_version().digest,
        waivers_in_force=in_force(declaration.waivers, today_utc()),
        own_metrics=code_digests(declaration.metrics),
        seed_noise=None if old is None else find_noise(client, require_record(client, model, old.run_id)),
        precision=precision,
    )


def _baseline(client: LakeClient, model: str, baseline: str) -> RunReference | None:
    if baseline == NONE:
        return None
    if baseline == PRODUCTION:
        return releases.run_in_production(client, model)
    return runs.reference(client, model, baseline)


def _further(client: LakeClient, settings: Settings, name: str, pinned: Sequence[DatasetVersion]) -> DatasetVersion:
    dataset = split_reference(name)[0]
    same = [item for item in pinned if item.dataset == dataset]
    return same[0] if same else newest_attested(client, settings, dataset)


def judge(client: LakeClient, settings: Settings, plan: ComparisonPlan, say: Say) -> StoredComparison:
    """Evaluate and apply the gate, once per key; the outcome is written last.

    Raises:
        Unattested: a version has no valid attestation.
    """
    stored = find_comparison(client, plan.key)
    if stored is not None:
        say(f"found in the evidence: {stored.sentence}")
        return stored
    inputs = open_inputs(client, settings, plan)
    matrix = compare(
        *inputs.models,
        inputs.judged,
        inputs.before,
        settings,
        inputs.further,
        progress=lambda done, total: say(f"{done} of {total} images through a network") if done == total else None,
    )
    matrix = name_versions(client, settings, matrix, [*inputs.further.values(), inputs.judged], inputs.before)
    matrix = replace(matrix, seed_noise=plan.seed_noise, runtime=runtime_words(matrix.runtime, plan.precision))
    verdict = judge_gate(plan.declaration.rules, matrix, plan.declaration.waivers, plan.waivers_in_force)
    if plan.precision != AS_SERVED:
        verdict = replace(verdict, sentence=f"In {plan.precision}, on ONNX Runtime (no engine was run): {verdict.sentence}")
    stored = StoredComparison(
        key=plan.key,
        model=plan.model,
        candidate=plan.candidate,
        baseline=plan.baseline,
        verdict=verdict.outcome.value,
        sentence=verdict.sentence,
        evidence_digest=evidence_digest(matrix, verdict),
        markdown=matrix_markdown(matrix, verdict),
    )
    html = render_matrix_html(matrix, verdict, thumbnails=Thumbnails.cached(settings))
    files: dict[str, bytes] = {
        f"comparisons/{plan.key}/matrix.json": matrix_json(matrix, verdict),
        f"comparisons/{plan.key}/matrix.html": html.encode(),
    }
    put_evidence(client, files, f"matrix: {plan.model} {plan.candidate.run_id}")
    compared = [require_record(client, plan.model, run.run_id) for run in (plan.candidate, plan.baseline) if run is not None]
    report = make_report(plan.key, plan.model, matrix, verdict, stored.evidence_digest, stored.markdown, compared)
    keep_for_publishing(settings, report)
    put_evidence(client, {_path(plan.key): stored.to_bytes()}, f"verdict: {plan.model} {plan.candidate.run_id}")
    track_comparison(settings, report, matrix, verdict, [version.reference for version in plan.versions])
    say(stored.sentence)
    return stored


def find_comparison(client: LakeClient, key: str) -> StoredComparison | None:
    """Return a comparison from the evidence; ``None`` while it is not there."""
    try:
        return read_document(client, EVIDENCE, _path(key), StoredComparison)
    except VersionNotFound:
        return None


def require_comparison(client: LakeClient, plan: ComparisonPlan) -> StoredComparison:
    """Return the comparison; raises ``RegistryError`` while it is not there."""
    stored = find_comparison(client, plan.key)
    if stored is None:
        raise RegistryError(
            f"run {plan.candidate.run_id} was not compared yet; `lakegate model compare {plan.model} {plan.candidate.run_id}`"
        )
    return stored


def save_page(client: LakeClient, settings: Settings, plan: ComparisonPlan) -> Page:
    """Put the matrix page where a person can open it."""
    html = client.read(REPOSITORY, EVIDENCE, f"comparisons/{plan.key}/matrix.html")
    return write_page(settings, require_comparison(client, plan).page_name, html.decode())


def _path(key: str) -> str:
    return f"comparisons/{key}/verdict.json"
