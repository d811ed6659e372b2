"""Segmentation: each pixel has one label or is background; what flips are regions, the labelled objects."""

from collections.abc import Sequence

import numpy as np

from lakegate.declarations import ModelTask, OperatingTable
from lakegate.engines.onnx_session import OUTPUTS_OF_TASK
from lakegate.evaluation.class_plots import region_plots
from lakegate.evaluation.judged import Flip, JudgedSample, Panel
from lakegate.evaluation.plots import Plots
from lakegate.evaluation.region_flips import find_region_flips, region_flip_words
from lakegate.evaluation.region_panels import region_panels
from lakegate.evaluation.regions import (
    JudgedRegions,
    RegionTruth,
    count_regions,
    judge_regions,
    pixel_statistics,
    region_truth_of,
)
from lakegate.imaging import FloatArray, InputImage
from lakegate.label_map import LabelMap, decode_label_map, label_map_digest
from lakegate.samples import Sample
from lakegate.task_types.protocol import Arrays, IntArray, LabelView, SampleStatistics


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

    def truth_of(self, sample: Sample, labels: Sequence[str]) -> RegionTruth:
        """Return the labelled regions; raises ``UnknownLabel``, and ``BadInput`` where an object has no mask."""
        return region_truth_of(sample, labels)

    def judge(
        self, prediction: LabelMap, truth: RegionTruth, view: LabelView, operating: OperatingTable  # noqa: ARG002
    ) -> JudgedRegions:
        """Hold each pixel and each region against the truth; the threshold was applied by :meth:`decode`."""
        return judge_regions(prediction, truth, view)

    def statistics(
        self, judgements: Sequence[JudgedRegions], labels: Sequence[str], view: LabelView, operating: OperatingTable  # noqa: ARG002
    ) -> SampleStatistics:
        """Return mIoU, Dice, precision and recall of pixels."""
        return pixel_statistics(judgements, labels)

    def count_units(self, truth: RegionTruth, n_labels: int) -> IntArray:
        """Return the regions of each label; those that others cover are not counted."""
        return count_regions(truth, n_labels)

    def find_flips(self, judged: JudgedSample, labels: tuple[str, ...], cells: tuple[str, ...]) -> list[Flip]:
        """Return flips region by region, then the candidate's new false shapes."""
        return find_region_flips(judged, labels, cells)

    def flip_words(self, flip: Flip, judged: JudgedSample, labels: tuple[str, ...]) -> str:
        """Say how much of the region each model labels right."""
        return region_flip_words(flip, judged, labels)

    def panels(self, judged: JudgedSample, labels: tuple[str, ...]) -> list[Panel]:
        """Return outlines: true regions, shapes on their label, false shapes, missed regions."""
        return region_panels(judged, labels)

    def plots(self, judged: Sequence[JudgedSample], labels: tuple[str, ...], common: tuple[str, ...]) -> Plots:
        """Return which pixels are taken for what."""
        return region_plots(judged, labels, common)


TASK_TYPE = SegmentationType()
