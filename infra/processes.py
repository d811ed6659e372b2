"""Long-lived processes of one machine: started detached, recognised again by a pid file, stopped with all they started."""

import ctypes
import json
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from lakegate.errors import SetupProblem

MARK = "LAKEGATE_SERVICE_OF"
"""Environment variable that every service, and whatever a service starts, carries: the state folder that it belongs to."""

NAME_MARK = "LAKEGATE_SERVICE"
"""Environment variable with the name of the service, carried likewise."""

PR_SET_PDEATHSIG = 1
STOP_GRACE_S = 10.0
PORT_RELEASE_S = 3.0
LOCALHOST = "127.0.0.1"
FREE_PORTS = range(20_000, 32_768)
_given_ports: set[int] = set()


@dataclass(frozen=True)
class ProcessRecord:
    """One started process; pid and creation time together name it even after the pid is given to another process."""

    name: str
    pid: int
    created_at_s: float
    port: int = 0


def run_dir(home: Path) -> Path:
    """Return the folder of the pid files."""
    return home / "run"


def log_file(home: Path, name: str) -> Path:
    """Return the log file of the service ``name``."""
    return home / "logs" / f"{name}.log"


def service_environment(home: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with the mark of ``home`` and with ``extra``.

    What belongs to some lakeFS or Prefect, credentials included, is left out.
    """
    foreign = ("LAKEFS", "LAKECTL", "LAKEGATE_LAKEFS_", "PREFECT_")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    return {**inherited, MARK: str(home), **extra}


def start(
    home: Path, name: str, command: Sequence[str], environment: Mapping[str, str], port: int = 0, *, is_bound: bool = False
) -> ProcessRecord:
    """Start ``command`` in a session of its own, its output appended to the log, and write its pid file.

    ``is_bound``: it gets SIGTERM from the kernel when the thread that calls this ends, however it ends.

    Raises:
        SetupProblem: the program cannot be executed.
    """
    log = log_file(home, name)
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**environment, NAME_MARK: name},
                cwd=home,
                start_new_session=True,
                preexec_fn=_end_with(os.getpid()) if is_bound else None,
            )
    except OSError as error:
        raise SetupProblem(f"{name}: cannot start {command[0]}: {error.strerror}; run `lakegate doctor`") from error
    record = ProcessRecord(name, process.pid, psutil.Process(process.pid).create_time(), port)
    write_private(run_dir(home) / f"{name}.json", json.dumps(asdict(record)))
    return record


def _end_with(parent: int) -> Callable[[], None]:
    """Return what a new process does first: ask the kernel for SIGTERM at its parent's end, which may have come already."""
    libc = ctypes.CDLL(None, use_errno=True)

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return ask


def write_private(path: Path, text: str) -> None:
    """Write ``text`` aside with mode 0600 and rename it into place; missing folders are made with mode 0700."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    aside.replace(path)


def recorded(home: Path, name: str) -> ProcessRecord | None:
    """Return what the pid file of ``name`` says, whether that process lives or not."""
    try:
        return ProcessRecord(**json.loads((run_dir(home) / f"{name}.json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def living(home: Path, name: str) -> ProcessRecord | None:
    """Return the record of ``name`` if exactly that process is alive."""
    record = recorded(home, name)
    return record if record and find(record) else None


def find(record: ProcessRecord) -> psutil.Process | None:
    """Return the living process of ``record``; None when it ended, is a zombie, or its pid belongs to another process."""
    try:
        process = psutil.Process(record.pid)
        if abs(process.create_time() - record.created_at_s) > 1.0 or process.status() == psutil.STATUS_ZOMBIE:
            return None
    except psutil.NoSuchProcess:
        return None
    return process


def stop(home: Path, name: str) -> bool:
    """Stop the service ``name`` with its children and the orphans of earlier ones; tell whether any was alive.

    The pid file stays: it remembers the port.
    """
    record = recorded(home, name)
    process = find(record) if record else None
    end_processes([process] if process else [])
    orphans = marked(home, name)
    end_processes(orphans)
    return bool(process or orphans)


def marked(home: Path, name: str = "") -> list[psutil.Process]:
    """Return the living processes that carry the mark of ``home``: services, flow runs, and orphans of killed services."""
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
            is_ours = environment.get(MARK) == str(home) and (not name or environment.get(NAME_MARK) == name)
            if is_ours and process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def end_processes(processes: Iterable[psutil.Process], grace_s: float = STOP_GRACE_S) -> None:
    """SIGTERM to ``processes``, then after ``grace_s`` SIGKILL to those that are left and to all their descendants."""
    heads = list(processes)
    family = {process for head in heads for process in _with_descendants(head)}
    for process in heads:
        _send(process, signal.SIGTERM)
    psutil.wait_procs(heads, timeout=grace_s)
    family |= {process for head in list(family) for process in _with_descendants(head)}
    for process in family:
        _send(process, signal.SIGKILL)
    psutil.wait_procs(list(family), timeout=grace_s)


def _with_descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _send(process: psutil.Process, signal_number: int) -> None:
    try:
        process.send_signal(signal_number)
    except psutil.NoSuchProcess:
        return


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on now.

    It lies below the ports that the kernel gives to outgoing connections (from 32768 on Linux), which would otherwise
    take it before the service that it is for has started. No port is returned twice in one process: several services are
    started at once.
    """
    while True:
        port = secrets.choice(FREE_PORTS)
        if port not in _given_ports and port_is_free(port):
            _given_ports.add(port)
            return port


def port_is_free(port: int) -> bool:
    """Tell whether a server could listen on ``port`` of the loopback interface."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOCALHOST, port))
        except OSError:
            return False
    return True


def port_owner(port: int) -> str:
    """Return who listens on ``port`` in words: ``"pid 123 (nginx)"``, or that it cannot be seen."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,) and connection.pid:
                return _describe(psutil.Process(connection.pid))
    except psutil.Error:
        pass
    return "a process of another user"


def _describe(process: psutil.Process) -> str:
    words = f"pid {process.pid} ({process.name()})"
    try:
        other_home = process.environ().get(MARK)
    except (psutil.Error, OSError):
        return words
    return f"{words}, a service of the Lakegate in {other_home}" if other_home else words


def choose_port(home: Path, name: str, wanted: int, variable: str) -> int:
    """Return the port for the service ``name``: ``wanted``, or for 0 the one it had before if still free, else any free one.

    Raises:
        SetupProblem: somebody else listens on ``wanted``.
    """
    before = recorded(home, name)
    if before and before.port and wanted in (0, before.port) and _becomes_free(before.port):
        return before.port
    if wanted:
        if not port_is_free(wanted):
            raise SetupProblem(
                f"{name} wants port {wanted}, but port {wanted} is taken by {port_owner(wanted)}; "
                f"stop that process, or set {variable} to another port (0 picks a free one)"
            )
        return wanted
    return free_port()


def _becomes_free(port: int) -> bool:
    """Tell whether ``port`` is free soon: the threads of a killed server hold it for a moment."""
    deadline = time.monotonic() + PORT_RELEASE_S
    while not port_is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def log_tail(home: Path, name: str, n_lines: int = 8) -> str:
    """Return the last lines of a service's log, for an error message."""
    try:
        return "\n".join(log_file(home, name).read_text(errors="replace").splitlines()[-n_lines:])
    except FileNotFoundError:
        return "(no log)"


def wait_for(record: ProcessRecord, home: Path, is_ready: Callable[[], bool], timeout_s: float) -> None:
    """Wait until ``is_ready()``.

    Raises:
        SetupProblem: the process ended, or was not ready in time; the end of its log is in the message.
    """
    deadline = time.monotonic() + timeout_s
    while not is_ready():
        ended = find(record) is None
        if ended or time.monotonic() > deadline:
            what = "ended while starting" if ended else f"did not answer within {timeout_s:.0f} s"
            log = log_file(home, record.name)
            raise SetupProblem(f"{record.name} {what}; the end of {log}:\n{log_tail(home, record.name)}")
        time.sleep(0.1)
