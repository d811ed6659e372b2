"""Classification: each image has one label, the model names the most probable one."""

from collections.abc import Sequence

import numpy as np

from lakegate.canonical import exact_json, sha256_bytes
from lakegate.declarations import ModelTask, OperatingTable
from lakegate.engines.onnx_session import OUTPUTS_OF_TASK
from lakegate.evaluation.class_flips import class_flip_words, class_panels, find_class_flips
from lakegate.evaluation.class_plots import class_plots
from lakegate.evaluation.classes import ClassTruth, JudgedClass, class_statistics, class_truth_of, count_images, judge_class
from lakegate.evaluation.judged import Flip, JudgedSample, Panel
from lakegate.evaluation.plots import Plots
from lakegate.imaging import FloatArray, InputImage
from lakegate.label_map import check_probabilities
from lakegate.samples import Sample
from lakegate.task_types.protocol import Arrays, IntArray, LabelView, SampleStatistics


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

    def truth_of(self, sample: Sample, labels: Sequence[str]) -> ClassTruth:
        """Return the label of the whole image; raises ``UnknownLabel``, and ``BadInput`` where it has not exactly one."""
        return class_truth_of(sample, labels)

    def judge(
        self, prediction: FloatArray, truth: ClassTruth, view: LabelView, operating: OperatingTable  # noqa: ARG002
    ) -> JudgedClass:
        """Ask whether the most probable label is the true one."""
        return judge_class(prediction, truth, view)

    def statistics(
        self, judgements: Sequence[JudgedClass], labels: Sequence[str], view: LabelView, operating: OperatingTable  # noqa: ARG002
    ) -> SampleStatistics:
        """Return accuracy, macro F1, precision, recall and calibration error."""
        return class_statistics(judgements, labels)

    def count_units(self, truth: ClassTruth, n_labels: int) -> IntArray:
        """Return 1 for the image's label."""
        return count_images(truth, n_labels)

    def find_flips(self, judged: JudgedSample, labels: tuple[str, ...], cells: tuple[str, ...]) -> list[Flip]:
        """Return one flip, or none; images have no new false objects."""
        return find_class_flips(judged, labels, cells)

    def flip_words(self, flip: Flip, judged: JudgedSample, labels: tuple[str, ...]) -> str:
        """Say which label each model gave."""
        return class_flip_words(flip, judged, labels)

    def panels(self, judged: JudgedSample, labels: tuple[str, ...]) -> list[Panel]:
        """Return the image with the labels in words."""
        return class_panels(judged, labels)

    def plots(self, judged: Sequence[JudgedSample], labels: tuple[str, ...], common: tuple[str, ...]) -> Plots:
        """Return how sure the models are against how right, and which label is taken for which."""
        return class_plots(judged, labels, common)


TASK_TYPE = ClassificationType()
