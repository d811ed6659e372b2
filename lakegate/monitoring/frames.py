"""Frames that the serving side kept: read from the sampling folder, with the reason for each one that cannot be used."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path, PurePath

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from lakegate.canonical import sha256_bytes
from lakegate.registry.documents import Stage
from lakegate.samples import Box
from lakegate.settings import Settings

MAX_FRAMES = 500
"""More frames would make a test flag differences too small to matter; they are drawn evenly over the window."""


class SeenObject(BaseModel):
    """One detection above the operating threshold, in pixels of the image that came in."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    label: str
    score: float = Field(ge=0, le=1)
    box_xyxy_px: Box


class Sidecar(BaseModel):
    """The file ``<frame>.json`` beside a kept image; further keys are left alone."""

    model_config = ConfigDict(frozen=True)

    release: int
    run_id: str
    at: AwareDatetime
    image: str
    objects: tuple[SeenObject, ...]

    @field_validator("image")
    @classmethod
    def _is_a_file_beside_it(cls, name: str) -> str:
        if not name or PurePath(name).name != name:
            raise ValueError(f"'{name}' is not the name of a file in the same folder")
        return name


@dataclass(frozen=True)
class Frame:
    """One kept request: the image as it came, what the model found, when, and by which run."""

    path: Path
    sha256: str
    at: datetime
    run_id: str
    objects: tuple[SeenObject, ...]


@dataclass(frozen=True)
class Window:
    """The time that is looked at, and how many frames of it at most."""

    start: datetime
    end: datetime
    max_frames: int = MAX_FRAMES

    @classmethod
    def last_days(cls, days: float, end: datetime, max_frames: int = MAX_FRAMES) -> "Window":
        """Return the ``days`` before ``end``."""
        return cls(end - timedelta(days=days), end, max_frames)

    def contains(self, at: datetime) -> bool:
        """Return True from ``start`` to ``end``, both included."""
        return self.start <= at <= self.end


@dataclass(frozen=True)
class KeptFrames:
    """The frames to judge, ascending by time, and what was left out and why."""

    frames: tuple[Frame, ...]
    n_in_window: int = 0
    n_repeated: int = 0  # the same image again
    unusable: dict[str, str] = field(default_factory=dict)  # reason by file name


def frames_dir(settings: Settings, stage: Stage, model: str, release: int) -> Path:
    """Return the folder that the serving side fills for one release."""
    return settings.home / "serving" / "samples" / stage / model / str(release)


def read_frames(folder: Path, release: int, run_id: str, window: Window) -> KeptFrames:
    """Read what was kept in the window; a frame that is half written, damaged or of another run is reported, not fatal.

    An image without its ``.json`` is being written, and is not looked at. The same image counts once, at its first time.
    """
    unusable: dict[str, str] = {}
    inside: list[tuple[Path, Sidecar]] = []
    for path in sorted(folder.glob("*.json")):
        if path.name.startswith("."):
            continue
        try:
            sidecar = _read_sidecar(path, release, run_id)
        except (OSError, ValueError) as error:
            unusable[path.name] = _reason(error)
            continue
        if window.contains(sidecar.at):
            inside.append((path, sidecar))
    inside.sort(key=lambda item: (item[1].at, item[0].name))
    frames, n_repeated = _distinct(_spread(inside, window.max_frames), folder, unusable)
    return KeptFrames(tuple(frames), len(inside), n_repeated, unusable)


def _read_sidecar(path: Path, release: int, run_id: str) -> Sidecar:
    sidecar = Sidecar.model_validate(json.loads(path.read_bytes()))
    if (sidecar.release, sidecar.run_id) != (release, run_id):
        raise ValueError(
            f"it is of release {sidecar.release}, run {sidecar.run_id}; expected release {release}, run {run_id}"
        )
    return sidecar


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return f"'{'.'.join(map(str, first['loc']))}': {first['msg'].removeprefix('Value error, ')}"
    if isinstance(error, UnicodeDecodeError | json.JSONDecodeError):
        return f"not JSON ({error})"
    return str(error)


def _spread(items: Sequence[tuple[Path, Sidecar]], count: int) -> Iterable[tuple[Path, Sidecar]]:
    """Return at most ``count`` items at even distances, the newest among them."""
    if len(items) <= count:
        return items
    return [items[(number + 1) * len(items) // count - 1] for number in range(count)]


def _distinct(
    items: Iterable[tuple[Path, Sidecar]], folder: Path, unusable: dict[str, str]
) -> tuple[list[Frame], int]:
    frames: dict[str, Frame] = {}
    n_repeated = 0
    for path, sidecar in items:
        image = folder / sidecar.image
        try:
            digest = sha256_bytes(image.read_bytes())
        except OSError as error:
            unusable[path.name] = f"its image '{sidecar.image}' cannot be read: {error.strerror or error}"
            continue
        n_repeated += digest in frames
        frames.setdefault(digest, Frame(image, digest, sidecar.at, sidecar.run_id, sidecar.objects))
    return list(frames.values()), n_repeated
