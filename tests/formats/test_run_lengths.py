"""Run lengths of other tools become COCO's own text, and nothing that is no mask reaches its C code."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lakegate.formats.run_lengths import rle_of_coco, rle_of_runs, rle_of_text, rles_of_map
from lakegate.masks import mask_of_rle, rle_of_mask

MAPS = arrays(np.uint16, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 4))


@given(MAPS)
@settings(max_examples=150, deadline=None)
def test_every_value_of_a_map_is_the_mask_that_cocos_own_code_makes(map_HW):
    found = rles_of_map(map_HW)
    assert set(found) == set(np.unique(map_HW).tolist()) - {0}
    for value, rle in found.items():
        assert rle == rle_of_mask(map_HW == value)
        assert rle_of_coco(rle.to_dict()) == rle


def test_runs_that_are_parted_by_empty_ones_are_the_same_mask_as_whole_runs():
    whole = rle_of_runs([3, 4, 13], 5, 4)
    assert rle_of_runs([1, 0, 2, 1, 0, 3, 13, 0], 5, 4) == whole == rle_of_mask(mask_of_rle(whole))
    assert rle_of_runs([0, 20], 5, 4) == rle_of_mask(np.ones((5, 4)))
    assert rle_of_runs([20, 0], 5, 4) == rle_of_mask(np.zeros((5, 4)))


@pytest.mark.parametrize("runs", [[3, 4], [21], [-1, 21], [3.0, 17], [True, 19], ["3", 17], []])
def test_runs_that_are_not_the_images_pixels_are_refused(runs):
    with pytest.raises(ValueError, match="run lengths"):
        rle_of_runs(runs, 5, 4)


@pytest.mark.parametrize("text", ["", "3", "~~~", "PPPPPPPPPPPPPPPPP1", "3P", "é", "O1"])
def test_a_text_that_is_no_mask_of_its_size_is_refused(text):
    with pytest.raises(ValueError, match="run length"):
        rle_of_text(text, 5, 4)


@pytest.mark.parametrize(
    "segmentation",
    [
        {}, {"counts": [20]}, {"size": [5, 4]}, {"size": [5, 4], "counts": 20}, {"size": "5x4", "counts": [20]},
        {"size": [5, 0], "counts": []}, {"size": [10**6, 10**6], "counts": [10**12]},
    ],
)  # fmt: skip
def test_a_segmentation_that_is_no_mask_is_refused(segmentation):
    with pytest.raises(ValueError, match=r"size|counts"):
        rle_of_coco(segmentation)
