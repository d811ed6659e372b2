"""W&B as a view of a run: offline without a key, and never a reason for a run to fail."""

import io
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lakegate.html import BOX_LINES, DrawnBox
from lakegate.settings import Settings

log = logging.getLogger(__name__)

INIT_TIMEOUT_S = 10.0
FINISH_TIMEOUT_S = 60.0

Mode = Literal["offline", "online", "disabled"]


@dataclass(frozen=True)
class DrawnPicture:
    """A JPEG with boxes to switch on and off by group; boxes are in pixels of the image that has this width and height."""

    jpeg: bytes
    width_px: int
    height_px: int
    boxes: Mapping[str, Sequence[DrawnBox]]


@dataclass(frozen=True)
class TrackedTable:
    """A table of a run; each row has one cell per column."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | DrawnPicture | None, ...], ...]


class Tracking:
    """An open W&B run, or nothing where W&B failed; ``error`` then says why.

    After a kill a second W&B run of the same id appears in a folder of its own: offline runs cannot be resumed, so
    every ``log`` names its step.
    """

    def __init__(self, run: Any, mode: Mode, error: str = "") -> None:
        self._run = run
        self.mode: Mode = mode
        self.error = error
        self.id: str = str(run.id) if run else ""
        self.url: str = str(run.url or "") if run and mode == "online" else ""
        self.is_finished = False
        self.folder: Path | None = Path(run.dir).parent if run and mode != "disabled" else None

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Send metrics of a step; steps must not go down."""
        if self._run is None:
            return
        try:
            self._run.log(dict(metrics), step=step)
        except _wandb_errors() as error:
            self._give_up("log", error)

    def show(self, step: int, tables: Sequence[TrackedTable]) -> None:
        """Send tables with a step."""
        if self._run is None:
            return
        try:
            self._run.log({table.name: _table(table) for table in tables}, step=step)
        except _wandb_errors() as error:
            self._give_up("log", error)

    def finish(self, summary: Mapping[str, float | str] | None = None) -> None:
        """Write the summary and close; a second call does nothing."""
        if self._run is None:
            return
        run = self._run
        try:
            run.summary.update(dict(summary or {}))
            run.finish()
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
    job_type: str = "train",
    part: str = "",
) -> Tracking:
    """Open a W&B run named ``run_id`` in project ``model``; whatever goes wrong is logged and kept in ``Tracking.error``.

    Online only with WANDB_API_KEY or ``settings.wandb_mode = "online"``; WANDB_MODE counts where the setting is "auto". Files
    go to ``<home>/wandb`` and ``<home>/wandb-data`` unless WANDB_DIR and WANDB_DATA_DIR say otherwise; ``wandb sync``
    needs both. ``part`` goes into W&B's id where a run has several of one ``job_type``.
    """
    mode = choose_mode(settings, os.environ)
    if mode == "disabled":
        return Tracking(None, "disabled")
    folder = Path(os.environ.get("WANDB_DIR") or settings.home / "wandb")
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
            run = _init(model, wandb_id, run_id, config, job_type, folder, attempt)
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


def _init(
    model: str, wandb_id: str, run_id: str, config: Mapping[str, Any], job_type: str, folder: Path, mode: Mode
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
    return wandb.init(
        project=model,
        id=wandb_id,
        name=f"{run_id} {job_type}",
        group=run_id,
        job_type=job_type,
        dir=str(folder),
        config=dict(config),
        mode=mode,
        reinit="create_new",
        settings=options,
    )


def _table(table: TrackedTable) -> Any:
    import wandb

    rows = [[_picture(cell) if isinstance(cell, DrawnPicture) else cell for cell in row] for row in table.rows]
    return wandb.Table(columns=list(table.columns), data=rows)


def _picture(picture: DrawnPicture) -> Any:
    import wandb
    from PIL import Image

    names = {number: kind for number, kind in enumerate(BOX_LINES)}
    kinds = {kind: number for number, kind in names.items()}
    groups = {}
    for group, boxes in picture.boxes.items():
        data = [
            {
                "position": _position(box, picture.width_px, picture.height_px),
                "class_id": kinds[box.kind],
                "box_caption": box.label,
            }
            for box in boxes
        ]
        if data:
            groups[group] = {"box_data": data, "class_labels": names}
    classes = [{"id": number, "name": kind} for number, kind in names.items()]
    return wandb.Image(Image.open(io.BytesIO(picture.jpeg)), boxes=groups or None, classes=classes, file_type="jpg")


def _position(box: DrawnBox, width_px: int, height_px: int) -> dict[str, float]:
    """Return the box as shares of the sides, which fit the small picture, too."""
    x1, y1, x2, y2 = box.xyxy_px
    return {"minX": x1 / width_px, "maxX": x2 / width_px, "minY": y1 / height_px, "maxY": y2 / height_px}


def _wandb_errors() -> tuple[type[Exception], ...]:
    """What W&B raises: its own errors, those of its service (without a common base), and what files let through."""
    from wandb.errors import Error
    from wandb.sdk.mailbox import mailbox_handle as service

    found = (item for item in vars(service).values() if isinstance(item, type) and issubclass(item, Exception))
    return Error, *found, OSError, RuntimeError, ValueError, TypeError, AttributeError, EOFError
