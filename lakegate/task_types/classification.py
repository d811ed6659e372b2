"""Classification: each image has one label, the model names the most probable one."""

from collections.abc import Sequence

import numpy as np

from lakegate.canonical import exact_json, sha256_bytes
from lakegate.declarations import ModelTask, OperatingTable
from lakegate.engines.onnx_session import OUTPUTS_OF_TASK
from lakegate.imaging import FloatArray, InputImage
from lakegate.label_map import check_probabilities
from lakegate.task_types.protocol import Arrays


class ClassificationType:
    """The members are described in :class:`lakegate.task_types.protocol.TaskType`; a prediction is float32 (own labels,)."""

    name: ModelTask = "classification"
    unit = "image"
    output_names = OUTPUTS_OF_TASK["classification"]

    def processing_digest(self, operating: OperatingTable) -> str:  # noqa: ARG002  no parameter changes a probability
        """Nothing is cut: the operating threshold does not count in classification."""
        return sha256_bytes(exact_json({"version": 1, "classification": "probabilities as they come"}))

    def decode(self, raw: Sequence[FloatArray], image: InputImage, operating: OperatingTable) -> FloatArray:  # noqa: ARG002
        """``raw``: probabilities (own labels,), 0..1."""
        check_probabilities(raw[0], n_axes=1, shape="(labels,)")
        return np.asarray(raw[0], np.float32)

    def pack(self, prediction: FloatArray) -> Arrays:
        """Return float32 (own labels,)."""
        return {"probabilities": prediction}

    def unpack(self, arrays: Arrays) -> FloatArray:
        """Return the probabilities."""
        return np.asarray(arrays["probabilities"], np.float32)


TASK_TYPE = ClassificationType()
