"""Segmentation: each pixel has one label or is background; what flips are regions, the labelled objects."""

from collections.abc import Sequence

import numpy as np

from lakegate.declarations import ModelTask, OperatingTable
from lakegate.engines.onnx_session import OUTPUTS_OF_TASK
from lakegate.imaging import FloatArray, InputImage
from lakegate.label_map import LabelMap, decode_label_map, label_map_digest
from lakegate.task_types.protocol import Arrays


class SegmentationType:
    """The members are described in :class:`lakegate.task_types.protocol.TaskType`."""

    name: ModelTask = "segmentation"
    unit = "region"
    output_names = OUTPUTS_OF_TASK["segmentation"]

    def processing_digest(self, operating: OperatingTable) -> str:
        """The operating threshold decides which pixels are background, so predictions are cached by it."""
        return label_map_digest(operating.score_threshold)

    def decode(self, raw: Sequence[FloatArray], image: InputImage, operating: OperatingTable) -> LabelMap:
        """``raw``: probabilities (1 + own labels, h, w), the background first."""
        return decode_label_map(raw[0], image.scale.original_px, operating.score_threshold)

    def pack(self, prediction: LabelMap) -> Arrays:
        """Return the size and the runs."""
        return {"size_px": np.array(prediction.size_px), "values": prediction.values, "lengths": prediction.lengths}

    def unpack(self, arrays: Arrays) -> LabelMap:
        """Return the map."""
        height, width = arrays["size_px"].tolist()
        return LabelMap((height, width), arrays["values"], arrays["lengths"])


TASK_TYPE = SegmentationType()
