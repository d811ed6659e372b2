"""How engines are built: each demanded one on its own kind of GPU, and what could not be built is said, not hidden."""

from typing import Any

from prefect import Flow, get_run_logger, runtime

from lakegate.engines.engine_key import EngineRecord, capability_tag
from lakegate.errors import LakegateError
from lakegate.lake.client import LakeClient
from lakegate.lifecycle import engine_run
from lakegate.lifecycle.release import ReleasePlan
from lakegate.registry.documents import EngineOutcome
from tasks.artifacts import artifact_key, show_table
from tasks.pools import has_deployment
from tasks.running import ensure_child, settings_for, step


@step
def build_engine(model: str, run: str, compute_capability: str, precision: str) -> EngineRecord:
    """Build one engine of a run on the GPU of this worker, and compare it with model.onnx."""
    settings = settings_for("")
    engine = engine_run.demanded(settings, model, compute_capability, precision)
    flow_run = str(runtime.flow_run.id or "")
    return engine_run.build(LakeClient(settings), settings, model, run, engine, get_run_logger().info, flow_run)


def show_engine(record: EngineRecord) -> str:
    """Leave the comparison with model.onnx on the run; return the name of the engine's file."""
    closeness = record.build.closeness
    rows = [] if closeness is None else [row.model_dump() for row in closeness.rows]
    show_table(artifact_key("engine", record.model), rows, record.sentence)
    return record.file


def ensure_engines(build: Flow[..., Any], plan: ReleasePlan) -> tuple[EngineOutcome, ...]:
    """Have each engine built that model.toml demands, in the pool of its compute capability, unless the run holds it.

    A release that waited for its approval keeps what was shown then.

    Args:
        build: the flow build_engine.
        plan: of the release; its run is exported.
    """
    if plan.proposed is not None:
        return plan.proposed.engines
    client, outcomes = LakeClient(settings_for("")), []
    for engine in plan.training.declaration.export.engines:
        record, reason = engine_run.find_engine(client, plan.model, plan.training.run_id, engine), ""
        if record is None:
            reason = _try(build, plan, engine.compute_capability, engine.precision)
            record = engine_run.find_engine(client, plan.model, plan.training.run_id, engine)
        outcomes.append(engine_run.outcome(engine, record, reason))
        get_run_logger().info("engine %s for %s: %s", engine.precision, engine.compute_capability, outcomes[-1].sentence)
    return tuple(outcomes)


def _try(build: Flow[..., Any], plan: ReleasePlan, compute_capability: str, precision: str) -> str:
    """Run the child; return why there is no engine, "" where there is one. Only what heals by itself is raised."""
    pool = f"gpu-{capability_tag(compute_capability)}"
    words = {"compute_capability": compute_capability, "precision": precision}
    parameters = {"model": plan.model, "run": plan.training.run_id, **words}
    if runtime.deployment.id and not has_deployment(f"{build.name}/{pool}"):
        return f"no worker ever served the work pool '{pool}'; start `lakegate worker` on a machine with such a GPU"
    try:
        ensure_child(build, pool, parameters, done=False)
    except LakegateError as error:
        if error.is_transient:
            raise
        return str(error)
    return ""
