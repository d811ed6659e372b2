"""The two exports that the demo publishes: real blood cells where they are at hand, else scikit-learn's digits."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from lakegate.demo_sample import make_digits_export
from lakegate.errors import SetupProblem
from lakegate.settings import Settings

FINISHED, UNFINISHED = "v3_shenggan_2019_voc", "v1_cosmicad_voc"


@dataclass(frozen=True)
class DemoExports:
    """A dataset, its model, and one export folder per version."""

    name: str  # of the dataset and of the model
    words: str
    folders: dict[str, Path]  # by version


def make_demo_exports(settings: Settings) -> DemoExports:
    """Stage the exports of ``v1`` and ``v2`` below the state folder; links where the images lie on this machine."""
    folder = settings.home / "demo"
    bccd = settings.samples / "bccd" if settings.samples is not None else None
    if bccd is not None and bccd.is_dir():
        folders = {version: stage_blood_cells(bccd, folder / f"bccd-{version}", version) for version in ("v1", "v2")}
        return DemoExports("blood-cells", f"real blood cells ({bccd})", folders)
    folders = {
        "v1": make_digits_export(folder / "digits-v1", "v1"),
        "v2": make_digits_export(folder / "digits-v2", "v2"),
    }
    return DemoExports("digits", "scikit-learn's handwritten digits on its photographs (no sample images here)", folders)


def stage_blood_cells(bccd: Path, folder: Path, version: str) -> Path:
    """Make a Pascal VOC folder of links: ``v1`` is an early state with 30 unfinished samples, ``v2`` the finished one.

    Raises:
        SetupProblem: the sample folder lacks a list or a label file.
    """
    try:
        finished = {path.stem: path for path in (bccd / FINISHED).glob("*.xml")}
        chosen = sorted(finished) if version == "v2" else _names(bccd / "demo_v1.txt")
        unfinished = set() if version == "v2" else set(_names(bccd / "demo_v1_unfinished.txt"))
        shutil.rmtree(folder, ignore_errors=True)
        for inside in ("Annotations", "JPEGImages"):
            (folder / inside).mkdir(parents=True)
        for name in chosen:
            labels = bccd / UNFINISHED / f"{name}.xml" if name in unfinished else finished[name]
            (folder / "Annotations" / f"{name}.xml").symlink_to(labels.resolve(strict=True))
            (folder / "JPEGImages" / f"{name}.jpg").symlink_to((bccd / "images" / f"{name}.jpg").resolve(strict=True))
    except (OSError, KeyError) as error:
        raise SetupProblem(f"the samples in {bccd} are not complete ({error}); unset LAKEGATE_SAMPLES to use digits") from error
    return folder


def _names(path: Path) -> list[str]:
    return [line.strip() for line in path.read_text().splitlines() if line.strip()]
