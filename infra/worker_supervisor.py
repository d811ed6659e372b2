"""`lakegate worker`: the workers of one machine in the foreground, each started again when it dies."""

import signal
import time
from collections.abc import Callable
from types import FrameType

from infra import deployments, processes, workers
from infra.gpu import GpuAnswer, ask_gpus
from infra.pools import CPU, ensure_pools
from infra.prefect_api import PrefectApi
from infra.stack import only_one, wait_for_workers
from infra.workers import WorkerSpec
from lakegate.errors import SetupProblem
from lakegate.settings import Settings

LOOK_EVERY_S = 0.5
SHORT_LIFE_S = 20.0
LONGEST_DELAY_S = 60.0
Say = Callable[[str], None]


def choose_workers(answer: GpuAnswer, *, only_cpu: bool = False) -> tuple[WorkerSpec, ...]:
    """Return one worker for each GPU, or one without a GPU where the machine has none.

    Raises:
        SetupProblem: the driver is there and does not work; such a machine must not pass for one without GPUs.
    """
    if only_cpu:
        return (WorkerSpec(CPU),)
    if answer.state == "error":
        raise SetupProblem(
            f"{answer.words}; repair the driver (`nvidia-smi` must work), or say that this machine shall work without "
            "its GPUs: `lakegate worker --cpu`"
        )
    return workers.gpu_workers(answer) or (WorkerSpec(CPU),)


def supervise(settings: Settings, say: Say, *, only_cpu: bool = False) -> None:
    """Run the workers of this machine until SIGINT or SIGTERM, then stop them by their pids.

    Raises:
        SetupProblem: no Prefect server is known or answers, the driver does not work, or the workers run already.
    """
    if not settings.prefect_api_url:
        raise SetupProblem("no Prefect server is known; start one with `lakegate up`, or set LAKEGATE_PREFECT_API_URL")
    answer = ask_gpus()
    specs = choose_workers(answer, only_cpu=only_cpu)
    say(f"GPUs: {answer.words}")
    supervisor = _Supervisor(settings, specs, say)
    with only_one(settings.home, say):
        for spec in specs:
            running = processes.living(settings.home, spec.service)
            if running:
                where = f"{settings.home} runs already, pid {running.pid}"
                raise SetupProblem(f"{spec.service} of {where}; stop it with `lakegate down`")
        ensure_pools(PrefectApi(settings.prefect_api_url), settings, tuple(dict.fromkeys(spec.pool for spec in specs)))
        deployments.apply(settings, say)
        supervisor.start()
    supervisor.run()


class _Supervisor:
    def __init__(self, settings: Settings, specs: tuple[WorkerSpec, ...], say: Say) -> None:
        self.settings, self.specs, self.say = settings, specs, say
        self.delay_s = dict.fromkeys(specs, 0.0)
        self.not_before_s = dict.fromkeys(specs, 0.0)
        self.is_asked_to_stop = False

    def start(self) -> None:
        for spec in self.specs:
            self._start(spec)

    def run(self) -> None:
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            wait_for_workers(self.settings, self.specs)
            self.say("ready; ^C stops the workers and the flow runs on their GPUs")
            while not self.is_asked_to_stop:
                for spec in self.specs:
                    self._look_after(spec)
                time.sleep(LOOK_EVERY_S)
        finally:
            for spec in self.specs:
                self._end(spec)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.is_asked_to_stop = True

    def _end(self, spec: WorkerSpec) -> None:
        processes.stop(self.settings.home, spec.service)
        self.say(f"{spec.service} stopped")
        try:
            workers.sign_off(PrefectApi(self.settings.prefect_api_url), self.settings, spec)
        except SetupProblem as problem:
            self.say(f"{spec.service} may count as live for another minute and a half: {problem}")

    def _start(self, spec: WorkerSpec) -> None:
        home = self.settings.home
        workers.start_worker(self.settings, spec, self.settings.prefect_api_url, is_bound=True)
        record = processes.recorded(home, spec.service)
        pid = record.pid if record else "unknown"
        self.say(f"{spec.service}: pool {spec.pool}, {spec.words}, pid {pid}, log {processes.log_file(home, spec.service)}")

    def _look_after(self, spec: WorkerSpec) -> None:
        """Start a dead worker again, after what it left on its GPU; one that dies young waits longer each time."""
        home, now = self.settings.home, time.monotonic()
        record = processes.recorded(home, spec.service)
        if record and processes.find(record):
            return
        if self.not_before_s[spec] == 0.0:
            lived_s = time.time() - (record.created_at_s if record else time.time())
            is_young = lived_s < SHORT_LIFE_S
            self.delay_s[spec] = min(max(1.0, 2 * self.delay_s[spec]), LONGEST_DELAY_S) if is_young else 0.0
            self.not_before_s[spec] = now + self.delay_s[spec]
            again = f" in {self.delay_s[spec]:.0f} s" if is_young else ""
            self.say(f"{spec.service} ended after {lived_s:.0f} s; it is started again{again}; its log may say why")
        if now < self.not_before_s[spec]:
            return
        if spec.gpu:
            processes.end_processes(processes.marked(home, spec.service))
        self.not_before_s[spec] = 0.0
        self._start(spec)
