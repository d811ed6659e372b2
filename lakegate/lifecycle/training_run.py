"""Plan a training, run it, commit it: one run per (declaration, data, seed, overrides, code)."""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lakegate.canonical import exact_json, sha256_bytes
from lakegate.catalog import load_model, split_reference
from lakegate.code_version import CodeVersion, read_code_version
from lakegate.declarations import ModelDeclaration, shared_task
from lakegate.errors import BadInput, nearest
from lakegate.lake.client import LakeClient
from lakegate.lake.local import open_version
from lakegate.lake.local_version import DatasetVersion, LocalVersion
from lakegate.lake.versions import newest_attested, pin
from lakegate.lifecycle.starting_run import StartingRun, fetch_start, find_start
from lakegate.registry import runs
from lakegate.registry.store import REPOSITORY, ensure_registry
from lakegate.settings import Settings
from lakegate.shared_store import open_store
from lakegate.training.device import choose_device, choose_processes
from lakegate.training.job import TrainingJob, TrainingResult
from lakegate.training.loop import fit
from lakegate.training.record import Request, RunRecord, build_record
from lakegate.training.tracking import Tracking, open_tracking

if TYPE_CHECKING:
    from lakegate.training.shared_checkpoints import SharedCheckpoints

OVERRIDABLE = ("epochs", "batch_size", "learning_rate", "weight_decay")
Say = Callable[[str], None]


@dataclass(frozen=True)
class RunPlan:
    """Everything that determines a run, pinned before the first read."""

    model: str
    run_id: str
    versions: tuple[DatasetVersion, ...]
    declaration: ModelDeclaration  # with the overrides applied
    overrides: dict[str, float | int]
    seed: int
    code: CodeVersion
    requested_by: str
    start: StartingRun | None = None  # what [architecture] init named when this was planned

    def folder(self, settings: Settings) -> Path:
        """Where checkpoints live until the run is committed."""
        return settings.home / "runs" / f"{self.model}-{self.run_id}"


def plan_run(
    client: LakeClient,
    settings: Settings,
    model: str,
    versions: Sequence[str],
    seed: int | None = None,
    overrides: Mapping[str, float | int] | None = None,
) -> RunPlan:
    """Pin the versions (missing ones at their newest attested tag) and the first weights, and compute the run's id.

    Raises:
        UnknownName, BadDeclaration: model, dataset, version, override or the run to start from is not known.
        BadInput: the training starts from production, where nothing is yet.
    """
    declared = load_model(settings, model)
    declaration = _with_overrides(declared, overrides or {})
    pinned = pin_versions(client, settings, declaration, versions)
    effective_seed = declaration.training.seed if seed is None else seed
    return plan_recipe(client, settings, declaration, pinned, effective_seed, overrides)


def plan_recipe(
    client: LakeClient,
    settings: Settings,
    declaration: ModelDeclaration,
    pinned: Sequence[DatasetVersion],
    seed: int,
    overrides: Mapping[str, float | int] | None = None,
) -> RunPlan:
    """Pin the first weights of a recipe whose data is pinned, and compute the run's id; raises as :func:`plan_run`."""
    code = read_code_version()
    ensure_registry(client)

    def run_id_from(start: StartingRun | None) -> str:
        return runs.run_id(recipe_digest(declaration, start), pinned, seed, code.digest)

    start = find_start(client, declaration, run_id_from)
    run, words = run_id_from(start), dict(overrides or {})
    return RunPlan(declaration.name, run, tuple(pinned), declaration, words, seed, code, settings.user, start)


def recipe_digest(declaration: ModelDeclaration, start: StartingRun | None = None) -> str:
    """Return the digest of what shapes a run; a changed gate, threshold, engine or description retrains nothing.

    Of the run that the training starts from, the weights count, whatever ``[architecture] init`` calls it.
    """
    tables = ("data", "architecture", "training", "export")
    content = {name: getattr(declaration, name).model_dump(mode="json") for name in tables}
    content["data"].pop("evaluate")
    content["training"].pop("seed")
    content["export"].pop("engines")
    if start is not None:
        content["architecture"]["init"] = start.model_sha256
    return sha256_bytes(exact_json(content))


def pin_versions(
    client: LakeClient, settings: Settings, declaration: ModelDeclaration, versions: Sequence[str]
) -> list[DatasetVersion]:
    """Pin one version per dataset of ``[data] train``, in the order declared."""
    wanted = {name: tag for name, _, tag in (item.partition("@") for item in versions)}
    names = list(dict.fromkeys(split_reference(item)[0] for item in declaration.data.train))
    for name in wanted:
        if name not in names:
            raise BadInput(f"{declaration.name} does not train on '{name}'{nearest(name, names)}; see [data] train")
    return [
        pin(client, f"{name}@{wanted[name]}") if wanted.get(name) else newest_attested(client, settings, name)
        for name in names
    ]


def open_training_data(client: LakeClient, settings: Settings, plan: RunPlan) -> list[LocalVersion]:
    """Fetch the pinned versions; refuses what is unattested.

    Raises:
        Unattested: no valid attestation covers a version's content.
    """
    return [open_version(client, settings, version) for version in plan.versions]


def _with_overrides(declaration: ModelDeclaration, overrides: Mapping[str, float | int]) -> ModelDeclaration:
    for name in overrides:
        if name not in OVERRIDABLE:
            raise BadInput(f"'{name}' cannot be overridden{nearest(name, OVERRIDABLE)}; change model.toml instead")
    training = {**declaration.training.model_dump(exclude_unset=True), **overrides}
    if not overrides:
        return declaration
    return ModelDeclaration.model_validate({**declaration.model_dump(exclude_unset=True), "training": training})


def fit_run(client: LakeClient, settings: Settings, plan: RunPlan, flow_run_id: str, say: Say) -> None:
    """Train into the run's folder, from its last checkpoint; nothing where the run is committed already.

    Raises:
        Unattested: a version has no valid attestation. TrainingFailed: the training cannot go on.
    """
    if runs.find_run(client, plan.model, plan.run_id) is not None:
        say(f"run {plan.run_id} is in the registry already; nothing to train")
        return
    started = time.monotonic()
    versions = open_training_data(client, settings, plan)
    fetched_s = time.monotonic() - started
    folder = plan.folder(settings)
    device, why = choose_device(settings)
    processes, why_one = choose_processes(plan.declaration.resources.gpus, device)
    start = fetch_start(client, settings, plan.model, plan.start) if plan.start else None
    task = shared_task(plan.declaration, {item.version.reference: item.declaration for item in versions})
    job = TrainingJob(plan.declaration, versions, plan.seed, settings.threads, device, start, processes, task)
    tracking = _open_tracking(settings, plan, flow_run_id)
    shared = _shared(settings, plan)
    result: TrainingResult | None = None

    def report(epoch: int, metrics: dict[str, float]) -> None:
        if epoch > tracking.last_epoch + 1:
            from lakegate.training.checkpoints import read_history  # torch is loaded by now

            tracking.catch_up(read_history(folder))
        else:
            tracking.log(epoch, metrics)
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        say(f"epoch {epoch} of {plan.declaration.training.epochs}: {numbers}")
        if shared is not None and (problem := shared.keep(folder, epoch)):
            say(problem)

    try:
        if shared is not None and (found := shared.fetch(folder, job.digest)):
            say(found)
        result = fit(job, folder, report)
        tracking.catch_up(result.history)
    finally:
        tracking.finish(_outcome(plan, result), has_failed=result is None)
    record = build_record(
        _request(plan, flow_run_id, tracking),
        plan.declaration,
        plan.versions,
        job.labels,
        result,
        plan.code,
        settings,
        plan.seed,
        plan.overrides,
        notes=[note for note in (why, why_one) if note],
        task=task,
    )
    record = record.model_copy(update={"durations_s": {**record.durations_s, "fetch": round(fetched_s, 3)}})
    record.save(folder / runs.RECORD)


def _request(plan: RunPlan, flow_run_id: str, tracking: Tracking) -> Request:
    return Request(
        run_id=plan.run_id,
        requested_by=plan.requested_by,
        flow_run_id=flow_run_id,
        wandb_id=tracking.id,
        wandb_url=tracking.url,
        wandb_mode=tracking.mode,
        tracking_error=tracking.error,
    )


def commit(client: LakeClient, settings: Settings, plan: RunPlan) -> RunRecord:
    """Commit model, declaration and record as one commit, once; the checkpoints are dropped afterwards."""
    folder = plan.folder(settings)
    record = runs.find_run(client, plan.model, plan.run_id)
    if record is None:
        record = RunRecord.load(folder / runs.RECORD)
        files: dict[str, bytes | Path] = {
            runs.CHECKPOINT: folder / runs.CHECKPOINT,
            runs.DECLARATION: exact_json(plan.declaration.model_dump(mode="json", by_alias=True)),
            runs.RECORD: folder / runs.RECORD,
        }
        if runs.LAST_CHECKPOINT in record.artifacts:
            files[runs.LAST_CHECKPOINT] = folder / runs.LAST_CHECKPOINT
        runs.commit_run(client, plan.model, plan.run_id, files, f"Train {plan.model} on {_references(plan)}")
    shutil.rmtree(folder, ignore_errors=True)
    shared = _shared(settings, plan)
    if shared is not None:
        shared.drop()
    return record


def _shared(settings: Settings, plan: RunPlan) -> "SharedCheckpoints | None":
    """Return where the run's checkpoints are shared; ``None`` where this machine shares nothing."""
    from lakegate.training.shared_checkpoints import SharedCheckpoints

    store = open_store(settings)
    return None if store is None else SharedCheckpoints(store, f"{plan.model}-{plan.run_id}")


def summary_markdown(plan: RunPlan, record: RunRecord) -> str:
    """Return the run's facts for its page."""
    seconds = record.durations_s.get("training", 0.0)
    rows = {
        "run": f"{record.run_id}, branch {runs.run_branch(plan.model, record.run_id)} of lakefs://models",
        "trained on": _references(plan),
        "seed": str(record.seed),
        "determinism": record.determinism,
        "code": f"{record.code_commit[:12] or 'no commit'}{' + uncommitted changes' if record.code_is_dirty else ''}",
        "weights": record.chosen_because,
        "started from": f"run {record.start_run}" if record.start_run else "random weights",
        "training": f"{record.epochs_run} epochs, {seconds:.0f} s, at most {record.peak_memory_bytes / 2**20:.0f} MiB",
        "precision": record.precision,
        "W&B": f"{record.wandb_mode} {record.wandb_url or record.wandb_id} {record.tracking_error}".strip(),
        "asked for by": f"{record.requested_by} (unauthenticated)",
    }
    lines = [f"| {name} | {value} |" for name, value in rows.items()]
    return "\n".join([f"### Run {record.run_id} of {plan.model}", "", "| | |", "|---|---|", *lines]) + "\n"


def _references(plan: RunPlan) -> str:
    return ", ".join(version.reference for version in plan.versions)


def _open_tracking(settings: Settings, plan: RunPlan, flow_run_id: str) -> Tracking:
    """Open the W&B run with what the run is made from, and where else it is seen."""
    branch = f"lakefs://{REPOSITORY}/{runs.run_branch(plan.model, plan.run_id)}"
    flow_page = f"{settings.prefect_api_url.removesuffix('/api')}/runs/flow-run/{flow_run_id}" if flow_run_id else ""
    config = {
        "run": plan.run_id,
        "declaration": plan.declaration.model_dump(mode="json", by_alias=True),
        "overrides": plan.overrides,
        "versions": {version.reference: version.commit for version in plan.versions},
        "seed": plan.seed,
        "code_commit": plan.code.commit,
        "code_is_dirty": plan.code.is_dirty,
        "requested_by": plan.requested_by,
        "lakefs": branch,
        "flow_run": flow_page,
    }
    flow = f"\n\n[Flow run in Prefect]({flow_page})" if flow_page else ""
    notes = f"Run `{plan.run_id}` of {plan.model}, trained on {_references(plan)}. Files and record: `{branch}`.{flow}"
    return open_tracking(settings, plan.model, plan.run_id, config, notes=notes)


def _outcome(plan: RunPlan, result: TrainingResult | None) -> dict[str, float | str]:
    """Return what W&B says of the run as a whole; of the epoch whose weights are kept where the training came to its end."""
    words: dict[str, float | str] = {"run": plan.run_id, "versions": _references(plan)}
    if result is None:
        return words
    kept = {f"kept/{name}": value for name, value in result.metrics.items()}
    numbers = {"kept/epoch": result.chosen_epoch, "epochs": len(result.history), "training_s": result.durations_s["training"]}
    return words | kept | numbers | {"kept/because": result.chosen_because, "peak_memory_mib": result.peak_memory_bytes / 2**20}
