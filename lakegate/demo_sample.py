"""The detection set that the demo makes where no real images are at hand: real digits, written on tags, on real photographs."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt

ImageHWC = npt.NDArray[np.uint8]
Tag = tuple[str, int, int, int]  # label, x, y and side in px

SEED = 20190
SCENE_PX = (320, 240)  # width, height
LABELS: dict[int, str] = {0: "zero", 3: "three", 6: "six"}
N_SCENES = {"v1": 160, "v2": 240}
N_UNFINISHED = 24
TAGS_PER_SCENE = (3, 8)
SIDE_PX = (32, 72)
ZERO_AREA_SCENES = (17, 93)
JPEG_QUALITY = 92
PLACING_TRIES = 60


@dataclass(frozen=True)
class _Sources:
    """Digits by label, each 8 × 8 with values 0..1, and the two photographs."""

    digits: dict[str, npt.NDArray[np.float32]]
    photographs: tuple[ImageHWC, ...]


def make_digits_export(folder: Path, version: Literal["v1", "v2"]) -> Path:
    """Write a Pascal VOC export (``Annotations/*.xml``, ``JPEGImages/*.jpg``) and return ``folder``.

    Each scene of 320 × 240 px is a crop of one of scikit-learn's two photographs with 3 to 8 tags of 32 to 72 px; on each tag
    stands one handwritten digit of ``load_digits``. Of its ten digits only 0, 3 and 6 are used: of all triples they are the
    ones that a nearest-centroid classifier confuses least (1 of 500), so that a detector of 0.6 M parameters learns them in
    a minute on two cores. A digit may stand in several scenes, also of both splits: figures on this set show that the
    machinery works, not how well digits can be read.

    ``v1`` has 160 scenes; in 24 of them only the zeros are labelled yet. ``v2`` has 240, all finished; the first 160 images
    are those of ``v1``. In both, two scenes have a box without area, as real exports do. Equal versions are equal bytes.
    """
    sources = _load_sources()
    unfinished = unfinished_scenes() if version == "v1" else frozenset()
    for name in ("Annotations", "JPEGImages"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(N_SCENES[version]):
        scene_HWC, tags = _make_scene(sources, number)
        labelled = [tag for tag in tags if number not in unfinished or tag[0] == LABELS[0]]
        if number in ZERO_AREA_SCENES:
            labelled.append((LABELS[3], 5, 5, 0))
        name = f"scene_{number:04d}"
        (folder / "JPEGImages" / f"{name}.jpg").write_bytes(_to_jpeg(scene_HWC))
        (folder / "Annotations" / f"{name}.xml").write_text(_to_voc(name, labelled), encoding="utf-8")
    return folder


def unfinished_scenes() -> frozenset[int]:
    """Return the numbers of the scenes that are only partly labelled in ``v1``."""
    generator = np.random.default_rng((SEED, 1))
    candidates = [number for number in range(N_SCENES["v1"]) if number not in ZERO_AREA_SCENES]
    return frozenset(int(number) for number in generator.choice(candidates, N_UNFINISHED, replace=False))


def _load_sources() -> _Sources:
    from sklearn.datasets import load_digits, load_sample_images

    digits = load_digits()
    by_label = {label: (digits.images[digits.target == number] / 16.0).astype(np.float32) for number, label in LABELS.items()}
    return _Sources(by_label, tuple(np.asarray(image, np.uint8) for image in load_sample_images().images))


def _make_scene(sources: _Sources, number: int) -> tuple[ImageHWC, list[Tag]]:
    generator = np.random.default_rng((SEED, 2, number))
    scene_HWC = _crop(sources.photographs[number % len(sources.photographs)], generator)
    tags: list[Tag] = []
    names = list(LABELS.values())
    # one of each label first: then an unfinished scene has something labelled and something missing
    order = names + [names[index] for index in generator.integers(len(names), size=TAGS_PER_SCENE[1] - len(names))]
    for label in order[: int(generator.integers(TAGS_PER_SCENE[0], TAGS_PER_SCENE[1] + 1))]:
        place = _find_place(tags, generator)
        if place is None:
            continue
        x, y, side = place
        digits = sources.digits[label]
        _draw_tag(scene_HWC[y : y + side, x : x + side], digits[generator.integers(len(digits))], generator)
        tags.append((label, x, y, side))
    return scene_HWC, tags


def _crop(photograph_HWC: ImageHWC, generator: np.random.Generator) -> ImageHWC:
    width, height = SCENE_PX
    y = int(generator.integers(photograph_HWC.shape[0] - height + 1))
    x = int(generator.integers(photograph_HWC.shape[1] - width + 1))
    crop_HWC = photograph_HWC[y : y + height, x : x + width]
    return np.ascontiguousarray(crop_HWC[:, ::-1] if generator.random() < 0.5 else crop_HWC).copy()


def _find_place(tags: list[Tag], generator: np.random.Generator) -> tuple[int, int, int] | None:
    """Return x, y and side of a square that touches no other tag; None where none was found (never for the first three)."""
    for attempt in range(PLACING_TRIES):
        largest = SIDE_PX[1] if attempt < PLACING_TRIES // 2 else SIDE_PX[0]
        side = int(generator.integers(SIDE_PX[0], largest + 1))
        x, y = (int(generator.integers(length - side + 1)) for length in SCENE_PX)
        if all(x + side < tx or tx + ts < x or y + side < ty or ty + ts < y for _, tx, ty, ts in tags):
            return x, y, side
    return None


def _draw_tag(target_HWC: ImageHWC, digit_HW: npt.NDArray[np.float32], generator: np.random.Generator) -> None:
    """Draw a half-transparent light tag with a dark digit into ``target_HWC``, a square view of the scene."""
    from PIL import Image

    side = target_HWC.shape[0]
    ink_HW = np.asarray(Image.fromarray(digit_HW).resize((side, side), Image.Resampling.BICUBIC)).clip(0, 1)
    opacity, paper, contrast = generator.uniform(0.55, 0.9), generator.uniform(185, 250), generator.uniform(0.6, 1.0)
    tag_HWC = (1 - opacity) * target_HWC + opacity * paper
    target_HWC[:] = (tag_HWC * (1 - contrast * ink_HW[:, :, None])).round().clip(0, 255).astype(np.uint8)


def _to_jpeg(scene_HWC: ImageHWC) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(scene_HWC).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _to_voc(name: str, tags: list[Tag]) -> str:
    objects = "".join(
        f"  <object><name>{escape(label)}</name><difficult>0</difficult><bndbox><xmin>{x}</xmin><ymin>{y}</ymin>"
        f"<xmax>{x + side}</xmax><ymax>{y + side}</ymax></bndbox></object>\n"
        for label, x, y, side in tags
    )
    width, height = SCENE_PX
    return (
        f"<annotation>\n  <folder>JPEGImages</folder><filename>{name}.jpg</filename>\n"
        f"  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>\n{objects}</annotation>\n"
    )
