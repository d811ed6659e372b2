"""Model files and checkpoints: written aside and renamed, read without ever running code from them."""

import os
import pickle
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from lakegate.errors import BadInput, BrokenModelFile, TrainingFailed, UnsafeModelFile

CHECKPOINT_FILE = "checkpoint.pt"
PREVIOUS_FILE = "checkpoint.previous.pt"
MODEL_FILE = "model.pt"
LAST_FILE = "last.pt"
_ZIP_START = b"PK\x03\x04"
_PICKLE_START = b"\x80"


@dataclass(frozen=True)
class Checkpoint:
    """The state after ``epoch`` epochs of the job with ``job_digest``. The learning rate follows from the epoch.

    ``averaged`` holds the averaged weights where there are, ``best`` those of the epoch with the lowest validation loss.
    """

    job_digest: str
    epoch: int
    threads: int
    device: str
    model: dict[str, Any]
    optimizer: dict[str, Any]
    rng: dict[str, Any]
    history: list[dict[str, float]]
    train_s: float
    averaged: dict[str, Any] = field(default_factory=dict)
    best: dict[str, Any] = field(default_factory=dict)
    processes: int = 1

    @property
    def made_on(self) -> str:
        """Where the epochs so far ran, as words."""
        processes = f" in each of {self.processes} processes" if self.processes > 1 else ""
        return f"{self.device} with {self.threads} threads{processes}"


def save_tensors(content: dict[str, Any], path: Path) -> None:
    """Write ``content`` beside ``path``, flush it to the disk, and rename: ``path`` is always whole."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with aside.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load_tensors(path: Path) -> dict[str, Any]:
    """Read a file of tensors and plain values; nothing in it is ever executed.

    Raises:
        BadInput: the file cannot be read.
        UnsafeModelFile: it holds more than tensors and plain values, such as a pickle with code.
        BrokenModelFile: it is truncated or damaged.
    """
    start = _first_bytes(path)
    if start.startswith(_PICKLE_START):
        raise UnsafeModelFile(_unsafe(path, "a bare pickle"))
    if start != _ZIP_START:
        raise BrokenModelFile(f"{path}: expected a file of tensors, came one that starts with {start!r}; train again")
    _check_whole(path)
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UnsafeModelFile(_unsafe(path, str(error).splitlines()[0])) from error
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        raise BrokenModelFile(f"{path}: the file of tensors is damaged ({error}); train again") from error
    if not isinstance(content, dict):
        raise BrokenModelFile(f"{path}: expected a table of tensors, came a {type(content).__name__}; train again")
    return content


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write the checkpoint; the one before it is kept as ``checkpoint.previous.pt``."""
    current = folder / CHECKPOINT_FILE
    if current.exists():
        current.replace(folder / PREVIOUS_FILE)
    save_tensors(dict(vars(checkpoint)), current)


def find_checkpoint(folder: Path, job_digest: str) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest usable checkpoint and notes on what was found; damaged files are set aside.

    Raises:
        TrainingFailed: the checkpoint is of another job.
        UnsafeModelFile: the checkpoint holds code.
    """
    notes: list[str] = []
    for name in (CHECKPOINT_FILE, PREVIOUS_FILE):
        path = folder / name
        if not path.exists():
            continue
        try:
            checkpoint = _parse(load_tensors(path), path)
        except BrokenModelFile as error:
            broken = _set_aside(path)
            notes.append(f"{error}; it was set aside as {broken.name}")
            continue
        if checkpoint.job_digest != job_digest:
            raise TrainingFailed(
                f"{path} is of another job: expected {job_digest[:12]}, came {checkpoint.job_digest[:12]} "
                "(other data, parameters or seed); train into another folder, or delete this one to start anew"
            )
        return checkpoint, notes
    return None, notes


def read_history(folder: Path) -> list[dict[str, float]]:
    """Return the metrics of every epoch up to the last checkpoint; raises as ``load_tensors``."""
    return _parse(load_tensors(folder / CHECKPOINT_FILE), folder / CHECKPOINT_FILE).history


def _parse(content: dict[str, Any], path: Path) -> Checkpoint:
    try:
        return Checkpoint(**content)
    except TypeError as error:
        raise BrokenModelFile(f"{path}: not a checkpoint of this version of Lakegate ({error})") from error


def _set_aside(path: Path) -> Path:
    number = 1
    while (target := path.with_name(f"{path.stem}.broken-{number}{path.suffix}")).exists():
        number += 1
    return path.replace(target)


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(len(_ZIP_START))
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror or error}); expected a file of tensors") from error


def _check_whole(path: Path) -> None:
    """Check the checksums of all parts: torch.load alone does not notice a flipped bit."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError, ValueError) as error:
        raise BrokenModelFile(f"{path}: the file of tensors is truncated or damaged ({error}); train again") from error
    if damaged:
        raise BrokenModelFile(f"{path}: the file of tensors is damaged at '{damaged}'; train again")


def _unsafe(path: Path, what: str) -> str:
    return (
        f"{path}: expected tensors only, came more ({what}), which may run code; it was not unpickled. "
        "Delete the file if you do not know where it comes from, or save a state_dict from a trusted machine"
    )
