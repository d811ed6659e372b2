"""One training in several processes of this machine: started, listened to, and all ended where one of them fails."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path

from lakegate.errors import BadDeclaration, LakegateError, TrainingFailed
from lakegate.training.job import Report, TrainingJob, TrainingResult

GRACE_S = 10.0
LOOPBACK = "lo"


@dataclass(frozen=True)
class Order:
    """What one process is told: its share of the job, and the file by which the processes find each other."""

    job: TrainingJob
    folder: Path
    rank: int
    rendezvous: Path


@dataclass(frozen=True)
class Progress:
    """An epoch that the first process has finished; it goes on once it is answered."""

    epoch: int
    metrics: dict[str, float]


Message = Progress | TrainingResult | LakegateError


def fit_in_processes(job: TrainingJob, folder: Path, report: Report) -> TrainingResult:
    """Train as ``job.processes`` processes, on one GPU each, or on the CPU with a share of its threads each.

    Raises:
        LakegateError: what the first failing process raised.
        BadDeclaration: a batch has fewer images than there are processes.
        TrainingFailed: a process ended without a word; the others are ended, and the last checkpoint stays.
    """
    batch_size = job.model.training.batch_size
    if batch_size < job.processes:
        raise BadDeclaration(
            f"[training] batch_size = {batch_size} is less than [resources] gpus = {job.processes}: "
            "every process needs an image of a batch; raise the one or lower the other"
        )
    shared = replace(job, threads=max(1, job.threads // job.processes))
    with tempfile.TemporaryDirectory(prefix="lakegate-training-") as rendezvous:
        orders = [Order(shared, folder, rank, Path(rendezvous, "processes")) for rank in range(job.processes)]
        with _started(orders) as connections:
            results = _listen(connections, report)
    return replace(results[0], peak_memory_bytes=max(item.peak_memory_bytes for item in results))


def _listen(connections: list[Connection], report: Report) -> list[TrainingResult]:
    """Hand on the first process's reports until every process has sent its result."""
    results: dict[int, TrainingResult] = {}
    while len(results) < len(connections):
        waited = [item for rank, item in enumerate(connections) if rank not in results]
        for connection in wait(waited):
            rank = connections.index(connection)  # type: ignore[arg-type]
            message = _receive(connections[rank], rank, len(connections))
            if isinstance(message, LakegateError):
                raise message
            if isinstance(message, Progress):
                report(message.epoch, message.metrics)
                connections[rank].send(None)
            else:
                results[rank] = message
    return [results[rank] for rank in range(len(connections))]


def _receive(connection: Connection, rank: int, n_processes: int) -> Message:
    try:
        message: Message = connection.recv()
    except (EOFError, ConnectionError) as error:
        raise TrainingFailed(
            f"process {rank + 1} of {n_processes} of the training ended without a result; what it printed says why "
            "(a process that was killed prints nothing: look at the memory); the training goes on from its last "
            "checkpoint when it is run again"
        ) from error
    return message


@contextmanager
def _started(orders: list[Order]) -> Iterator[list[Connection]]:
    """Start a process per order; none is left afterwards, also when this process is killed: they read its end from stdin."""
    environment = {
        "GLOO_SOCKET_IFNAME": LOOPBACK,
        "NCCL_SOCKET_IFNAME": LOOPBACK,
        **os.environ,
        "PYTHONPATH": os.pathsep.join(item for item in sys.path if item),
    }
    children: list[subprocess.Popen[bytes]] = []
    connections: list[Connection] = []
    try:
        for order in orders:
            ours, theirs = Pipe()
            with theirs:
                handle = theirs.fileno()
                words = [sys.executable, "-m", "lakegate.training.one_process", str(handle)]
                children.append(subprocess.Popen(words, stdin=subprocess.PIPE, pass_fds=[handle], env=environment))
            connections.append(ours)
            ours.send(order)
        yield connections
        for child in children:
            child.wait(GRACE_S)
    finally:
        for child in children:
            child.kill()
            child.communicate()
        for connection in connections:
            connection.close()
