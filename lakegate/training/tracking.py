"""W&B as a view of a run: offline without a key, and never a reason for a run to fail."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lakegate.settings import Settings
from lakegate.training.drawn_pictures import DrawnPicture, wandb_picture

log = logging.getLogger(__name__)

INIT_TIMEOUT_S = 10.0
FINISH_TIMEOUT_S = 60.0

TRAIN, EPOCH = "train", "epoch"  # W&B's job type of a training, and what its curves are drawn over

Mode = Literal["offline", "online", "disabled"]


@dataclass(frozen=True)
class TrackedTable:
    """A table of a run; each row has one cell per column."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | DrawnPicture | None, ...], ...]


class Tracking:
    """An open W&B run, or nothing where W&B failed; ``error`` then says why.

    After a kill a second W&B run of the same id appears in a folder of its own: offline runs cannot be resumed, so
    every ``log`` names its step, and a training that goes on logs its earlier epochs again (``catch_up``).
    """

    def __init__(self, run: Any, mode: Mode, error: str = "") -> None:
        self._run = run
        self.mode: Mode = mode
        self.error = error
        self.id: str = str(run.id) if run else ""
        self.url: str = str(run.url or "") if run and mode == "online" else ""
        self.is_finished = False
        self.last_epoch = 0
        self.folder: Path | None = Path(run.dir).parent if run and mode != "disabled" else None

    def log(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Send the metrics of an epoch, from 1; epochs must not go down."""
        self.last_epoch = epoch
        if self._run is None:
            return
        try:
            self._run.log({EPOCH: epoch, **metrics}, step=epoch)
        except _wandb_errors() as error:
            self._give_up("log", error)

    def catch_up(self, history: Sequence[Mapping[str, float]]) -> None:
        """Send what ``history`` (a row per epoch, the first of epoch 1) has after the last epoch that was sent."""
        for epoch, metrics in enumerate(history[self.last_epoch :], start=self.last_epoch + 1):
            self.log(epoch, metrics)

    def show(self, step: int, tables: Sequence[TrackedTable]) -> None:
        """Send tables with a step."""
        if self._run is None:
            return
        try:
            self._run.log({table.name: _table(table) for table in tables}, step=step)
        except _wandb_errors() as error:
            self._give_up("log", error)

    def finish(self, summary: Mapping[str, float | str] | None = None, has_failed: bool = False) -> None:
        """Write the summary and close; W&B shows the run as failed where it has. A second call does nothing."""
        if self._run is None:
            return
        run = self._run
        try:
            run.summary.update(dict(summary or {}))
            run.finish(exit_code=int(has_failed))
            self._run, self.is_finished = None, True
        except _wandb_errors() as error:
            self._give_up("finish", error)

    def _give_up(self, doing: str, error: Exception) -> None:
        self.error = f"W&B failed to {doing} ({type(error).__name__}: {error}); the run goes on without it"
        log.warning(self.error)
        self._run = None


def open_tracking(
    settings: Settings,
    model: str,
    run_id: str,
    config: Mapping[str, Any],
    job_type: str = TRAIN,
    part: str = "",
    notes: str = "",
) -> Tracking:
    """Open a W&B run named ``run_id`` in project ``model``; whatever goes wrong is logged and kept in ``Tracking.error``.

    Online only with WANDB_API_KEY or ``settings.wandb_mode = "online"``; WANDB_MODE counts where the setting is "auto". Files
    go to ``<home>/wandb`` and ``<home>/wandb-data`` unless WANDB_DIR and WANDB_DATA_DIR say otherwise; ``wandb sync``
    needs both. ``part`` goes into W&B's id where a run has several of one ``job_type``; ``notes`` are Markdown for its page.
    """
    mode = choose_mode(settings, os.environ)
    if mode == "disabled":
        return Tracking(None, "disabled")
    folder = _folder(settings)
    data_folder = Path(os.environ.get("WANDB_DATA_DIR") or folder.with_name(f"{folder.name}-data"))
    problem = ""
    # W&B's service keeps the id of a failed start as taken, so the second attempt has one of its own
    first_id = "-".join(filter(None, (run_id, job_type, part)))
    attempts: list[tuple[Mode, str]] = [(mode, first_id), ("offline", f"{first_id}-2")]
    for attempt, wandb_id in attempts:
        try:
            for needed in (folder, data_folder):
                needed.mkdir(parents=True, exist_ok=True)
            os.environ["WANDB_DATA_DIR"] = str(data_folder)  # W&B has no setting for it
            run = _init(model, wandb_id, run_id, config, job_type, notes, folder, attempt)
            return Tracking(run, attempt, problem)
        except _wandb_errors() as error:
            problem = f"W&B did not start {wandb_id} {attempt} ({type(error).__name__}: {error})"
            log.warning(problem)
    return Tracking(None, "disabled", problem)


def choose_mode(settings: Settings, environment: Mapping[str, str]) -> Mode:
    """Return what the setting says, else WANDB_MODE, else online where there is a key."""
    if settings.wandb_mode != "auto":
        return settings.wandb_mode
    modes: dict[str, Mode] = {"offline": "offline", "online": "online", "disabled": "disabled"}
    return modes.get(environment.get("WANDB_MODE", ""), "online" if environment.get("WANDB_API_KEY") else "offline")


def unsent_trainings(settings: Settings, run_ids: Sequence[str]) -> list[Path]:
    """Return the folders of offline runs of these trainings that ``wandb sync`` did not send yet, the oldest first."""
    found = [path for run in run_ids for path in _folder(settings).glob(f"*/offline-run-*-{run}-{TRAIN}*") if is_unsent(path)]
    return sorted(found, key=lambda path: path.name)


def is_unsent(folder: Path) -> bool:
    """True for the folder of an offline run that is here and that ``wandb sync`` did not mark."""
    return folder.is_dir() and not any(folder.glob("*.synced"))


def _folder(settings: Settings) -> Path:
    return Path(os.environ.get("WANDB_DIR") or settings.home / "wandb")


def _init(
    model: str, wandb_id: str, run_id: str, config: Mapping[str, Any], job_type: str, notes: str, folder: Path, mode: Mode
) -> Any:
    import wandb

    options = wandb.Settings(
        silent=True,
        console="off",
        disable_git=True,
        save_code=False,
        init_timeout=INIT_TIMEOUT_S,
        finish_timeout=FINISH_TIMEOUT_S,
    )
    if os.environ.get("WANDB_BASE_URL"):
        options.base_url = os.environ["WANDB_BASE_URL"]  # W&B itself reads it once per process
    run = wandb.init(
        project=model,
        id=wandb_id,
        name=f"{run_id} {job_type}",
        group=run_id,
        job_type=job_type,
        dir=str(folder),
        config=dict(config),
        notes=notes or None,
        mode=mode,
        reinit="create_new",
        settings=options,
    )
    if job_type == TRAIN:
        run.define_metric(EPOCH)
        run.define_metric("*", step_metric=EPOCH)
    return run


def _table(table: TrackedTable) -> Any:
    import wandb

    rows = [[wandb_picture(cell) if isinstance(cell, DrawnPicture) else cell for cell in row] for row in table.rows]
    return wandb.Table(columns=list(table.columns), data=rows)


def _wandb_errors() -> tuple[type[Exception], ...]:
    """What W&B raises: its own errors, those of its service (without a common base), and what files let through."""
    from wandb.errors import Error
    from wandb.sdk.mailbox import mailbox_handle as service

    found = (item for item in vars(service).values() if isinstance(item, type) and issubclass(item, Exception))
    return Error, *found, OSError, RuntimeError, ValueError, TypeError, AttributeError, EOFError
