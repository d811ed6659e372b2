"""From the registry to the Triton servers: a candidate on staging, a release in production, and back again.

Every function serves first and says what was served; pointers in the registry are written after that by who calls.
"""

from dataclasses import dataclass

from lakegate.catalog import load_model
from lakegate.declarations import ModelDeclaration, OperatingTable
from lakegate.engines.onnx_session import OnnxModel
from lakegate.errors import BadInput, LakegateError, RegistryError, ServiceUnavailable, VersionNotFound
from lakegate.lake.attestation import require_attestation
from lakegate.lake.client import LakeClient
from lakegate.lake.local import fetch_object
from lakegate.lake.objects import IMAGES
from lakegate.lake.versions import pin
from lakegate.lifecycle.export_run import stored_declaration
from lakegate.registry import releases, runs
from lakegate.registry.documents import FunctionalOutcome, Pointer, ReleaseRequest, RunReference, Stage
from lakegate.registry.store import EVIDENCE, REPOSITORY, read_document, read_pointer
from lakegate.samples import sample_id_of
from lakegate.serving.config import python_config
from lakegate.serving.functional_cases import FunctionalCase, ReadyCase, load_cases, read_case_image, split_sample
from lakegate.serving.interface import ServedInterface, config_as_json, interface_of, require_interface
from lakegate.serving.model_files import ModelFiles, repository_dir, samples_dir
from lakegate.serving.rollout import Stand, is_serving, restore, roll_out
from lakegate.serving.server import TritonServer
from lakegate.settings import Settings

NO_SERVER = "not served: this stack has no Triton"
NO_DETECTOR = "not served: this version of Lakegate serves detection models"


@dataclass(frozen=True)
class StagedCandidate:
    """How the functional requests went on staging, and a sentence on where, or why it was not served."""

    functional: tuple[FunctionalOutcome, ...]
    served: str


def find_stand(settings: Settings, stage: Stage) -> Stand | None:
    """Return the stage's server with its repository on this machine; ``None`` where this stack has none."""
    http, grpc = {
        "staging": (settings.triton_staging_http, settings.triton_staging_grpc),
        "production": (settings.triton_production_http, settings.triton_production_grpc),
    }[stage]
    if not http or not grpc:
        return None
    log = settings.home / "logs" / f"triton-{stage}.log"
    return Stand(TritonServer(http, grpc, stage), repository_dir(settings, stage), log)


def require_production_server(settings: Settings) -> None:
    """Raise ``ServiceUnavailable`` where this stack has a production server and it does not answer; before anything moves."""
    stand = find_stand(settings, "production")
    if stand is not None and not stand.server.is_live():
        raise ServiceUnavailable(
            f"the production server at {stand.server.http} does not answer, so nothing was decided or moved; "
            "run `lakegate up`, then try again"
        )


def stage_candidate(
    client: LakeClient, settings: Settings, declaration: ModelDeclaration, number: int, run: RunReference
) -> StagedCandidate:
    """Serve a candidate on staging as release ``number`` and send it the model's functional cases.

    Raises:
        GateFailed: the interface differs from the one in production and nobody accepted that, or a functional test
            failed; staging serves what it served before.
        ServingError: it cannot be served; the message says why.
    """
    stand = find_stand(settings, "staging")
    if stand is None:
        return StagedCandidate((), NO_SERVER)
    if not is_detector(client, settings, run):
        return StagedCandidate((), NO_DETECTOR)
    name = declaration.name
    files = model_files(client, settings, "staging", name, number, run, declaration.operating)
    accepted = declaration.serving.accept_interface_change
    old = _interface_in_production(client, settings, name)
    notice = "" if old is None else require_interface(old, interface_in(files), accepted)
    result = roll_out(stand, files, ready_cases(client, settings, files), _standing(client, settings, "staging", name))
    return StagedCandidate(result.functional, f"{result.sentence}. {notice}".rstrip(". "))


def serve_release(
    client: LakeClient, settings: Settings, model: str, number: int, run: RunReference, operating: OperatingTable
) -> str:
    """Serve a release in production, forward or back, test it there, and say so; the pointer is the caller's next step.

    Raises:
        GateFailed, ServingError: as for staging; production serves what the registry says.
    """
    stand = find_stand(settings, "production")
    if stand is None:
        return NO_SERVER
    if not is_detector(client, settings, run):
        return NO_DETECTOR
    files = model_files(client, settings, "production", model, number, run, operating)
    previous = _standing(client, settings, "production", model)
    return roll_out(stand, files, ready_cases(client, settings, files), previous).sentence


def roll_back(client: LakeClient, settings: Settings, model: str, number: int, asked_by: str) -> tuple[Pointer, str]:
    """Serve an earlier (or, forward again, a later) release, test it, then write the pointer to it; safe to repeat.

    Returns:
        The pointer, and a sentence on what is served.
    """
    release = releases.read_release(client, model, number)
    served = serve_release(client, settings, model, number, release.run, release.request.operating)
    return releases.roll_back(client, model, number, asked_by), served


def restore_stage(client: LakeClient, settings: Settings, stage: Stage) -> list[str]:
    """Bring the stage's server to what the registry's pointers say; one sentence per model.

    For after a restart, a lost disk, or a step that was killed between serving and its pointer and is not run again. What
    cannot be served is said, not raised.

    Raises:
        ServiceUnavailable: lakeFS or the Triton server does not answer.
    """
    stand = find_stand(settings, stage)
    if stand is None:
        return [NO_SERVER]
    sentences = []
    for model in models_in(client, stage):
        try:
            if not _has_detector(client, settings, stage, model):
                sentences.append(f"{model} is {NO_DETECTOR}")
                continue
            files = _standing(client, settings, stage, model)
            sentences += [] if files is None else [restore(stand, files)]
        except LakegateError as error:  # one model that cannot be served is no reason to leave the others out
            if error.is_transient:
                raise
            sentences.append(f"{model} is not served by {stage}: {error}")
    return sentences


def models_in(client: LakeClient, stage: Stage) -> list[str]:
    """Return the models that have a pointer in the stage; none before the first release."""
    try:
        entries = client.list_objects(REPOSITORY, stage)
    except VersionNotFound:
        return []
    names = [entry.path.removesuffix(".json") for entry in entries if entry.path.endswith(".json")]
    return sorted(name for name in names if "/" not in name)


def is_detector(client: LakeClient, settings: Settings, run: RunReference) -> bool:
    """Tell whether a run's file is a detector; the served contract is one of boxes and scores."""
    return OnnxModel(runs.fetch_file(client, settings, run, runs.ONNX)).task == "detection"


def _has_detector(client: LakeClient, settings: Settings, stage: Stage, model: str) -> bool:
    """Tell whether nothing but a detector stands in the stage; true where nothing does."""
    pointer = read_pointer(client, stage, model)
    return pointer is None or is_detector(client, settings, pointer.run)


def model_files(
    client: LakeClient, settings: Settings, stage: Stage, model: str, number: int, run: RunReference, operating: OperatingTable
) -> ModelFiles:
    """Gather what serves a run; its file is fetched and checked against the registry's SHA-256.

    Frames are sampled in production only: on staging nothing but tests arrives.

    Raises:
        RegistryError: the file is not the one that the registry names.
    """
    path = runs.fetch_file(client, settings, run, runs.ONNX)
    onnx = OnnxModel(path)
    if onnx.sha256 != run.model_sha256:
        raise RegistryError(
            f"run {run.run_id} of {model}: {runs.ONNX} has SHA-256 {onnx.sha256[:12]}, the registry says "
            f"{run.model_sha256[:12]}; do not serve it, look at the run's branch"
        )
    is_sampled = stage == "production"
    released = stored_declaration(client, model, run.run_id)
    return ModelFiles(
        model=model,
        number=number,
        onnx=path,
        run=run,
        labels=onnx.labels,
        input_px=onnx.input_px,
        operating=operating,
        max_batch=released.export.batch[2],
        sampling_ratio=_sampling_ratio(settings, released, model) if is_sampled else 0.0,
        threads=settings.threads,
        samples=samples_dir(settings, stage, model, number) if is_sampled else None,
    )


def _sampling_ratio(settings: Settings, released: ModelDeclaration, model: str) -> float:
    """Return today's share; where today's model.toml cannot be read, the one of the release, which must be served anyway."""
    try:
        return load_model(settings, model).monitoring.sampling_ratio
    except BadInput:
        return released.monitoring.sampling_ratio


def ready_cases(client: LakeClient, settings: Settings, files: ModelFiles) -> tuple[ReadyCase, ...]:
    """Read the model's functional cases and fetch their images; samples of versions that are not attested are refused."""
    cases = load_cases(settings, files.model, files.labels)
    return tuple(ReadyCase(case, _image(client, settings, files.model, case)) for case in cases)


def interface_in(files: ModelFiles) -> ServedInterface:
    """Return the interface that these files will have."""
    return interface_of(config_as_json(python_config(files.spec), f"configuration of {files.model}"))


def _interface_in_production(client: LakeClient, settings: Settings, model: str) -> ServedInterface | None:
    """Return what clients meet now: asked from the server, or where that does not serve it, what its release would have."""
    files = _standing(client, settings, "production", model)
    if files is None:
        return None
    stand = find_stand(settings, "production")
    if stand is not None and stand.server.is_live() and is_serving(stand.server, files):
        return interface_of(stand.server.config(model, files.number))
    return interface_in(files)


def _standing(client: LakeClient, settings: Settings, stage: Stage, model: str) -> ModelFiles | None:
    """Return what the registry says is in the stage; ``None`` where nothing is that could be served."""
    pointer = read_pointer(client, stage, model)
    if pointer is None or not _has_detector(client, settings, stage, model):
        return None
    if stage == "production":
        operating = releases.read_release(client, model, pointer.release).request.operating
    else:
        request = read_document(client, EVIDENCE, f"requests/{pointer.request_digest}.json", ReleaseRequest)
        if request is None:
            return None
        operating = request.operating
    return model_files(client, settings, stage, model, pointer.release, pointer.run, operating)


def _image(client: LakeClient, settings: Settings, model: str, case: FunctionalCase) -> bytes:
    if case.image:
        return read_case_image(settings, model, case)
    reference, sample_id = split_sample(case.sample)
    version = pin(client, reference)
    require_attestation(client, settings, version.dataset, version.commit)
    for entry in client.list_objects(version.dataset, version.commit, f"{IMAGES}{sample_id}."):
        if sample_id_of(entry.path) == sample_id:
            return fetch_object(client, settings, version.dataset, version.commit, entry).read_bytes()
    raise BadInput(f"functional case '{case.name}' of {model}: {reference} has no sample '{sample_id}'; correct the case")
