"""A checkout with one small dataset and one small model: bright and dark squares on noise, seconds to train on."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
from PIL import Image

from lakegate.settings import Settings
from tests.formats.exports import voc_xml

SIDE_PX = 96
DATASET_TOML = """
task = "detection"
labels = ["bright", "dark"]
on_bad_sample = "{on_bad_sample}"
[split]
test = 0.3
[slices.first]
where = 'name <= "square-10"'
{limits}"""
LIMITS = "[quality]\nmin_side_px = 32\n"
MODEL_TOML = """
[data]
train = [{train}]
evaluate = [{evaluate}]
[architecture]
input_px = [64, 64]
[training]
epochs = {epochs}
batch_size = 4
[export]
batch = [1, 2, 2]
parity_atol = 1e-3
[schedule]
on_new_version = {follows}
[gate]
{gate}
"""


def make_checkout(
    folder: Path, names: Collection[str] = ("squares",), on_bad_sample: str = "refuse", limits: str = LIMITS
) -> Path:
    """Declare the datasets ``names`` and no model yet. Without ``limits`` no process loads great-expectations (8 s of CPU)."""
    (folder / "models").mkdir(parents=True, exist_ok=True)
    for name in names:
        path = folder / "datasets" / name / "dataset.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(DATASET_TOML.format(on_bad_sample=on_bad_sample, limits=limits))
    return folder


def declare_model(
    checkout: Path,
    name: str,
    train: Collection[str],
    gate: str = "",
    evaluate: Collection[str] = (),
    epochs: int = 2,
    follows: bool = False,
) -> None:
    """Write ``models/<name>/model.toml``; unless it ``follows``, a new version starts no release of it."""
    path = checkout / "models" / name / "model.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    quoted = [", ".join(f'"{item}"' for item in group) for group in (train, evaluate)]
    words = {"train": quoted[0], "evaluate": quoted[1], "gate": gate, "epochs": epochs, "follows": str(follows).lower()}
    path.write_text(MODEL_TOML.format(**words))


def declare_roles(checkout: Path, pool: Collection[str] = ("grace", "ada")) -> None:
    """Write ``deployments/roles.toml``: ``pool`` may decide on every model; ada is also the author of most releases."""
    path = checkout / "deployments" / "roles.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"[pool]\nmembers = [{', '.join(f'{name!r}' for name in pool)}]\n")


def write_squares(folder: Path, numbers: Collection[int], unfinished: Collection[int] = (), seed: int = 0) -> Path:
    """Write a Pascal VOC export; the samples of ``unfinished`` lack their dark square's label."""
    for inside in ("Annotations", "JPEGImages"):
        (folder / inside).mkdir(parents=True, exist_ok=True)
    for number in numbers:
        random = np.random.default_rng([seed, number])
        pixels = random.integers(90, 150, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
        objects = []
        for label, value in (("bright", 250), ("dark", 5)):
            x, y = (int(value) for value in random.integers(2, SIDE_PX - 34, 2))
            pixels[y : y + 28, x : x + 28] = value
            objects.append((label, (float(x), float(y), 28.0, 28.0)))
        name = f"square-{number}"
        Image.fromarray(pixels).save(folder / "JPEGImages" / f"{name}.jpg", quality=95)
        labelled = objects[:1] if number in unfinished else objects
        (folder / "Annotations" / f"{name}.xml").write_text(voc_xml(f"{name}.jpg", (SIDE_PX, SIDE_PX), labelled))
    return folder


def in_checkout(settings: Settings, checkout: Path, user: str = "ada") -> Settings:
    """Return settings that read declarations from ``checkout`` and name ``user`` as who asks."""
    return settings.model_copy(update={"checkout": checkout, "user": user, "allow_dirty_release": True})
