"""What a kind of model adds to Lakegate: detection, classification and segmentation differ behind this protocol only.

A task type is one module with one object that has these members. Predictions, truths and judgements are its own types; the
rest of the evaluation hands them around and never looks inside.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lakegate.declarations import ModelTask, OperatingTable
from lakegate.evaluation.judged import Flip, JudgedSample, Panel
from lakegate.imaging import FloatArray, InputImage
from lakegate.samples import Sample

ALL_LABELS = ""
SIZES = ("@small", "@medium", "@large")  # stand where a label stands; areas as in COCO: below 32², below 96², the rest
Arrays = dict[str, npt.NDArray[Any]]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Replicates = npt.NDArray[np.float64]
Values = dict[str, dict[str, float | None]]  # metric -> label (ALL_LABELS for all) -> value


@dataclass(frozen=True)
class LabelView:
    """One model's labels, seen from the labels that a comparison is about (its label space, K labels).

    ``to_space``: for each of the model's own label indices the index in the space, int64 (own,).
    ``known``: for each label of the space whether the model knows it, bool (K,). What it does not know is never its error.
    """

    to_space: IntArray
    known: BoolArray

    @classmethod
    def of(cls, own: Sequence[str], space: Sequence[str]) -> "LabelView":
        """Return the view of a model with the labels ``own``, all of which stand in ``space``."""
        to_space = np.array([list(space).index(label) for label in own], np.int64)
        return cls(to_space, np.array([label in own for label in space], np.bool_))


class SampleStatistics(Protocol):
    """What the metrics of one model on S samples are computed from. Re-weighting the samples gives bootstrap replicates."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics, as in ``gate_rules.METRICS``."""
        ...

    def values(self, weights_RS: Replicates, only: Collection[str] | None = None) -> Mapping[str, Mapping[str, Replicates]]:
        """Return metric -> label -> values (R,), nan where it cannot be said (no object of that label, say).

        Args:
            weights_RS: how often each sample counts in each replicate, float64 (R, S); a row of ones is the point estimate.
            only: the metrics that are wanted; None for all.
        """
        ...


class TaskType(Protocol):
    """One kind of model: how its network's output is read, judged, measured and shown."""

    @property
    def name(self) -> ModelTask:
        """The word in ``[architecture] task``."""
        ...

    @property
    def unit(self) -> str:
        """What flips are counted in, in the singular: object, image or region."""
        ...

    @property
    def output_names(self) -> tuple[str, ...]:
        """The outputs of the ONNX file, in order."""
        ...

    def processing_digest(self, operating: OperatingTable) -> str:
        """Return the SHA-256 of :meth:`decode` with these parameters; predictions are cached by it."""
        ...

    def decode(self, raw: Sequence[FloatArray], image: InputImage, operating: OperatingTable) -> Any:
        """Turn the network's outputs for one image into a prediction; labels are the model's own indices."""
        ...

    def pack(self, prediction: Any) -> Arrays:
        """Return a prediction as arrays, for the cache."""
        ...

    def unpack(self, arrays: Arrays) -> Any:
        """Return what :meth:`pack` was given."""
        ...

    def truth_of(self, sample: Sample, labels: Sequence[str]) -> Any:
        """Return what a sample's labels say, in indices of ``labels``.

        Raises:
            UnknownLabel: the sample has a label that is not among them.
        """
        ...

    def judge(self, prediction: Any, truth: Any, view: LabelView, operating: OperatingTable) -> Any:
        """Hold one model's prediction on one sample against the truth, at its operating threshold, in the label space."""
        ...

    def statistics(
        self, judgements: Sequence[Any], labels: Sequence[str], view: LabelView, operating: OperatingTable
    ) -> SampleStatistics:
        """Gather one model's judgements; labels that the model does not know are left out of every mean."""
        ...

    def count_units(self, truth: Any, n_labels: int) -> IntArray:
        """Return how many units (objects, images, regions) of each label the truth holds, int64 (K,)."""
        ...

    def find_flips(self, judged: JudgedSample, labels: tuple[str, ...], cells: tuple[str, ...]) -> list[Flip]:
        """Return what the two models treat differently on one sample; none without a baseline."""
        ...

    def flip_words(self, flip: Flip, judged: JudgedSample, labels: tuple[str, ...]) -> str:
        """Say in words what the two models made of it, as one clause."""
        ...

    def panels(self, judged: JudgedSample, labels: tuple[str, ...]) -> list[Panel]:
        """Return what is drawn of a sample: truth, baseline (where there is one), candidate."""
        ...


def point_values(statistics: SampleStatistics, n_samples: int) -> Values:
    """Return the metrics with every sample counted once; None where one cannot be said."""
    found = statistics.values(np.ones((1, n_samples)))
    return {
        metric: {label: None if np.isnan(value[0]) else float(value[0]) for label, value in by_label.items()}
        for metric, by_label in found.items()
    }
