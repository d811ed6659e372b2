"""The model repository of one Triton server: filled from a run's commit, each step written aside and renamed.

``<model>/<release>/`` holds everything that serves that release, a copy of the pre- and post-processing included.
``<model>/config.pbtxt`` is the one switch: it names the release that is served (version policy ``specific``) and what that
release is, so a process that is killed anywhere leaves the old or the new release, never a mixture.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lakegate
from lakegate import failpoints
from lakegate.declarations import OperatingTable
from lakegate.errors import ServingError
from lakegate.imaging import PREPROCESSING_DIGEST
from lakegate.registry.documents import RunReference, Stage
from lakegate.serving.config import CONFIG_FILE, INSTANCES, parse_config, python_config
from lakegate.serving.contract import BACKEND_FILE, CODE_FOLDER, ONNX_FILE, SPEC_FILE, ServedSpec
from lakegate.settings import Settings

SERVED_MODULES = (
    "__init__.py",
    "canonical.py",
    "detections.py",
    "errors.py",
    "imaging.py",
    "engines/__init__.py",
    "engines/onnx_session.py",
    "serving/__init__.py",
    "serving/contract.py",
    "serving/sampling.py",
    "serving/served_model.py",
)
"""What a version directory carries of Lakegate; a test checks that these import nothing else of it."""

BACKEND = "serving/triton_backend.py"


@dataclass(frozen=True)
class ModelFiles:
    """What one version directory is filled with."""

    model: str
    number: int  # release number = version directory
    onnx: Path
    run: RunReference
    labels: Sequence[str]  # in class order
    input_px: tuple[int, int]  # height, width
    operating: OperatingTable
    max_batch: int
    sampling_ratio: float  # 0..1
    threads: int  # of the machine, shared by the instances
    samples: Path | None = None  # folder for sampled frames

    @property
    def spec(self) -> ServedSpec:
        """What the version directory says about itself."""
        return ServedSpec(
            model=self.model,
            release=self.number,
            run_id=self.run.run_id,
            commit=self.run.commit,
            model_sha256=self.run.model_sha256,
            preprocessing_digest=PREPROCESSING_DIGEST,
            labels=tuple(self.labels),
            input_px=self.input_px,
            score_threshold=self.operating.score_threshold,
            nms_iou=self.operating.nms_iou,
            max_objects=self.operating.max_objects,
            max_batch=self.max_batch,
            threads=max(1, self.threads // INSTANCES),
            sampling_ratio=self.sampling_ratio,
            samples=str(self.samples or ""),
        )


def repository_dir(settings: Settings, stage: Stage) -> Path:
    """Return the model repository of the stage's server on this machine."""
    return settings.home / "serving" / stage / "models"


def samples_dir(settings: Settings, stage: Stage, model: str, number: int) -> Path:
    """Return where the frames of a release are kept that the stage's server sampled."""
    return settings.home / "serving" / "samples" / stage / model / str(number)


def aside_dir(repository: Path) -> Path:
    """Return where parts are written before they are renamed; in the repository Triton would list them as models."""
    return repository.parent / "aside"


def fill(repository: Path, files: ModelFiles) -> None:
    """Write the release's version directory if it is not there as wanted, then let ``config.pbtxt`` name it.

    The server sees it at its next load of the model. Killed anywhere and called again, the result is the same.
    """
    write_version(repository, files)
    failpoints.reach("served-filled")
    switch(repository, files.model, files.number)


def write_version(repository: Path, files: ModelFiles) -> Path:
    """Write ``<model>/<number>/`` aside and rename it into place; return it. An equal one that is there stays untouched."""
    target = repository / files.model / str(files.number)
    spec = files.spec
    if _holds(target, spec):
        return target
    aside = aside_dir(repository) / f"{files.model}-{files.number}-{os.getpid()}"
    shutil.rmtree(aside, ignore_errors=True)
    package = Path(lakegate.__file__).parent
    for name in SERVED_MODULES:
        copy = aside / CODE_FOLDER / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(package / name, copy)
    shutil.copyfile(package / BACKEND, aside / BACKEND_FILE)
    shutil.copyfile(files.onnx, aside / ONNX_FILE)
    (aside / CONFIG_FILE).write_text(python_config(spec), encoding="utf-8")
    (aside / SPEC_FILE).write_bytes(spec.to_bytes())
    failpoints.reach("served-aside")
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():  # staging: another candidate for the same number
        old = aside.with_name(f"{aside.name}-old")
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
        aside.rename(target)
        shutil.rmtree(old)
    else:
        aside.rename(target)
    return target


def switch(repository: Path, model: str, number: int) -> None:
    """Let ``<model>/config.pbtxt`` name a version directory that is there; the server follows at its next load.

    Raises:
        ServingError: that version is not on the disk, or its configuration cannot be read.
    """
    version_dir = repository / model / str(number)
    try:
        text = (version_dir / CONFIG_FILE).read_text(encoding="utf-8")
    except OSError as error:
        raise ServingError(f"{version_dir} is not a complete version ({error}); fill it from the run's commit") from error
    parse_config(text, str(version_dir / CONFIG_FILE))
    target = repository / model / CONFIG_FILE
    aside = aside_dir(repository) / f"{model}-{os.getpid()}-{CONFIG_FILE}"
    aside.parent.mkdir(parents=True, exist_ok=True)
    aside.write_text(text, encoding="utf-8")
    aside.replace(target)


def switched_to(repository: Path, model: str) -> int | None:
    """Return the release that ``config.pbtxt`` names; ``None`` where the model was never switched on.

    Raises:
        ServingError: the configuration cannot be read.
    """
    path = repository / model / CONFIG_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    versions = parse_config(text, str(path)).version_policy.specific.versions
    if len(versions) != 1:
        raise ServingError(f"{path} names {len(versions)} versions, expected one; roll the release out again")
    return int(versions[0])


def complete_models(repository: Path) -> list[str]:
    """Return the models that a server can load when it starts: those whose switch names a version directory that is there."""
    names = sorted(path.name for path in repository.iterdir() if path.is_dir()) if repository.is_dir() else []
    return [name for name in names if _is_complete(repository, name)]


def _is_complete(repository: Path, model: str) -> bool:
    try:
        number = switched_to(repository, model)
    except ServingError:
        return False
    folder = repository / model / str(number)
    return all((folder / name).is_file() for name in (BACKEND_FILE, ONNX_FILE, SPEC_FILE))


def _holds(version_dir: Path, spec: ServedSpec) -> bool:
    try:
        return ServedSpec.read(version_dir) == spec
    except ServingError:
        return False
