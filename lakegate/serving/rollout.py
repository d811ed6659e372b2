"""Put one release onto a Triton server, or leave the one that was there: fill, load exactly that version, test, switch.

The server loads the release by a configuration that goes with the request; ``config.pbtxt`` on the disk names the release
only after its functional tests passed. So a server that restarts in the middle comes up with the one before, and a process
that is killed anywhere can be run again. See ADR 4.
"""

import fcntl
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lakegate.errors import GateFailed, ServiceUnavailable, ServingError
from lakegate.failpoints import reach
from lakegate.registry.documents import FunctionalOutcome
from lakegate.serving.config import python_config
from lakegate.serving.diagnosis import check_version_folder, explain, explain_states
from lakegate.serving.functional import failures, in_short, run_functional
from lakegate.serving.functional_cases import ReadyCase, cases_digest
from lakegate.serving.interface import config_as_json
from lakegate.serving.model_files import ModelFiles, switch, switched_to, write_version
from lakegate.serving.server import LOAD_TIMEOUT_S, READY, TritonServer


@dataclass(frozen=True)
class Stand:
    """A server, its model repository on this machine, its log where it is known, and how long a load may take."""

    server: TritonServer
    repository: Path
    log: Path | None = None
    load_timeout_s: float = LOAD_TIMEOUT_S


@dataclass(frozen=True)
class RolloutResult:
    """A release that is served, and how its functional tests went."""

    functional: tuple[FunctionalOutcome, ...]
    sentence: str
    duration_s: float


def roll_out(stand: Stand, files: ModelFiles, cases: Sequence[ReadyCase], previous: ModelFiles | None) -> RolloutResult:
    """Serve ``files`` instead of ``previous``; safe to repeat, and to kill at any point.

    Args:
        cases: functional cases; each is sent over HTTP and gRPC.
        previous: what the registry says is in this stage, for going back; ``None`` where nothing is.

    Raises:
        ServingError: it cannot be served; the diagnosis and what is served now are in the message.
        GateFailed: a functional test failed twice; ``previous`` is served again.
    """
    started = time.monotonic()
    with _only_one(stand.repository, files.model):
        try:
            _serve(stand, files)
            reach("served-loaded")
            outcomes = run_functional(stand.server, files.model, files.number, cases)
            _require_passed(files, outcomes)
        except (ServingError, GateFailed) as error:
            raise type(error)(f"{str(error).rstrip('. ')}. {_go_back(stand, files, previous)}") from error
        reach("served-tested")
        switch(stand.repository, files.model, files.number)
        reach("served-switched")
        _prune(stand.repository, files.model, {files.number, *([previous.number] if previous else [])})
    where = f"release {files.number} of {files.model} answers on {stand.server.stage} ({stand.server.http})"
    sentence = f"{where}: {in_short(outcomes, cases_digest(cases))}"
    return RolloutResult(outcomes, sentence, time.monotonic() - started)


def restore(stand: Stand, files: ModelFiles) -> str:
    """Serve what the registry says is in this stage, without tests: it passed them when it was rolled out.

    Raises:
        ServingError: it cannot be served.
    """
    with _only_one(stand.repository, files.model):
        if is_serving(stand.server, files) and switched_to(stand.repository, files.model) == files.number:
            return f"release {files.number} of {files.model} is served by {stand.server.stage} as the registry says"
        _serve(stand, files)
        switch(stand.repository, files.model, files.number)
    return f"release {files.number} of {files.model} is served by {stand.server.stage} again"


def is_serving(server: TritonServer, files: ModelFiles) -> bool:
    """Tell whether the server has exactly this release loaded: its number, its run, its bytes."""
    state = server.versions(files.model).get(files.number)
    if state is None or state.state != READY:
        return False
    return _loaded(server, files) == (files.run.run_id, files.run.model_sha256)


def _loaded(server: TritonServer, files: ModelFiles) -> tuple[str, str]:
    parameters = server.config(files.model, files.number).get("parameters", {})
    run, digest = (parameters.get(name, {}).get("string_value", "") for name in ("run_id", "model_sha256"))
    return str(run), str(digest)


def _serve(stand: Stand, files: ModelFiles) -> None:
    """Fill the version folder, load exactly that version, and wait until it is ready."""
    write_version(stand.repository, files)
    reach("served-filled")
    check_version_folder(stand.repository, files.model, files.number)
    config = json.dumps(config_as_json(python_config(files.spec), f"configuration of {files.model}"))
    try:
        stand.server.load(files.model, stand.load_timeout_s, config)
        stand.server.wait_ready(files.model, files.number, stand.load_timeout_s)
    except ServingError as error:
        raise ServingError(f"release {files.number} of {files.model} is not served: {_why(stand, files, error)}") from error
    if not is_serving(stand.server, files):
        came = _loaded(stand.server, files)
        raise ServingError(
            f"{stand.server.stage} has another model loaded as release {files.number} of {files.model}: expected run "
            f"{files.run.run_id} ({files.run.model_sha256[:12]}), came {came[0]} ({came[1][:12]}); "
            "stop the server and roll out again"
        )


def _why(stand: Stand, files: ModelFiles, error: ServingError) -> str:
    """Explain a refused load by the server's words; one that did not end, or whose words say nothing, by its index."""
    state = stand.server.versions(files.model).get(files.number)
    if state is not None and state.state == "LOADING":
        return explain_states({files.number: state}, files.model, files.number, stand.log)
    return explain(str(error), files.model, files.number, stand.log)


def _require_passed(files: ModelFiles, outcomes: Sequence[FunctionalOutcome]) -> None:
    failed = failures(outcomes)
    if failed:
        raise GateFailed(f"release {files.number} of {files.model} fails its functional tests: {' | '.join(failed)}")


def _go_back(stand: Stand, files: ModelFiles, previous: ModelFiles | None) -> str:
    """Return what is served after a rollout that failed; serves ``previous`` again where that is needed."""
    try:
        if previous is None:
            stand.server.unload(files.model, stand.load_timeout_s)
            return f"Nothing of {files.model} was served before, and nothing is now"
        if (previous.number, previous.run) == (files.number, files.run):
            return "The registry names this release here, so nothing else was put in its place"
        if is_serving(stand.server, previous):
            return f"Release {previous.number} was served all the time"
        _serve(stand, previous)
        switch(stand.repository, previous.model, previous.number)
        return f"Release {previous.number} is served again"
    except (ServingError, ServiceUnavailable) as error:
        wanted = "taking it off" if previous is None else f"going back to release {previous.number}"
        return f"After that, {wanted} failed too: {error}"


def _prune(repository: Path, model: str, keep: set[int]) -> None:
    """Remove the folders of releases that neither are served nor were before."""
    for folder in (repository / model).iterdir():
        if folder.name.isdigit() and int(folder.name) not in keep:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _only_one(repository: Path, model: str) -> Iterator[None]:
    """Let one process at a time change what is served of a model; the lock ends with its process."""
    folder = repository.parent / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{model}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
