"""The bootstrap of average precision, and mAP beside pycocotools: rows of `make bench BENCH=matrix`.

Measured in a process of its own with one thread: 5,000 images with about 50,000 objects of 10 labels.
"""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from tests.bench_rows import Row

N_IMAGES, N_OBJECTS_PER_IMAGE, N_LABELS, N_REPLICATES = 5_000, 10.0, 10, 1_000
LIMIT_S, LIMIT_MB, LIMIT_DIFFERENCE = 20.0, 1024.0, 1e-6


def bench_rows(_folder: Path) -> list[Row]:
    """Return the rows; nothing is written to the folder."""
    words = [sys.executable, "-m", "tests.bench_matrix_statistics"]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, env=one_thread, cwd=root)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    what = f"{N_REPLICATES:,} replicates, {N_IMAGES:,} images, {found['n_predictions']:,.0f} boxes"
    return [
        Row(f"bootstrap of mAP: {what}", found["bootstrap_s"], LIMIT_S, "limit", "s"),
        Row("peak memory of it", found["peak_mb"], LIMIT_MB, "limit", "MB"),
        Row("mAP of these images, matching included", found["map_s"], found["peer_s"], "pycocotools", "s"),
        Row("largest difference of an AP", found["difference"] * 1e6, LIMIT_DIFFERENCE * 1e6, "limit", "1e-6"),
    ]


def main() -> None:
    """Print what was measured as JSON."""
    import numpy as np

    from lakegate.evaluation.average_precision import ApMatches
    from lakegate.evaluation.coco_matching import match_sample
    from lakegate.evaluation.resampling import draw_groups
    from tests.evaluation.coco_reference import random_scene

    random = np.random.default_rng(0)
    scenes = [random_scene(random, N_LABELS, N_OBJECTS_PER_IMAGE) for _ in range(N_IMAGES)]
    arrays = [(s.truth_boxes, s.truth_labels, s.truth_ignored, s.boxes, s.scores, s.labels) for s in scenes]
    started = time.perf_counter()
    matches = ApMatches.collect([match_sample(*scene) for scene in arrays], N_LABELS)
    ap_TK = matches.ap(np.ones((1, N_IMAGES)))[0]
    map_s = time.perf_counter() - started
    started = time.perf_counter()
    draws = draw_groups([str(image) for image in range(N_IMAGES)], N_REPLICATES, 0)
    replicates = matches.ap(draws.weights)
    bootstrap_s = time.perf_counter() - started
    assert replicates.shape == (N_REPLICATES, *ap_TK.shape)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # before pycocotools adds its own
    peer_s, difference = beside_pycocotools(scenes, ap_TK)
    numbers = {"map_s": map_s, "bootstrap_s": bootstrap_s, "peak_mb": peak_mb, "peer_s": peer_s, "difference": difference}
    print(json.dumps({**numbers, "n_predictions": sum(len(scene.labels) for scene in scenes)}))


def beside_pycocotools(scenes: list, ap_TK: object) -> tuple[float, float]:
    """Return pycocotools' seconds for the same matching and curves, loading left out, and the largest difference of an AP."""
    import numpy as np

    from tests.evaluation.coco_reference import evaluate, to_coco

    truth, predictions = to_coco(scenes, N_LABELS)
    started = time.perf_counter()
    precision = evaluate(truth, predictions, sizes=1)
    peer_s = time.perf_counter() - started
    return peer_s, float(np.abs(precision[..., 0].mean(axis=1) - ap_TK).max())


if __name__ == "__main__":
    main()
