"""Load a released model with its pre- and post-processing: the same answer as evaluation gave."""

from pathlib import Path

import numpy as np

from lakegate.declarations import OperatingTable
from lakegate.detections import FoundObject, decode
from lakegate.engines.onnx_session import OnnxModel
from lakegate.errors import RegistryError
from lakegate.imaging import ByteArray, read_image, to_input
from lakegate.lake.client import LakeClient
from lakegate.registry import releases, runs
from lakegate.registry.documents import ReleaseRequest, Stage
from lakegate.settings import Settings


class Detector:
    """A model of a stage, loaded."""

    def __init__(self, onnx: OnnxModel, operating: OperatingTable, release: int) -> None:
        self._onnx, self._operating = onnx, operating
        self.release = release

    def predict(self, image: Path | ByteArray) -> list[FoundObject]:
        """Find objects in one image (a file, or uint8 RGB of shape (height, width, 3)), best score first.

        Raises:
            BadImage: the file is not a whole image.
        """
        pixels, scale = to_input(read_image(image) if isinstance(image, Path) else image, self._onnx.input_px)
        boxes, scores = self._onnx.infer(pixels[np.newaxis])
        found = decode(
            boxes[0],
            scores[0],
            scale,
            score_floor=self._operating.score_threshold,
            nms_iou=self._operating.nms_iou,
            max_objects=self._operating.max_objects,
        )
        return found.named(self._onnx.labels)


def load(model: str, stage: Stage = "production", settings: Settings | None = None) -> Detector:
    """Fetch and open what is in a stage now; every byte is checked against the registry's SHA-256.

    Raises:
        RegistryError: nothing is there, or the file is not the one that was released. BadInput: it is no detector.
    """
    settings = settings or Settings.load()
    client = LakeClient(settings)
    request = _request(client, model, stage)
    path = runs.fetch_file(client, settings, request.candidate, runs.ONNX)
    onnx = OnnxModel(path, settings.threads)
    onnx.require_detector("predictions of a released model")
    if onnx.sha256 != request.candidate.model_sha256:
        raise RegistryError(
            f"{model} in {stage}: model.onnx has SHA-256 {onnx.sha256[:12]}, the release says "
            f"{request.candidate.model_sha256[:12]}; do not use it, roll back and look at the run's branch"
        )
    return Detector(onnx, request.operating, request.release)


def _request(client: LakeClient, model: str, stage: Stage) -> ReleaseRequest:
    if stage == "staging":
        return releases.open_request(client, model)
    release = releases.in_production(client, model)
    if release is None:
        raise RegistryError(f"{model} has no release in production; `lakegate model status {model}` says how it stands")
    return release.request
