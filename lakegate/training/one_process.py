"""One of the processes of a training; :mod:`lakegate.training.processes` starts it with the handle of a pipe."""

import os
import sys
import threading
from multiprocessing.connection import Connection

from lakegate.errors import LakegateError
from lakegate.training.processes import Order, Progress


def main() -> None:
    """Take an order from the pipe, train, and send back the result, or the error that a person should read."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    connection = Connection(int(sys.argv[1]))
    order: Order = connection.recv()

    def report(epoch: int, metrics: dict[str, float]) -> None:
        if order.rank == 0:
            connection.send(Progress(epoch, metrics))
            connection.recv()

    from torch import cuda, distributed

    from lakegate.training.process_group import ProcessGroup
    from lakegate.training.trainer import Trainer

    size = order.job.processes
    if order.job.device == "cuda":
        cuda.set_device(order.rank)
    backend = "nccl" if order.job.device == "cuda" else "gloo"
    address = f"file://{order.rendezvous}"
    distributed.init_process_group(backend, init_method=address, rank=order.rank, world_size=size)
    try:
        connection.send(Trainer(order.job, order.folder, ProcessGroup(order.rank, size)).run(report))
    except LakegateError as error:
        connection.send(error)
    distributed.destroy_process_group()


def _end_with_parent() -> None:
    """Wait for the end of stdin, which only the parent holds open."""
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    main()
