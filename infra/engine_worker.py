"""A Prefect worker that starts the engine of a flow run at once: ``python -m infra.engine_worker --pool cpu --name NAME``.

Prefect 3.8.8's own worker starts a process that imports Prefect only to run the pull step, and then executes another one that
imports it again: two to four seconds more for each flow run. Here the engine runs the pull step itself
(:mod:`infra.run_step`). Our flows have no hooks for a crash or a cancellation, so none are looked for.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc
from prefect.runner._flow_run_executor import FlowRunExecutorContext
from prefect.runner._starter_engine import EngineCommandStarter
from prefect.states import Cancelled
from prefect.utilities.processutils import command_to_string, setup_signal_handlers_worker
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker, ProcessWorkerResult

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun, State

ENGINE = command_to_string([sys.executable, "-m", "prefect.engine"])


class NoHooks:
    """What Prefect calls where a flow run crashed or is cancelled."""

    async def run_cancellation_hooks(self, flow_run: "FlowRun", state: "State") -> None:
        """Do nothing."""

    async def run_crashed_hooks(self, flow_run: "FlowRun", state: "State") -> None:
        """Do nothing."""


class EngineWorker(ProcessWorker):
    """Runs each flow run in one process, the leader of a session and process group of its own."""

    @classmethod
    def __dispatch_key__(cls) -> str:
        """Prefect's registry of workers has it beside its own; the pools stay of type ``process``."""
        return "process-engine"

    async def run(
        self,
        flow_run: "FlowRun",
        configuration: ProcessJobConfiguration,
        task_status: "anyio.abc.TaskStatus[int] | None" = None,
    ) -> ProcessWorkerResult:
        """Start the engine and wait for its end; ``task_status`` gets the pid."""
        status: Any = task_status or anyio.TASK_STATUS_IGNORED
        results: list[Any] = []
        with tempfile.TemporaryDirectory(suffix="prefect") as folder:
            async with FlowRunExecutorContext() as context, anyio.create_task_group() as group:
                starter = EngineCommandStarter(
                    command=ENGINE,
                    cwd=Path(folder).resolve(),
                    env=configuration.env,
                    stream_output=configuration.stream_output,
                    control_channel=context.control_channel,
                    isolate_process_group=True,
                    env_overrides_settings=True,
                )
                executor = context.create_executor(flow_run, starter, propose_submitting=False, hook_runner=NoHooks())

                async def execute(*, task_status: "anyio.abc.TaskStatus[Any]") -> None:
                    results.append(await executor.submit(task_status=task_status))

                handle = await group.start(execute)
                status.started(handle.pid)
        await self._end_cancelled(flow_run)
        if not results or results[0] is None or results[0].status_code is None:
            raise RuntimeError(f"the process of flow run {flow_run.id} did not start or did not say how it ended")
        return ProcessWorkerResult(status_code=results[0].status_code, identifier=str(handle.pid))

    async def _end_cancelled(self, flow_run: "FlowRun") -> None:
        """End a flow run that was cancelled while its process started: Prefect would notice after five minutes only."""
        state = (await self.client.read_flow_run(flow_run.id)).state
        if state is not None and state.is_cancelling():
            ended: State[Any] = Cancelled(message="It was cancelled while it started.")
            await self.client.set_flow_run_state(flow_run.id, ended, force=True)


async def serve(pool: str, name: str, limit: int | None) -> None:
    """Execute the flow runs of ``pool`` until SIGINT or SIGTERM, which leaves time to those under way; a second one kills."""
    setup_signal_handlers_worker(os.getpid(), f"the worker of {pool}", print)
    try:
        await EngineWorker(work_pool_name=pool, name=name, limit=limit, create_pool_if_not_found=False).start()
    except asyncio.CancelledError:
        print(f"worker {name} stopped", flush=True)


def main() -> None:
    """Read the words of the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pool", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--limit", type=int, default=None, help="flow runs at a time; default: as many as come")
    words = parser.parse_args()
    asyncio.run(serve(words.pool, words.name, words.limit))


if __name__ == "__main__":
    main()
