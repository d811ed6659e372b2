"""Detection: boxes with a label and a score, matched with labelled boxes one to one."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lakegate.declarations import ModelTask, OperatingTable
from lakegate.detections import SCORE_FLOOR, Detections, decode, postprocessing_digest
from lakegate.engines.onnx_session import OUTPUTS_OF_TASK
from lakegate.evaluation.box_panels import box_panels, object_flip_words
from lakegate.evaluation.box_plots import box_plots
from lakegate.evaluation.flips import find_flips
from lakegate.evaluation.judged import Flip, JudgedSample, Panel
from lakegate.evaluation.metrics import DetectionStatistics
from lakegate.evaluation.plots import Plots
from lakegate.evaluation.scoring import ScoredDetections, Truth, score, truth_of
from lakegate.imaging import FloatArray, InputImage
from lakegate.samples import Sample
from lakegate.task_types.protocol import Arrays, IntArray, LabelView, SampleStatistics


class DetectionType:
    """The members are described in :class:`lakegate.task_types.protocol.TaskType`."""

    name: ModelTask = "detection"
    unit = "object"
    output_names = OUTPUTS_OF_TASK["detection"]

    def processing_digest(self, operating: OperatingTable) -> str:
        """Predictions are cut at the score floor of average precision, so the operating threshold is no part of it."""
        return postprocessing_digest(SCORE_FLOOR, operating.nms_iou, operating.max_objects)

    def decode(self, raw: Sequence[FloatArray], image: InputImage, operating: OperatingTable) -> Detections:
        """``raw``: boxes (A, 4) in input px and scores (A, C)."""
        return decode(raw[0], raw[1], image.scale, SCORE_FLOOR, operating.nms_iou, operating.max_objects)

    def pack(self, prediction: Detections) -> Arrays:
        """Return float32 (N, 6): box, score, label."""
        labels = prediction.labels.astype(np.float32)[:, None]
        return {"objects": np.hstack([prediction.boxes_xyxy_px, prediction.scores[:, None], labels])}

    def unpack(self, arrays: Arrays) -> Detections:
        """Return the detections."""
        rows = arrays["objects"]
        return Detections(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64))

    def truth_of(self, sample: Sample, labels: Sequence[str]) -> Truth:
        """Return the labelled boxes; raises ``UnknownLabel``."""
        return truth_of(sample, labels)

    def judge(
        self, prediction: Detections, truth: Truth, view: LabelView, operating: OperatingTable
    ) -> ScoredDetections:
        """Match what is at or above the operating threshold."""
        seen = replace(prediction, labels=view.to_space[prediction.labels])
        return score(seen, truth, operating.score_threshold, view.known, operating.max_objects)

    def statistics(
        self,
        judgements: Sequence[ScoredDetections],
        labels: Sequence[str],
        view: LabelView,
        operating: OperatingTable,  # noqa: ARG002  the judgements hold it
    ) -> SampleStatistics:
        """Return precision, recall, errors per image and average precision."""
        return DetectionStatistics(judgements, labels, view.known)

    def count_units(self, truth: Truth, n_labels: int) -> IntArray:
        """Return the objects of each label."""
        return np.bincount(truth.labels, minlength=n_labels).astype(np.int64)

    def find_flips(self, judged: JudgedSample, labels: tuple[str, ...], cells: tuple[str, ...]) -> list[Flip]:
        """Return flips object by object, then the candidate's new false objects."""
        return find_flips(judged, labels, cells)

    def flip_words(self, flip: Flip, judged: JudgedSample, labels: tuple[str, ...]) -> str:
        """Say how each model found the object, or why it did not."""
        return object_flip_words(flip, judged, labels)

    def panels(self, judged: JudgedSample, labels: tuple[str, ...]) -> list[Panel]:
        """Return boxes: hits, missed and false ones."""
        return box_panels(judged, labels)

    def plots(self, judged: Sequence[JudgedSample], labels: tuple[str, ...], common: tuple[str, ...]) -> Plots:
        """Return precision over recall, and which label is taken for which."""
        return box_plots(judged, labels, common)


TASK_TYPE = DetectionType()
