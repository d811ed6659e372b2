"""Which run's weights a training starts from, as ``[architecture] init`` says: pinned when it is planned, and followed back."""

from collections.abc import Callable
from dataclasses import dataclass

from lakegate.declarations import ModelDeclaration
from lakegate.errors import BadInput, RegistryError, UnknownName, nearest
from lakegate.lake.client import LakeClient
from lakegate.registry import releases, runs
from lakegate.registry.documents import RunReference
from lakegate.settings import Settings
from lakegate.training.job import StartingWeights
from lakegate.training.record import RunRecord


@dataclass(frozen=True)
class StartingRun:
    """A run of the same model, and the SHA-256 of its model.pt."""

    run_id: str
    model_sha256: str
    labels: tuple[str, ...]


def find_start(
    client: LakeClient, declaration: ModelDeclaration, run_id_from: Callable[[StartingRun | None], str]
) -> StartingRun | None:
    """Return the run that ``init`` names now; ``None`` for "random".

    Where the run in production was trained from exactly what is asked for now, "production" means what it started from
    itself: asking again is the same run, not one more round of training.

    Args:
        run_id_from: the id of the run that is asked for, by what it starts from.

    Raises:
        BadInput: init is "production", and nothing is in production yet. UnknownName: no such run.
    """
    model, init = declaration.name, declaration.architecture.init
    if init == "random":
        return None
    if init != "production":
        return _start_at(client, model, init.removeprefix("run:"))
    run = _run_in_production(client, model)
    record = runs.find_run(client, model, run)
    if record is not None and record.start_run:
        before = _start_at(client, model, record.start_run)
        if run_id_from(before) == run:
            return before
    return _start_at(client, model, run)


def fetch_start(client: LakeClient, settings: Settings, model: str, start: StartingRun) -> StartingWeights:
    """Fetch the run's model.pt.

    Raises:
        RegistryError: it is not the file that was pinned. ChecksumMismatch: its bytes are damaged.
    """
    reference = RunReference(run_id=start.run_id, commit=runs.run_branch(model, start.run_id), model_sha256="")
    path = runs.fetch_file(client, settings, reference, runs.CHECKPOINT)
    if path.name != start.model_sha256:
        raise RegistryError(
            f"{runs.CHECKPOINT} of run {start.run_id} was {start.model_sha256[:12]} when this training was planned, "
            f"now it is {path.name[:12]}; plan the training again"
        )
    return StartingWeights(start.run_id, start.model_sha256, path, start.labels)


def ancestry(client: LakeClient, model: str, run: str) -> list[RunRecord]:
    """Return the record of a run, then that of the run whose weights it started from, and so on to random weights.

    What any of them trained on, the run has learned from.

    Raises:
        RegistryError: one of the runs has no record, or they start from each other.
    """
    found: dict[str, RunRecord] = {}
    while run:
        line = " started from ".join([*found, run])
        if run in found:
            raise RegistryError(
                f"expected runs that began with random weights; of {model}, run {line} again: these records were changed; "
                "train the model again with init = 'random'"
            )
        record = runs.find_run(client, model, run)
        if record is None:
            why = f" (run {line}), so nobody can say which test samples the later ones have learned" if found else ""
            raise RegistryError(f"run {run} of {model} has no record{why}; train it again")
        found[run] = record
        run = record.start_run
    return list(found.values())


def _start_at(client: LakeClient, model: str, run: str) -> StartingRun:
    record = runs.find_run(client, model, run)
    if record is None:
        known = runs.list_runs(client, model)
        raise UnknownName(f"[architecture] init: {model} has no run '{run}'{nearest(run, known)}")
    return StartingRun(run, record.artifacts[runs.CHECKPOINT].sha256, tuple(record.labels))


def _run_in_production(client: LakeClient, model: str) -> str:
    reference = releases.run_in_production(client, model)
    if reference is None:
        raise BadInput(
            f"[architecture] init = 'production': nothing of {model} is in production yet; "
            "train the first release with init = 'random', or name a run as 'run:<id>'"
        )
    return reference.run_id
