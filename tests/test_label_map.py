import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from lakegate.errors import BadInput
from lakegate.label_map import LabelMap, decode_label_map, label_map_digest


def constant(*probabilities: float) -> np.ndarray:
    """Probabilities (channels, 4, 4) that are the same everywhere."""
    return np.repeat(np.array(probabilities, np.float32), 16).reshape(-1, 4, 4)


@given(arrays(np.int32, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 3)))
def test_runs_give_back_the_pixels(pixels_HW: np.ndarray) -> None:
    runs = LabelMap.of(pixels_HW)
    assert runs.pixels.tolist() == pixels_HW.tolist()
    assert (runs.values[1:] != runs.values[:-1]).all()


@given(st.data(), arrays(np.int32, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 3)))
def test_a_box_is_cut_out_as_from_the_pixels(data: st.DataObject, pixels_HW: np.ndarray) -> None:
    height, width = pixels_HW.shape
    y1, x1 = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    y2, x2 = data.draw(st.integers(y1 + 1, height)), data.draw(st.integers(x1 + 1, width))
    assert LabelMap.of(pixels_HW).cut((x1, y1, x2, y2)).tolist() == pixels_HW[y1:y2, x1:x2].tolist()


def test_a_translated_map_holds_the_numbers_of_the_table() -> None:
    translated = LabelMap.of(np.array([[0, 1, 1], [2, 0, 2]])).translated(np.array([0, 5, 3]))
    assert translated.pixels.tolist() == [[0, 5, 5], [3, 0, 3]]


def test_runs_that_do_not_fill_the_image_are_refused() -> None:
    with pytest.raises(BadInput, match="2 x 3 px does not fit its runs"):
        LabelMap((2, 3), np.array([1], np.int32), np.array([5], np.int32))


@pytest.mark.parametrize(
    ("probabilities", "number"),
    [((0.2, 0.7, 0.1), 1), ((0.2, 0.1, 0.7), 2), ((0.7, 0.2, 0.1), 0), ((0.5, 0.5, 0.0), 0), ((0.26, 0.37, 0.37), 1)],
)
def test_the_most_probable_label_wins_and_the_first_of_equals(probabilities: tuple[float, ...], number: int) -> None:
    assert set(decode_label_map(constant(*probabilities), (7, 5), 0.3).pixels.ravel().tolist()) == {number}


@pytest.mark.parametrize(("threshold", "number"), [(0.4, 1), (0.41, 0)])
def test_a_label_less_probable_than_the_threshold_is_background(threshold: float, number: int) -> None:
    found = decode_label_map(constant(0.3, 0.4, 0.3), (4, 4), threshold)
    assert set(found.values.tolist()) == {number}
    assert label_map_digest(0.4) != label_map_digest(0.41)


def test_an_edge_lies_where_the_linear_ramp_between_two_cells_crosses() -> None:
    probabilities = np.zeros((2, 2, 2), np.float32)
    probabilities[1, :, 1] = 1  # the right half is label 0
    probabilities[0] = 1 - probabilities[1]
    found = decode_label_map(probabilities, (20, 40), 0.3)
    assert found.size_px == (20, 40)
    assert found.pixels[0].tolist() == [0] * 20 + [1] * 20


@pytest.mark.parametrize("number", [np.nan, -0.5, 3.0])
def test_numbers_that_are_no_probabilities_are_refused(number: float) -> None:
    with pytest.raises(BadInput, match="expected probabilities 0"):
        decode_label_map(constant(0.5, number), (4, 4), 0.3)


def test_an_output_of_another_shape_is_refused() -> None:
    with pytest.raises(BadInput, match=r"of shape \(1 \+ labels, h, w\), came \(4, 4\)"):
        decode_label_map(constant(0.5)[0], (4, 4), 0.3)
