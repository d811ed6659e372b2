"""COCO's run lengths are read as COCO's own code reads them."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from lakegate.geometry import Rle
from lakegate.masks import area_px, rle_of_mask
from lakegate.quality.mask_facts import mask_facts

MASKS = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40), elements=st.integers(0, 1))


@settings(max_examples=60, deadline=None)
@given(st.lists(MASKS, min_size=1, max_size=5))
def test_area_and_cover_are_those_of_coco(masks):
    encoded = [rle_of_mask(mask_HW) for mask_HW in masks]
    facts = mask_facts(encoded)
    assert facts.area_px.tolist() == [area_px(rle) for rle in encoded]
    assert facts.covered_px.tolist() == [mask_HW.size for mask_HW in masks]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=4))
def test_any_text_is_read_or_refused_and_spoils_no_mask_beside_it(texts):
    whole = rle_of_mask(np.eye(9))
    facts = mask_facts([*(Rle(9, 9, text) for text in texts), whole])
    assert (facts.area_px[-1], facts.covered_px[-1]) == (9, 81)
    assert np.all((facts.area_px >= 0) == (facts.covered_px >= 0))


def test_large_masks_with_long_runs_are_read_too():
    mask_HW = np.zeros((3000, 4000), np.uint8)
    mask_HW[100:2900, 10:3900:7] = 1
    facts = mask_facts([rle_of_mask(mask_HW)])
    assert (facts.area_px[0], facts.covered_px[0]) == (mask_HW.sum(), mask_HW.size)
