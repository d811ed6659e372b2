"""Ends a flow run's processes when its worker ends. Started as a script with two pids; imports no package.

PR_SET_PDEATHSIG cannot do this: Prefect 3.8.8 runs a pull step in a short-lived thread, and the kernel keeps the signal per
thread. A pidfd is of one process, also after its pid is given away.
"""

import os
import select
import signal
import sys


def guard(worker: int, flow_run: int) -> None:
    """Wait until the worker or the flow run's process ends, then SIGKILL what is left of the flow run's process group."""
    waiting = select.poll()
    for pid in (worker, flow_run):
        waiting.register(os.pidfd_open(pid), select.POLLIN)
    print("on guard", flush=True)
    waiting.poll()
    try:
        os.killpg(flow_run, signal.SIGKILL)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    guard(int(sys.argv[1]), int(sys.argv[2]))
