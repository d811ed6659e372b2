"""Datasets and models of the real samples: what a team would declare, and small stagings of the exports for tests."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lakegate.demo_export import stage_blood_cells

GROCERIES = (
    "Banana", "Cantaloupe", "Carrots", "Conference", "Granny-Smith", "Lemon", "Orange", "Satsumas", "Watermelon",
    "Yellow-Onion",
)  # fmt: skip
MODEL_TOML = """
[model]
description = "{words}"
[data]
train = ["{dataset}"]
[architecture]
task = "{task}"
name = "{network}"
input_px = [{side_px}, {side_px}]
[training]
epochs = {epochs}
batch_size = 8
flips = {flips}
[export]
batch = [1, 2, 2]
parity_atol = 1e-3
[operating]
score_threshold = {threshold}
[schedule]
on_new_version = false
[gate]
{gate}
"negative_flip_rate.all.max" = 0.1
"""


@dataclass(frozen=True)
class RealModel:
    """One of the sample folders with its declarations; ``stage`` makes an export of about ``n`` images of it.

    ``stage(samples_dir, folder, n)`` returns the folder of the labels and the one of the images ("" where it is the same).
    """

    words: str
    task: str
    labels: tuple[str, ...]
    network: str
    gate: str
    stage: Callable[[Path, Path, int], tuple[Path, str]]
    flips: str = '["horizontal"]'
    threshold: float = 0.3

    @property
    def dataset_toml(self) -> str:
        """The declaration of the dataset."""
        return f"task = '{self.task}'\nlabels = {list(self.labels)}\non_bad_sample = 'quarantine'\n[split]\ntest = 0.3\n"

    def model_toml(self, dataset: str, epochs: int, side_px: int) -> str:
        """The declaration of the model."""
        return MODEL_TOML.format(
            words=self.words, task=self.task, network=self.network, flips=self.flips, threshold=self.threshold, gate=self.gate,
            dataset=dataset, epochs=epochs, side_px=side_px,
        )  # fmt: skip


def stage_folders(root: Path, folder: Path, n: int) -> tuple[Path, str]:
    """Copy the first images of each folder that holds images; their paths stay."""
    classes = sorted({path.parent for path in root.rglob("*") if path.suffix.lower() == ".jpg"})
    for inside in classes:
        for image in sorted(inside.glob("*.[jJ][pP][gG]"))[: max(n // len(classes), 1)]:
            target = folder / image.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(image, target)
    return folder, ""


def stage_masks(samples_dir: Path, folder: Path, n: int) -> tuple[Path, str]:
    """Copy the first label maps of the corrected nuclei; the images lie elsewhere."""
    folder.mkdir(parents=True)
    for path in sorted((samples_dir / "nuclei" / "v2_instance16").glob("*.png"))[:n]:
        shutil.copyfile(path, folder / path.name)
    return folder, str(samples_dir / "nuclei" / "images")


def stage_cells(samples_dir: Path, folder: Path, n: int) -> tuple[Path, str]:
    """Link the first samples of the demo's finished export."""
    stage_blood_cells(samples_dir / "bccd", folder, "v2")
    for path in sorted((folder / "Annotations").glob("*.xml"))[n:]:
        path.unlink()
        (folder / "JPEGImages" / f"{path.stem}.jpg").unlink()
    return folder, ""


def stage_hats(samples_dir: Path, folder: Path, n: int) -> tuple[Path, str]:
    """Copy the first labels of hard hats with their images."""
    folder.mkdir(parents=True)
    for path in sorted((samples_dir / "hardhat" / "v1_kaggle_voc").glob("*.xml"))[:n]:
        shutil.copyfile(path, folder / path.name)
        shutil.copyfile(samples_dir / "hardhat" / "images" / f"{path.stem}.jpg", folder / f"{path.stem}.jpg")
    return folder, ""


REAL_MODELS = {
    "bccd": RealModel(
        "Finds red cells, white cells and platelets in blood smears.", "detection", ("RBC", "WBC", "Platelets"),
        "tiny-detector", '"map50.all.min" = 0.7', stage_cells, '["horizontal", "vertical"]',
    ),
    "hardhat": RealModel(
        "Finds heads with and without a helmet.", "detection", ("helmet", "head", "person"), "tiny-detector",
        '"recall.all.head.min" = 0.5', stage_hats,
    ),
    "grocery": RealModel(
        "Says which of ten fruits and vegetables a photograph shows.", "classification", GROCERIES, "tiny-classifier",
        '"accuracy.all.min" = 0.6', lambda samples, folder, n: stage_folders(samples / "grocery" / "dataset", folder, n),
    ),
    "sign_digits": RealModel(
        "Reads the digit that a hand shows.", "classification", tuple("0123456789"), "tiny-classifier",
        '"accuracy.all.min" = 0.6', lambda samples, folder, n: stage_folders(samples / "sign_digits", folder, n),
    ),
    "nuclei": RealModel(
        "Outlines the nuclei of cells in micrographs.", "segmentation", ("nucleus",), "tiny-segmenter",
        '"miou.all.min" = 0.6', stage_masks, '["horizontal", "vertical", "diagonal"]', 0.5,
    ),
}  # fmt: skip
