"""Large pages for trying out and for the bench: a validation report and a version page of any number of samples."""

from pathlib import Path

import numpy as np
import simplejpeg

from lakegate.catalog import parse_dataset
from lakegate.quality.problems import SampleProblem
from lakegate.quality.report import Heading, render_validation_html
from lakegate.quality.validation import ValidationResult, validate
from lakegate.samples import Annotation, Sample
from lakegate.settings import Settings
from lakegate.thumbnails import Thumbnails

LABELS = ("car", "truck", "bus", "person", "bicycle", "sign")
DECLARATION = f'task = "detection"\nlabels = {list(LABELS)}\non_bad_sample = "quarantine"\n'
SIZE_PX = (640, 480)
N_FILES = 500  # so many different images; further samples share them, which costs a page nothing less
OBJECTS = 8
BROKEN_SHARE = 0.02


def make_samples(folder: Path, n: int) -> tuple[list[Sample], dict[str, Path]]:
    """Return ``n`` samples of 640 × 480 px with 8 boxes each, in 20 cameras, every fifth in the test split; and their images.

    Two in a hundred have a box without area.
    """
    random = np.random.default_rng(0)
    files = [write_photo(folder / f"{number:04}.jpg", random) for number in range(min(n, N_FILES))]
    samples = []
    for number in range(n):
        xy, sides = random.uniform(0, 400, (OBJECTS, 2)), random.uniform(10, 79, (OBJECTS, 2))
        if number % round(1 / BROKEN_SHARE) == 7:
            sides[0] = 0
        boxes = np.hstack([xy, sides]).round(1).tolist()
        annotations = tuple(
            Annotation(LABELS[(number + place) % len(LABELS)], (x, y, width, height))
            for place, (x, y, width, height) in enumerate(boxes)
        )
        camera, tags = f"camera-{number % 20}", ("night",) if number % 3 == 0 else ()
        split = "test" if number % 5 == 0 else "train"
        samples.append(Sample(f"camera-{number % 20}/frame-{number:06}", *SIZE_PX, annotations, split, camera, tags))
    return samples, {sample.id: files[number % len(files)] for number, sample in enumerate(samples)}


def make_validation_page(folder: Path, n: int) -> Path:
    """Write a validation report of ``n`` samples, 2 % of them quarantined, and return its path. Images are measured, too."""
    settings = Settings(home=folder / "home", threads=2)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    samples, images = make_samples(folder / "images", n)
    declaration = parse_dataset("cameras", DECLARATION)
    bad = {sample.id for sample in samples if sample.annotations[0].bbox_xywh_px[2] == 0}
    reason = "box 1 has no area: width 0 px, height 0 px"
    out = [SampleProblem(name, f"{name}.xml", "box_has_area", reason, (1,)) for name in sorted(bad)]
    good = [sample for sample in samples if sample.id not in bad]
    result: ValidationResult = validate(good, images, declaration, (), settings)
    heading = Heading("cameras", "v1", "c" * 40, "d" * 64, "made for the bench")
    html = render_validation_html(result, out, images, heading, samples, declaration, None, Thumbnails.cached(settings))
    page = folder / "validation.html"
    page.write_text(html)
    return page


def write_photo(path: Path, random: np.random.Generator) -> Path:
    """Write a smooth picture with some noise: it compresses as a photograph does, to about 40 KB."""
    width, height = SIZE_PX
    coarse_HWC = random.integers(0, 255, (8, 10, 3), dtype=np.uint8)
    picture_HWC = np.kron(coarse_HWC, np.ones((height // 8, width // 10, 1), np.uint8)).astype(np.int16)
    noisy_HWC = (picture_HWC + random.integers(-12, 12, picture_HWC.shape)).clip(0, 255).astype(np.uint8)
    path.write_bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(noisy_HWC), quality=85))
    return path


