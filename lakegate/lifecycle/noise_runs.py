"""Train a run's recipe again with other seeds and keep, as evidence, what the seed alone changes."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count, islice

from lakegate.errors import BadInput, UnknownName, nearest
from lakegate.evaluation.seed_noise import NoiseInCell, SeedNoise
from lakegate.evaluation.stored import StoredMatrix, read_matrix
from lakegate.evaluation.suggested_gate import suggest_rules
from lakegate.lake.client import LakeClient
from lakegate.lake.local_version import DatasetVersion
from lakegate.lifecycle import comparison
from lakegate.lifecycle.comparison import Say
from lakegate.lifecycle.kept_noise import find_noise, keep_noise, run_declaration, run_recipe_digest
from lakegate.lifecycle.training_run import RunPlan, plan_recipe
from lakegate.registry import releases, runs
from lakegate.registry.store import EVIDENCE, REPOSITORY, ensure_registry
from lakegate.settings import Settings
from lakegate.task_types.protocol import ALL_LABELS
from lakegate.task_types.registry import task_type
from lakegate.training.record import RunRecord

MAX_REPEATS = 20


def base_run(client: LakeClient, model: str, run: str) -> RunRecord:
    """Return the record of a run, or of the one in production; raises ``UnknownName``."""
    ensure_registry(client)
    if run == comparison.PRODUCTION:
        standing = releases.run_in_production(client, model)
        if standing is None:
            raise UnknownName(f"nothing of {model} is in production yet; name a run: {_known(client, model)}")
        run = standing.run_id
    record = runs.find_run(client, model, run)
    if record is None:
        raise UnknownName(f"{model} has no run '{run}'{nearest(run, runs.list_runs(client, model))}")
    return record


def _known(client: LakeClient, model: str) -> str:
    return ", ".join(runs.list_runs(client, model)) or "there is none"


def plan_noise_runs(client: LakeClient, settings: Settings, model: str, run: str, repeats: int) -> list[RunPlan]:
    """Plan the same recipe on the same versions with ``repeats`` other seeds, those after the run's own.

    Raises:
        UnknownName: no such run. BadInput: no sensible number of repeats.
    """
    if not 1 <= repeats <= MAX_REPEATS:
        raise BadInput(f"expected 1 to {MAX_REPEATS} repeats, came {repeats}")
    record = base_run(client, model, run)
    declaration, versions = run_declaration(client, record), _versions(record)
    seeds = islice(count(record.seed + 1), repeats)
    return [plan_recipe(client, settings, declaration, versions, seed) for seed in seeds]


def _versions(record: RunRecord) -> tuple[DatasetVersion, ...]:
    return tuple(DatasetVersion(item.dataset, item.tag, item.commit, item.content_digest) for item in record.datasets)


def compare_noise_runs(
    client: LakeClient, settings: Settings, model: str, run: str, plans: Sequence[RunPlan], say: Say
) -> SeedNoise:
    """Compare each repeated run with the first one, on the versions of both, and keep what differs."""
    record = base_run(client, model, run)
    declaration = run_declaration(client, record)
    references = [version.reference for version in _versions(record)]
    matrices = []
    for plan in plans:
        pair = comparison.plan_comparison(client, settings, model, plan.run_id, record.run_id, references)
        matrices.append(judged_matrix(client, settings, replace(pair, declaration=declaration)))
        say(f"seed {plan.seed}: run {plan.run_id} is compared with run {record.run_id}")
    noise = SeedNoise(
        model=model,
        run=record.run_id,
        recipe=run_recipe_digest(client, record),
        versions=tuple(references),
        seeds=tuple(plan.seed for plan in plans),
        runs=tuple(plan.run_id for plan in plans),
        unit=task_type(record.task).unit,
        cells=tuple(_in_cell(matrices, cell.name) for cell in matrices[0].cells if cell.kind in ("all", "slice", "dataset")),
        largest_change=_largest_changes(matrices),
    )
    keep_noise(client, record, noise)
    say(f"{model} run {record.run_id}: {noise.words('all')}, from {len(plans)} other seeds")
    return noise


def judged_matrix(client: LakeClient, settings: Settings, plan: comparison.ComparisonPlan) -> StoredMatrix:
    """Compare as planned, and return the matrix from the evidence; its verdict is nobody's question here and is not said."""
    comparison.judge(client, settings, plan, lambda _line: None)
    path = f"comparisons/{plan.key}/matrix.json"
    return read_matrix(client.read(REPOSITORY, EVIDENCE, path), path)


def _in_cell(matrices: Sequence[StoredMatrix], name: str) -> NoiseInCell:
    cells = [next(cell for cell in matrix.cells if cell.name == name) for matrix in matrices]
    flips = [cell.n_flips[kind][ALL_LABELS] for cell in cells for kind in ("negative", "positive")]
    return NoiseInCell(name, cells[0].n_objects[ALL_LABELS], tuple(flips))


def _largest_changes(matrices: Sequence[StoredMatrix]) -> dict[str, float]:
    changes: dict[str, float] = {}
    for matrix in matrices:
        cell = matrix.cells[0]
        for metric in cell.candidate:
            now, was = cell.value(metric), cell.value(metric, row="baseline")
            if now is not None and was is not None:
                changes[metric] = max(changes.get(metric, 0.0), abs(now - was))
    return {metric: round(change, 6) for metric, change in changes.items()}


def suggest_gate(client: LakeClient, settings: Settings, model: str, run: str, with_noise: bool) -> str:
    """Return a first ``[gate]`` as TOML, from what a run does on the versions that it trained on.

    Raises:
        UnknownName: no such run. BadInput: the noise is asked for and was not measured.
    """
    record = base_run(client, model, run)
    declaration = run_declaration(client, record)
    noise = find_noise(client, record) if with_noise else None
    if with_noise and noise is None:
        todo = f"`lakegate model measure-noise {model}`"
        raise BadInput(f"what other seeds change was not measured for run {record.run_id}; {todo} does it")
    references = [version.reference for version in _versions(record)]
    plan = comparison.plan_comparison(client, settings, model, record.run_id, comparison.NONE, references)
    matrix = judged_matrix(client, settings, replace(plan, declaration=declaration))
    rules = suggest_rules(matrix.cells, record.task, record.labels, noise)
    head = f"# first rules for {model}, from run {record.run_id} on {', '.join(references)}; change what you know better"
    return "\n".join([head, "[gate]", *(rule.to_toml() for rule in rules)]) + "\n"
