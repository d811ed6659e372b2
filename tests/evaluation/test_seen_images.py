from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from lakegate.canonical import sha256_file
from lakegate.declarations import QualityTable
from lakegate.evaluation.comparing import compare
from lakegate.evaluation.seen_images import perceptual_hashes
from lakegate.lake.local_version import LocalImage
from tests.evaluation.planted import World, object_at


def test_test_images_that_look_like_training_images_are_left_out_and_counted(world: World) -> None:
    """The baseline trained on a smaller, darker copy of image 0, the candidate on a picture that is like none."""
    now = world.version({number: [object_at(0)] for number in range(4)})
    scenes = {sample.id: local(draw_scene(now.images[sample.id].path, seed)) for seed, sample in enumerate(now.samples)}
    now = replace(now, images=scenes)
    small = cv2.resize(cv2.imread(str(scenes["s0000"].path)), (200, 150), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(world.folder / "copy.png"), np.asarray(small * 0.9, np.uint8))
    copy, other = local(world.folder / "copy.png"), local(draw_scene(world.folder / "other.png", seed=99))
    like_copy, like_other = (frozenset(perceptual_hashes([item], world.settings).values()) for item in (copy, other))
    baseline = replace(world.model("old", {}), trained_hashes=like_copy)
    candidate = replace(world.model("new", {}), trained_hashes=like_other)
    matrix = compare(candidate, baseline, now, now, world.settings, n_latency_images=0)
    coverage = matrix.coverage[0]
    assert (coverage.n_test, coverage.n_judged) == (4, 3)
    assert (coverage.n_like_trained_on_by_candidate, coverage.n_like_trained_on_by_baseline) == (0, 1)
    assert set(matrix.samples) == {"planted/s0001", "planted/s0002", "planted/s0003"}
    not_sought = now.declaration.model_copy(update={"quality": QualityTable(near_duplicate_bits=-1)})
    matrix = compare(candidate, baseline, replace(now, declaration=not_sought), now, world.settings, n_latency_images=0)
    assert matrix.coverage[0].n_judged == 4


def test_a_flat_or_broken_picture_has_no_hash(world: World) -> None:
    broken = world.folder / "broken.png"
    broken.write_bytes(b"no image")
    scene = local(draw_scene(world.folder / "scene.png", seed=1))
    assert set(perceptual_hashes([world.image(3), local(broken), scene], world.settings)) == {scene.sha256}


def local(path: Path) -> LocalImage:
    return LocalImage(path, sha256_file(path))


def draw_scene(path: Path, seed: int) -> Path:
    """Write a picture of chance shapes, 400 x 300 px."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    cv2.imwrite(str(path), cv2.resize(coarse, (400, 300), interpolation=cv2.INTER_CUBIC))
    return path
