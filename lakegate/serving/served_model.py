"""One version directory, loaded: images of requests in, objects out. Runs inside tritonserver's Python backend."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from lakegate.detections import Detections, decode
from lakegate.engines.onnx_session import OnnxModel
from lakegate.errors import BadInput, ServingError
from lakegate.imaging import PREPROCESSING_DIGEST, ByteArray, InputImage, decode_image, encoded_size_px, to_input
from lakegate.serving.contract import ONNX_FILE, ServedSpec
from lakegate.serving.sampling import Frame, FrameStore

MAX_IMAGE_PX = 64_000_000
"""A larger image (height times width) is refused before it is decoded: a small file can hold a huge one."""


@dataclass(frozen=True)
class Prepared:
    """One image of a request, ready for the network, and as it came."""

    input: InputImage
    frame: Frame


class ServedModel:
    """The model of a version directory with the pre- and post-processing that lies beside it."""

    def __init__(self, version_dir: Path, say: Callable[[str], None]) -> None:
        """Load the directory and run the network once for each batch size that it may get.

        Raises:
            ServingError: the ONNX file is not the released one, or was made for another pre-processing.
        """
        self.spec = spec = ServedSpec.read(version_dir)
        cv2.setNumThreads(spec.threads)
        self._onnx = OnnxModel(version_dir / ONNX_FILE, spec.threads)
        _check(spec, self._onnx)
        ratio = spec.sampling_ratio if spec.samples else 0.0
        self._frames = FrameStore(Path(spec.samples), ratio, spec.release, spec.run_id, say)
        blank = self.prepare(np.zeros((*spec.input_px, 3), np.uint8))
        for batch in range(1, spec.max_batch + 1):
            self.find([blank] * batch)

    def prepare(self, image: bytes | ByteArray) -> Prepared:
        """Bring one image (bytes of a file, or uint8 RGB of any size) to the network's input.

        Raises:
            BadInput: it is not an image, or a larger one than ``MAX_IMAGE_PX``.
        """
        height, width = encoded_size_px(image) if isinstance(image, bytes) else image.shape[:2]
        if height * width > MAX_IMAGE_PX:
            raise BadInput(f"expected an image of at most {MAX_IMAGE_PX} pixels, came {width} x {height}; send a smaller one")
        pixels = decode_image(image) if isinstance(image, bytes) else image
        return Prepared(to_input(pixels, self.spec.input_px), Frame(image))

    def find(self, images: Sequence[Prepared]) -> list[Detections]:
        """Return the objects of each image, at the thresholds of the release; runs batches of at most ``max_batch``."""
        found: list[Detections] = []
        for start in range(0, len(images), self.spec.max_batch):
            batch = images[start : start + self.spec.max_batch]
            boxes, scores = self._onnx.infer(np.stack([image.input.pixels for image in batch]))
            found += [self._decode(*item) for item in zip(boxes, scores, batch, strict=True)]
        return found

    def keep_frame(self, image: Prepared, found: Detections) -> None:
        """Offer the image with what was found in it to the sampled frames."""
        self._frames.offer(image.frame, found.named(self.spec.labels))

    def _decode(self, boxes: np.ndarray, scores: np.ndarray, image: Prepared) -> Detections:
        spec = self.spec
        return decode(boxes, scores, image.input.scale, spec.score_threshold, spec.nms_iou, spec.max_objects)


def _check(spec: ServedSpec, onnx: OnnxModel) -> None:
    words = f"{spec.model} release {spec.release}"
    if onnx.sha256 != spec.model_sha256:
        raise ServingError(
            f"{words}: {ONNX_FILE} has SHA-256 {onnx.sha256[:12]}, the release says {spec.model_sha256[:12]}; "
            "do not serve it, roll the release out again"
        )
    made_for = onnx.metadata.get("preprocessing_digest", "none")
    if not PREPROCESSING_DIGEST == spec.preprocessing_digest == made_for:
        raise ServingError(
            f"{words}: {ONNX_FILE} was made for pre-processing {made_for[:12]}, beside it lies {PREPROCESSING_DIGEST[:12]}; "
            "serve it with the Lakegate that released it, or export and release it again"
        )
    if (onnx.labels, onnx.input_px) != (spec.labels, spec.input_px):
        raise ServingError(
            f"{words}: {ONNX_FILE} has labels {list(onnx.labels)} and input {onnx.input_px}, "
            f"the release says {list(spec.labels)} and {spec.input_px}; roll the release out again"
        )
