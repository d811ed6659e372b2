"""Variables of the test process, set before anything imports numpy, torch, wandb, great_expectations or prefect."""

import atexit
import os
import shutil
import tempfile

QUIET_AND_SMALL = {
    "OMP_NUM_THREADS": "2",
    "OMP_WAIT_POLICY": "PASSIVE",
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}

OTHER_SERVER = ("PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_PROFILE", "PREFECT_API_AUTH_STRING")

for _name in OTHER_SERVER:
    os.environ.pop(_name, None)
os.environ.update(QUIET_AND_SMALL)
os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix="lakegate-prefect-")  # not the user's own
atexit.register(shutil.rmtree, os.environ["PREFECT_HOME"], ignore_errors=True)
