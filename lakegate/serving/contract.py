"""The served contract: what a Triton server of Lakegate takes and gives, and what a version directory says about itself.

A request holds either ``encoded`` (the bytes of a JPEG or PNG file) or ``image`` (uint8 RGB of any size). The answer
holds ``max_objects`` rows, of which the first ``n_objects`` count: boxes in pixels of the image that came in.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lakegate.canonical import exact_json
from lakegate.detections import Detections
from lakegate.errors import ServingError

ENCODED, IMAGE = "encoded", "image"
BOXES, SCORES, LABELS, N_OBJECTS = "boxes_xyxy_px", "scores", "labels", "n_objects"
OUTPUTS = (BOXES, SCORES, LABELS, N_OBJECTS)
NO_LABEL = -1
NOT_SAMPLED = "lakegate_not_sampled"
"""Name of the request parameter that keeps a request (a functional test) out of the sampled frames."""

SPEC_FILE = "served.json"
ONNX_FILE = "model.onnx"
BACKEND_FILE = "model.py"
CODE_FOLDER = "lakegate"


@dataclass(frozen=True)
class ServedSpec:
    """Everything that a version directory needs to know about the release that it serves; ``served.json``."""

    model: str
    release: int
    run_id: str
    commit: str  # of the run, in lakeFS
    model_sha256: str
    preprocessing_digest: str
    labels: tuple[str, ...]
    input_px: tuple[int, int]  # height, width
    score_threshold: float
    nms_iou: float
    max_objects: int
    max_batch: int
    threads: int
    sampling_ratio: float  # share of the requests whose frame is kept, 0..1
    samples: str  # folder for the frames, "" for none

    def to_bytes(self) -> bytes:
        """Serialise with sorted keys; equal specifications are equal bytes."""
        return exact_json(asdict(self))

    @classmethod
    def read(cls, version_dir: Path) -> "ServedSpec":
        """Read the file of a version directory.

        Raises:
            ServingError: it is absent or not what :meth:`to_bytes` wrote.
        """
        path = version_dir / SPEC_FILE
        try:
            content = json.loads(path.read_bytes())
            content["labels"], content["input_px"] = tuple(content["labels"]), tuple(content["input_px"])
            return cls(**content)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ServingError(f"{path} does not describe a served release ({error}); roll the release out again") from error


def to_arrays(found: Detections, max_objects: int) -> dict[str, npt.NDArray[Any]]:
    """Pad the objects of one image to ``max_objects`` rows: zeros, and -1 as label."""
    n = len(found)
    boxes, scores = np.zeros((max_objects, 4), np.float32), np.zeros(max_objects, np.float32)
    labels = np.full(max_objects, NO_LABEL, np.int32)
    boxes[:n], scores[:n], labels[:n] = found.boxes_xyxy_px, found.scores, found.labels
    return {BOXES: boxes, SCORES: scores, LABELS: labels, N_OBJECTS: np.array([n], np.int32)}


def to_detections(arrays: Mapping[str, npt.NDArray[Any]]) -> Detections:
    """Undo :func:`to_arrays`; a leading batch axis of 1 is dropped.

    Raises:
        ServingError: an output is missing, or the shapes do not fit together.
    """
    missing = [name for name in OUTPUTS if name not in arrays]
    if missing:
        raise ServingError(f"the answer lacks {', '.join(missing)}; the model does not hold to the served contract")
    boxes, scores, labels = arrays[BOXES].reshape(-1, 4), arrays[SCORES].reshape(-1), arrays[LABELS].reshape(-1)
    n = int(arrays[N_OBJECTS].reshape(-1)[0])
    if not 0 <= n <= len(scores) or not len(boxes) == len(scores) == len(labels):
        raise ServingError(
            f"the answer names {n} objects, but holds {len(boxes)} boxes, {len(scores)} scores and {len(labels)} labels; "
            "the model does not hold to the served contract"
        )
    return Detections(boxes[:n].astype(np.float32), scores[:n].astype(np.float32), labels[:n].astype(np.int64))
