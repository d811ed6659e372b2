"""The pull step of every deployment: what is settled in a flow run's own process before its code is imported."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from infra.gpu import GPU_PREFIX
from infra.gpu_lease import hold_gpu
from infra.run_code import CODE_ROOMS, RunRefused, find_code

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun


def prepare_run() -> dict[str, str]:
    """Choose the code of one commit and, in a pool of GPUs, take the worker's GPU; return the folder of the code.

    The commit is written onto the flow run as the tag ``commit:<40 hex>``: the run's page shows it, and a run that is
    resumed or tried again stays on it. What is refused ends the run as Failed with the reason.

    Raises:
        RunRefused: this worker must not execute this run.
    """
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(os.environ["PREFECT__FLOW_RUN_ID"]))
        try:
            return {"directory": str(_prepare(client, run))}
        except RunRefused as refusal:
            _end_as_failed(client, run, str(refusal))
            raise


def _prepare(client: "SyncPrefectClient", run: "FlowRun") -> Path:
    from prefect.logging.loggers import flow_run_logger

    logger = flow_run_logger(run)
    pool = run.work_pool_name or ""
    if pool.startswith(GPU_PREFIX):
        logger.info("GPU: %s", hold_gpu(pool, os.environ.get("LAKEGATE_GPU_UUID", "")))
    code = find_code(Path(os.environ["LAKEGATE_CHECKOUT"]), Path(os.environ["LAKEGATE_HOME"]), run.tags)
    _import_from(code.folder)
    logger.info("Code: %s", code.words)
    if code.warning:
        logger.warning(code.warning)
    if code.tag not in run.tags:
        client.update_flow_run(run.id, tags=[*run.tags, code.tag])
    return code.folder


def _import_from(folder: Path) -> None:
    """Let this process, and those that it starts, import the code from ``folder`` before any that is installed."""
    imported = [name for name in sys.modules if name.partition(".")[0] in CODE_ROOMS]
    if imported:
        raise RunRefused(f"{min(imported)} was imported before the code was chosen; that is a fault of Lakegate: report it")
    sys.path.insert(0, str(folder))
    inherited = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = f"{folder}{os.pathsep}{inherited}" if inherited else str(folder)


def _end_as_failed(client: "SyncPrefectClient", run: "FlowRun", reason: str) -> None:
    from prefect.logging.loggers import flow_run_logger
    from prefect.states import Failed

    flow_run_logger(run).error(reason)
    client.set_flow_run_state(run.id, Failed(message=reason))
