"""Where an image lies among others: a short description of colour, layout and structure, and how well two sets come apart."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lakegate.errors import BadInput
from lakegate.imaging import ByteArray

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
SIDE_PX = 192
COLOUR_BINS = 8
ANGLE_BINS = 8
STRENGTH_BINS = 8
LAYOUT_CELLS = 4
FREQUENCY_EDGES = (0.5, 2, 4, 8, 16, 32, 64, 128, 272)  # radius in the cosine transform of a square of SIDE_PX
N_FOLDS = 5
REGULARISATION = 0.1
N_FEATURES = 3 * COLOUR_BINS + ANGLE_BINS + STRENGTH_BINS + len(FREQUENCY_EDGES) - 1 + LAYOUT_CELLS**2


def embed(image_HWC: ByteArray) -> FloatArray:
    """Describe an image by ``N_FEATURES`` numbers that no model decides on, so that releases can be compared.

    Histograms of the three Lab channels, directions and strengths of gradients, power in octaves of the cosine transform,
    and the mean lightness on a grid; of the image resized to a square: its size is a column of its own.

    Args:
        image_HWC: uint8 RGB, (height, width, 3).

    Returns:
        float64, shape (N_FEATURES,).
    """
    import cv2

    square = cv2.resize(image_HWC, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    lab_HWC = cv2.cvtColor(square, cv2.COLOR_RGB2LAB)
    lightness = lab_HWC[:, :, 0].astype(np.float32) / 255
    colours = [_shares(lab_HWC[:, :, channel], COLOUR_BINS, 256) for channel in range(3)]
    layout = cv2.resize(lightness, (LAYOUT_CELLS, LAYOUT_CELLS), interpolation=cv2.INTER_AREA).ravel()
    return np.concatenate([*colours, *_gradients(lightness), _spectrum(lightness), layout]).astype(np.float64)


def _shares(values: npt.NDArray[np.number], bins: int, top: float, weights: FloatArray | None = None) -> FloatArray:
    counts, _ = np.histogram(values, bins=bins, range=(0, top), weights=weights)
    total = float(counts.sum())
    return counts / total if total > 0 else np.zeros(bins)


def _gradients(lightness: npt.NDArray[np.float32]) -> tuple[FloatArray, FloatArray]:
    import cv2

    dx, dy = cv2.Sobel(lightness, cv2.CV_32F, 1, 0), cv2.Sobel(lightness, cv2.CV_32F, 0, 1)
    strength = np.hypot(dx, dy)
    angles = np.arctan2(dy, dx) % np.pi
    return _shares(angles, ANGLE_BINS, np.pi, strength), _shares(np.log1p(255 * strength), STRENGTH_BINS, 7)


def _spectrum(lightness: npt.NDArray[np.float32]) -> FloatArray:
    import cv2

    power = cv2.dct(lightness) ** 2
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX]
    ring = np.digitize(np.hypot(rows, columns), FREQUENCY_EDGES).ravel()
    wanted = range(1, len(FREQUENCY_EDGES))
    return np.array([np.log(1e-6 + power.ravel()[ring == number].mean()) for number in wanted])


@dataclass(frozen=True, eq=False)
class DomainResult:
    """How well reference and frames come apart. ``frame_scores``: shape (N,), the higher, the more foreign a frame looks."""

    auc: float
    frame_scores: FloatArray


def separate(reference_NF: FloatArray, groups: Sequence[str], frames_NF: FloatArray) -> DomainResult:
    """Learn to tell frames from reference images, and report the area under the ROC curve on images not learned from.

    0.5: they cannot be told apart; 1: each one can. Logistic regression, ``N_FOLDS`` folds. Frames are divided by time and
    reference images by group, so that a classifier is never tested on a neighbour of what it learned.

    Args:
        reference_NF: embeddings, shape (N, N_FEATURES).
        groups: of the reference images (camera, clip, scene), N of them.
        frames_NF: embeddings ascending by time, shape (M, N_FEATURES).

    Raises:
        BadInput: one of the two has fewer than ``N_FOLDS`` images.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import PredefinedSplit, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if min(len(reference_NF), len(frames_NF)) < N_FOLDS:
        raise BadInput(f"expected at least {N_FOLDS} images on each side, came {len(reference_NF)} and {len(frames_NF)}")
    features = np.vstack([reference_NF, frames_NF])
    is_frame = np.repeat([0, 1], [len(reference_NF), len(frames_NF)])
    folds = np.concatenate([_folds_by_group(groups), _folds_by_time(len(frames_NF))])
    classifier = make_pipeline(
        StandardScaler(), LogisticRegression(C=REGULARISATION, class_weight="balanced", max_iter=500)
    )
    scores = cross_val_predict(classifier, features, is_frame, cv=PredefinedSplit(folds), method="decision_function")
    return DomainResult(float(roc_auc_score(is_frame, scores)), np.asarray(scores[len(reference_NF) :], np.float64))


def _folds_by_time(count: int) -> IntArray:
    return np.arange(count, dtype=np.int64) * N_FOLDS // count


def _folds_by_group(groups: Sequence[str]) -> IntArray:
    """Keep a group in one fold; with fewer groups than folds, divide the images as they stand."""
    number = {name: place % N_FOLDS for place, name in enumerate(dict.fromkeys(groups))}
    if len(number) < N_FOLDS:
        return _folds_by_time(len(groups))
    return np.array([number[name] for name in groups], np.int64)
