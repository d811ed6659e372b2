"""Build one engine of a run: once per key, and only where it computes what the run's model.onnx computes."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from pydantic import ValidationError

from lakegate.canonical import sha256_file
from lakegate.catalog import load_model
from lakegate.declarations import EngineTable, ModelDeclaration, Precision
from lakegate.engines import build_process
from lakegate.engines.build_process import BuildJob, Probe
from lakegate.engines.calibration import CalibrationSet, choose_images
from lakegate.engines.closeness import Closeness, limits_of, measure
from lakegate.engines.engine_key import BuildOptions, EngineKey, EngineRecord, engine_prefix, input_profiles
from lakegate.engines.onnx_session import OnnxModel
from lakegate.engines.precision import NarrowedModel, narrow
from lakegate.errors import BadInput, EngineNotBuilt, RegistryError, SetupProblem
from lakegate.imaging import read_image
from lakegate.lake.client import LakeClient
from lakegate.lake.local import open_version
from lakegate.lake.local_version import DatasetVersion, LocalVersion
from lakegate.lifecycle.export_run import stored_declaration
from lakegate.registry import runs
from lakegate.registry.documents import EngineOutcome, RunReference
from lakegate.registry.store import REPOSITORY
from lakegate.settings import Settings

COMPARED_IMAGES = 8
Say = Callable[[str], None]


@dataclass(frozen=True)
class CalibratedRun:
    """What a run's network is narrowed from. ``images`` are those of the calibration, ``pictures`` some to compare on."""

    source: Path
    declaration: ModelDeclaration
    precision: Precision
    calibration: CalibrationSet | None
    images: tuple[Path, ...]
    pictures: tuple[Path, ...]

    def narrow(self, out: Path) -> NarrowedModel:
        """Write model.onnx in the wanted precision; raises ``EngineNotBuilt`` where it cannot be had."""
        return narrow(self.source, self.precision, self.declaration.architecture.input_px, out, self.images)


@dataclass(frozen=True)
class NarrowedRun:
    """A run's ONNX file in the wanted precision, checked on the CPU; what an engine is built from."""

    source: Path
    declaration: ModelDeclaration
    model: NarrowedModel
    metadata: dict[str, str]
    calibration: CalibrationSet | None
    pictures: tuple[Path, ...]
    closeness: Closeness


def build(
    client: LakeClient, settings: Settings, model: str, run: str, engine: EngineTable, say: Say, flow_run_id: str = ""
) -> EngineRecord:
    """Add one engine with its record to the run, in one commit; an engine of the same key is not built again.

    Raises:
        SetupProblem: TensorRT cannot be loaded here, or the GPU is of another compute capability.
        EngineNotBuilt: the precision cannot be had, TensorRT refuses, or the engine computes something else.
    """
    reference = runs.reference(client, model, run)
    folder = settings.home / "runs" / f"{model}-{run}-{engine_prefix(engine.compute_capability, engine.precision)}build"
    machine = require_machine(build_process.probe(folder), engine)
    say(f"TensorRT {machine.tensorrt} on {machine.device.name} (compute capability {machine.device.compute_capability})")
    narrowed = narrow_run(client, settings, model, reference, engine, folder)
    say(f"{engine.precision} as ONNX file, {narrowed.closeness.sentence}")
    key = engine_key(machine, narrowed)
    found = find_record(client, model, reference, key.file_name)
    if found is not None:
        say(f"found in the run: {found.sentence}")
        return found
    job = BuildJob(
        onnx=narrowed.model.path,
        reference=narrowed.source,
        precision=engine.precision,
        profiles=key.profiles,
        options=key.options,
        timing_cache=settings.cache_dir / "tensorrt" / _timing_cache_name(machine),
        declaration=narrowed.declaration,
        limits=limits_of(engine),
        pictures=narrowed.pictures,
        threads=settings.threads,
    )
    plan, report = build_process.build(folder, job)
    record = EngineRecord(
        model=model,
        run_id=run,
        file=key.file_name,
        key=key,
        device=machine.device,
        source_sha256=reference.model_sha256,
        metadata=narrowed.metadata,
        narrowing=dict(narrowed.model.report),
        calibration=narrowed.calibration,
        onnx_closeness=narrowed.closeness,
        build=report,
        built_at=datetime.now(UTC).isoformat(timespec="seconds"),
        flow_run_id=flow_run_id,
    )
    kept = commit(client, record, plan)
    shutil.rmtree(folder)
    say(kept.sentence)
    return kept


def require_machine(machine: Probe, engine: EngineTable) -> Probe:
    """Raise ``SetupProblem`` where this GPU is not of the demanded compute capability."""
    came = machine.device.compute_capability
    if came != engine.compute_capability:
        raise SetupProblem(
            f"the engine is for compute capability {engine.compute_capability}, this GPU ({machine.device.name}) has {came}: "
            "an engine is built where it will run; start the flow in the pool of that capability"
        )
    return machine


def narrow_run(
    client: LakeClient, settings: Settings, model: str, reference: RunReference, engine: EngineTable, folder: Path
) -> NarrowedRun:
    """Write the run's model.onnx in the engine's precision into ``folder`` and compare the two on the CPU; needs no GPU.

    Raises:
        BadInput: the run is no detector.
        EngineNotBuilt: the precision cannot be had, or the narrowed file computes something else.
        Unattested: the data of the run is not attested.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = open_run(client, settings, model, reference, engine.precision)
    narrowed = run.narrow(folder / "narrowed.onnx")
    candidate = OnnxModel(narrowed.path, settings.threads)
    closeness = measure(
        candidate,
        OnnxModel(run.source, settings.threads),
        [read_image(path) for path in run.pictures],
        run.declaration,
        limits_of(engine),
    )
    if not closeness.passed:
        raise EngineNotBuilt(
            f"model.onnx in {engine.precision} does not compute what model.onnx does: {'; '.join(closeness.failures)}; "
            "declare another precision, or raise the limits of this engine in [export] engines"
        )
    return NarrowedRun(
        run.source, run.declaration, narrowed, dict(candidate.metadata), run.calibration, run.pictures, closeness
    )


def open_run(
    client: LakeClient, settings: Settings, model: str, reference: RunReference, precision: Precision
) -> CalibratedRun:
    """Bring onto this machine what a run's network is narrowed from.

    Raises:
        BadInput: the run is no detector.
        EngineNotBuilt: there is no image to calibrate with.
        Unattested: the data of the run is not attested.
    """
    source = runs.fetch_file(client, settings, reference, runs.ONNX)
    OnnxModel(source).require_detector("engines")
    versions = _versions(client, settings, model, reference.run_id)
    calibration, images = choose_images(versions) if precision == "int8" else (None, [])
    pictures = tuple(image.path for image in islice(versions[0].images.values(), COMPARED_IMAGES))
    declaration = stored_declaration(client, model, reference.run_id)
    return CalibratedRun(source, declaration, precision, calibration, tuple(images), pictures)


def _versions(client: LakeClient, settings: Settings, model: str, run: str) -> list[LocalVersion]:
    record = runs.find_run(client, model, run)
    if record is None:
        raise RegistryError(f"run {run} of {model} has no record; train it again")
    pinned = [DatasetVersion(item.dataset, item.tag, item.commit, item.content_digest) for item in record.datasets]
    return [open_version(client, settings, version) for version in pinned]


def engine_key(machine: Probe, narrowed: NarrowedRun) -> EngineKey:
    """Return the key of the engine that this machine would build."""
    return EngineKey(
        onnx_sha256=narrowed.model.sha256,
        tensorrt=machine.tensorrt,
        compute_capability=machine.device.compute_capability,
        gpu_name=machine.device.name,
        platform=machine.platform,
        profiles=input_profiles(narrowed.declaration),
        recipe=narrowed.model.recipe,
        calibration_digest="" if narrowed.calibration is None else narrowed.calibration.digest,
        options=BuildOptions(),
    )


def _timing_cache_name(machine: Probe) -> str:
    words = f"{machine.tensorrt}-{machine.device.name}-{machine.device.compute_capability}"
    return "".join(letter if letter.isalnum() or letter in ".-" else "_" for letter in words) + ".timing"


def commit(client: LakeClient, record: EngineRecord, plan: Path) -> EngineRecord:
    """Add plan and record to the run in one commit; where another worker was quicker, its engine counts.

    Raises:
        EngineNotBuilt: the plan on disk is not the one of the record.
    """
    if sha256_file(plan) != record.build.plan_sha256:
        raise EngineNotBuilt(f"{plan} is not the plan that was checked; build again")
    files: dict[str, bytes | Path] = {record.file: plan, record_name(record.file): record.to_bytes()}
    try:
        runs.commit_run(client, record.model, record.run_id, files, f"Engine {record.file}")
    except RegistryError:
        found = find_record(client, record.model, runs.reference(client, record.model, record.run_id), record.file)
        if found is None:
            raise
        return found
    return record


def record_name(file: str) -> str:
    """Return the name of the record beside a plan."""
    return f"{file.removesuffix('.plan')}.json"


def find_record(client: LakeClient, model: str, reference: RunReference, file: str) -> EngineRecord | None:
    """Return the record of a plan in the run; ``None`` while it is not there."""
    listed = {entry.path for entry in client.list_objects(REPOSITORY, reference.commit, file.removesuffix("plan"))}
    if not {file, record_name(file)} <= listed:
        return None
    try:
        return EngineRecord.model_validate_json(client.read(REPOSITORY, reference.commit, record_name(file)))
    except ValidationError as error:
        raise RegistryError(f"{record_name(file)} of {model} run {reference.run_id} is no engine record: {error}") from error


def find_engine(client: LakeClient, model: str, run: str, engine: EngineTable) -> EngineRecord | None:
    """Return an engine of the run for this compute capability and precision; the newest where several TensorRTs built one."""
    reference = runs.reference(client, model, run)
    prefix = engine_prefix(engine.compute_capability, engine.precision)
    names = [entry.path for entry in client.list_objects(REPOSITORY, reference.commit, prefix)]
    plans = [name for name in names if name.endswith(".plan")]
    found = [record for name in plans if (record := find_record(client, model, reference, name)) is not None]
    return max(found, key=lambda record: record.built_at, default=None)


def outcome(engine: EngineTable, record: EngineRecord | None, reason: str = "") -> EngineOutcome:
    """Say how a demanded engine stands; ``reason``: why it was not built."""
    return EngineOutcome(
        compute_capability=engine.compute_capability,
        precision=engine.precision,
        outcome="not built" if record is None else "built",
        sentence=reason if record is None else record.sentence,
        file="" if record is None else record.file,
    )


def engines_gate(outcomes: Sequence[EngineOutcome]) -> str:
    """Return why demanded engines keep the model from production; "" where all are built (or none is demanded)."""
    absent = [item for item in outcomes if item.outcome != "built"]
    missing = [f"{item.precision} for {item.compute_capability} ({item.sentence})" for item in absent]
    if not missing:
        return ""
    return (
        f"model.toml demands {len(outcomes)} engine{'s' if len(outcomes) > 1 else ''}, not built: {'; '.join(missing)}. "
        "Build on a machine with that GPU, or take it out of [export] engines, then release again"
    )


def demanded(settings: Settings, model: str, compute_capability: str, precision: str) -> EngineTable:
    """Return the engine as model.toml demands it; one that is not demanded may be built, too, with the usual limits.

    Raises:
        BadInput: no such precision, or not a compute capability.
    """
    for engine in load_model(settings, model).export.engines:
        if (engine.compute_capability, engine.precision) == (compute_capability, precision):
            return engine
    try:
        return EngineTable.model_validate({"compute_capability": compute_capability, "precision": precision})
    except ValidationError as error:
        words = "; ".join(str(item["msg"]) for item in error.errors())
        raise BadInput(f"no engine {precision} for {compute_capability}: {words}") from error
