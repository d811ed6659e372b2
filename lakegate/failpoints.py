"""Named places where a test kills the process, to show that every step can be run again."""

import os
import signal
from typing import Literal, get_args

from lakegate.errors import BadInput, nearest

VARIABLE = "LAKEGATE_FAILPOINT"
Publishing = Literal["uploading", "committed", "attested", "merged", "tagged"]
Serving = Literal["served-aside", "served-filled", "served-loaded", "served-tested", "served-switched"]
Failpoint = Literal[Publishing, Serving]


def reach(name: Failpoint) -> None:
    """Kill this process with SIGKILL if ``LAKEGATE_FAILPOINT`` names this place; else do nothing.

    Raises:
        BadInput: the variable names no known place.
    """
    wanted = os.environ.get(VARIABLE, "")
    if wanted and wanted not in get_args(Failpoint):
        raise BadInput(f"{VARIABLE}={wanted}: no such failpoint{nearest(wanted, get_args(Failpoint))}")
    if wanted == name:
        os.kill(os.getpid(), signal.SIGKILL)
