"""Inference with ONNX Runtime on an exported model: what is judged is what is deployed."""

import json
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import numpy as np

from lakegate.canonical import sha256_bytes
from lakegate.errors import BadInput, SetupProblem, UnsafeModelFile
from lakegate.imaging import FloatArray

INPUT_NAME = "images"
OUTPUT_NAMES = ("boxes", "scores")  # of a detector
OUTPUTS_OF_TASK = {"detection": OUTPUT_NAMES, "classification": ("probabilities",), "segmentation": ("probabilities",)}
STRIDE_PX = 32
# Starts of pickles and of the zip files that torch.save writes; an ONNX file starts with a protobuf field tag.
_PICKLE_STARTS = (b"\x80", b"PK\x03\x04")

Device = Literal["cpu", "cuda"]


class OnnxModel:
    """An exported model, loaded. ``n_sessions`` and ``n_inferences`` (images) count what it did.

    The file must hold its weights and Lakegate's metadata (labels, input size, pre-processing digest). It is read once:
    ``sha256`` is the digest of the bytes that run. Several threads may infer at once.
    """

    def __init__(self, path: Path, threads: int = 1, device: Device = "cpu") -> None:
        """Load ``path`` for ``threads`` compute threads.

        Raises:
            BadInput: not an ONNX file, or not one that Lakegate exported.
            UnsafeModelFile: the file is a pickle or a zip of pickles; it was not opened.
            SetupProblem: ``device`` is "cuda" and this ONNX Runtime has no CUDA.
        """
        self.path = path
        data = _read_model(path)
        self.sha256 = sha256_bytes(data)
        self._session = _open_session(data, path, threads, device)
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self.task = self.metadata.get("task", "detection")
        self.output_names = _check_names(self._session, path, self.task)
        self.labels: tuple[str, ...] = tuple(self._property("labels"))
        height, width = self._property("input_px")
        self.input_px: tuple[int, int] = (int(height), int(width))
        self.n_sessions = 1
        self.n_inferences = 0
        self._counting = Lock()

    def require_detector(self, what: str) -> None:
        """Raise ``BadInput`` where this is no detector; ``what`` names in the plural what only detectors can do."""
        if self.task != "detection":
            raise BadInput(f"{what} are for detection models in this version of Lakegate; this model does {self.task}")

    def infer(self, images_NCHW: FloatArray) -> tuple[FloatArray, ...]:
        """Run the network on a batch.

        Args:
            images_NCHW: float32 (N, 3, H, W), RGB 0..255; H and W multiples of 32.

        Returns:
            The outputs of the task in float32, batch first. Detection: boxes (N, A, 4) x1, y1, x2, y2 in input pixels and
            scores (N, A, C) 0..1, for ``detections.decode`` image by image; classification: probabilities (N, C);
            segmentation: probabilities (N, 1 + C, h, w), the background first.

        Raises:
            BadInput: another shape or type, or a session that refuses the batch.
        """
        shape = images_NCHW.shape
        if len(shape) != 4 or shape[0] < 1 or shape[1] != 3 or shape[2] % STRIDE_PX or shape[3] % STRIDE_PX:
            raise BadInput(
                f"expected images of shape (N, 3, H, W) with H and W multiples of {STRIDE_PX}, came {shape}; "
                "use imaging.to_input with the model's input_px"
            )
        if images_NCHW.dtype != np.float32:
            raise BadInput(f"expected float32 images 0..255, came {images_NCHW.dtype}; use imaging.to_input")
        try:
            outputs = self._session.run(list(self.output_names), {INPUT_NAME: images_NCHW})
        except _runtime_errors() as error:
            raise BadInput(f"{self.path}: ONNX Runtime refused a batch of shape {shape}: {error}") from error
        with self._counting:
            self.n_inferences += shape[0]
        return tuple(np.asarray(output, np.float32) for output in outputs)

    def _property(self, name: str) -> Any:
        try:
            return json.loads(self.metadata[name])
        except (KeyError, ValueError) as error:
            raise BadInput(
                f"{self.path}: the metadata holds no '{name}'; expected a model that Lakegate exported, "
                f"came one with: {', '.join(sorted(self.metadata)) or 'no metadata'}; export the run again"
            ) from error


def _read_model(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror or error}); expected an ONNX file") from error
    if data.startswith(_PICKLE_STARTS):
        raise UnsafeModelFile(
            f"{path}: expected an ONNX file, came a pickle or zip, which may hold code: it was not opened; "
            "export the run instead"
        )
    return data


def _open_session(data: bytes, path: Path, threads: int, device: Device) -> Any:
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    wanted = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[device]
    if wanted not in onnxruntime.get_available_providers():
        raise SetupProblem(
            f"device '{device}' needs ONNX Runtime's {wanted}, here are {', '.join(onnxruntime.get_available_providers())}; "
            "use device 'cpu', or install onnxruntime-gpu"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(data, options, providers=[wanted])
    except _runtime_errors() as error:
        raise BadInput(f"{path}: not a usable ONNX file ({error}); export the run again") from error
    return session


def _check_names(session: Any, path: Path, task: str) -> tuple[str, ...]:
    """Return the names of the outputs; raises ``BadInput`` where they are not those of the task."""
    outputs = OUTPUTS_OF_TASK.get(task, ())
    names = [item.name for item in session.get_inputs()], [item.name for item in session.get_outputs()]
    if not outputs or names != ([INPUT_NAME], list(outputs)):
        raise BadInput(
            f"{path}: expected input '{INPUT_NAME}' and outputs {list(outputs)} for task '{task}', came {names[0]} and "
            f"{names[1]}; use a model that Lakegate exported"
        )
    return outputs


def _runtime_errors() -> tuple[type[Exception], ...]:
    """ONNX Runtime's exceptions; they have no common base below ``Exception``."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    found = (getattr(state, name) for name in dir(state))
    return tuple(item for item in found if isinstance(item, type) and issubclass(item, Exception))
