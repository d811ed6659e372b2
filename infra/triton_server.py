"""The two Triton servers of one machine, staging and production: explicit model control over a local repository each."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from infra import processes
from infra.triton_environment import TritonEnvironment
from lakegate.canonical import sha256_bytes
from lakegate.errors import ServingError
from lakegate.registry.documents import Stage
from lakegate.serving.model_files import aside_dir, complete_models, repository_dir
from lakegate.serving.server import TritonServer
from lakegate.settings import Settings

STAGES: tuple[Stage, ...] = ("staging", "production")
START_TIMEOUT_S = 60.0
EXIT_TIMEOUT_S = 2
HTTP_THREADS = 4
SHARED_MEMORY = Path("/dev/shm")

Say = Callable[[str], None]


@dataclass(frozen=True)
class TritonAddress:
    """Where one server listens on the loopback interface."""

    http_port: int
    grpc_port: int

    @property
    def http(self) -> str:
        """For HTTP clients, ``http://127.0.0.1:<port>``."""
        return f"http://{processes.LOCALHOST}:{self.http_port}"

    @property
    def grpc(self) -> str:
        """For gRPC clients, ``127.0.0.1:<port>``."""
        return f"{processes.LOCALHOST}:{self.grpc_port}"


def service_name(stage: Stage) -> str:
    """Return the name of the stage's service, as pid file and log have it."""
    return f"triton-{stage}"


SERVICES = tuple(service_name(stage) for stage in STAGES)


def start_triton(settings: Settings, environment: TritonEnvironment, stage: Stage, say: Say) -> TritonAddress:
    """Start the stage's server unless it runs and answers; it loads every model whose files are complete.

    A model that cannot be loaded is said and left out: the server and the other models come up without it.

    Raises:
        SetupProblem: the server does not come up.
    """
    home, name = settings.home, service_name(stage)
    running = processes.living(home, name)
    address = recorded_address(home, stage)
    if running and address and answers(address, stage):
        return address
    stop_triton(home, stage)
    address = _choose_ports(address)
    processes.write_private(_address_file(home, stage), json.dumps(asdict(address)))
    repository = repository_dir(settings, stage)
    repository.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(aside_dir(repository), ignore_errors=True)  # what a killed filling left
    variables = {**environment.variables, "OMP_NUM_THREADS": str(settings.threads), "OMP_WAIT_POLICY": "PASSIVE"}
    record = processes.start(
        home,
        name,
        _command(environment, repository, address, shared_memory_prefix(home, stage)),
        processes.service_environment(home, variables),
        address.http_port,
    )
    processes.wait_for(record, home, lambda: answers(address, stage), START_TIMEOUT_S)
    _load_all(TritonServer(address.http, address.grpc, stage), repository, say)
    return address


def stop_triton(home: Path, stage: Stage) -> bool:
    """Stop the stage's server and its backend processes, kill them if they stay, and free their shared memory."""
    was_alive = processes.stop(home, service_name(stage))
    for region in SHARED_MEMORY.glob(f"{shared_memory_prefix(home, stage)}*"):
        region.unlink(missing_ok=True)
    return was_alive


def recorded_address(home: Path, stage: Stage) -> TritonAddress | None:
    """Return where the stage's server listens, or listened before."""
    try:
        return TritonAddress(**json.loads(_address_file(home, stage).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def answers(address: TritonAddress, stage: Stage) -> bool:
    """Tell whether a Triton server answers there; which models it serves is another question."""
    return TritonServer(address.http, address.grpc, stage).is_live()


def _command(environment: TritonEnvironment, repository: Path, address: TritonAddress, shared_memory: str) -> list[str]:
    return [
        str(environment.program),
        f"--model-repository={repository}",
        f"--backend-directory={environment.backends}",
        "--model-control-mode=explicit",
        "--disable-auto-complete-config",
        "--strict-readiness=false",
        f"--http-address={processes.LOCALHOST}",
        f"--http-port={address.http_port}",
        f"--http-thread-count={HTTP_THREADS}",
        f"--grpc-address={processes.LOCALHOST}",
        f"--grpc-port={address.grpc_port}",
        "--allow-metrics=false",
        f"--exit-timeout-secs={EXIT_TIMEOUT_S}",
        f"--backend-config=python,shm-region-prefix-name={shared_memory}",
    ]


def _load_all(server: TritonServer, repository: Path, say: Say) -> None:
    for model in complete_models(repository):
        try:
            server.load(model)
        except ServingError as error:
            say(f"{model} is not served by {server.stage} after the start: {error}")


def _choose_ports(before: TritonAddress | None) -> TritonAddress:
    """Return the ports that the server had if they are still free, else two free ones."""
    if before and processes.port_is_free(before.http_port) and processes.port_is_free(before.grpc_port):
        return before
    http_port = grpc_port = processes.free_port()
    while grpc_port == http_port:
        grpc_port = processes.free_port()
    return TritonAddress(http_port, grpc_port)


def _address_file(home: Path, stage: Stage) -> Path:
    return home / "serving" / stage / "address.json"


def shared_memory_prefix(home: Path, stage: Stage) -> str:
    """Return a name that no other state folder's server uses: regions outlive a killed server."""
    return f"lakegate-{sha256_bytes(str(home).encode())[:10]}-{stage}-"
