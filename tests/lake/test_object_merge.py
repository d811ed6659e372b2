"""Three states of one sample become one: what goes together is merged, what does not is listed with both sides."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakegate.geometry import Keypoint
from lakegate.lake.object_identity import identify_objects
from lakegate.lake.object_merge import merge_samples
from lakegate.masks import rle_of_mask
from lakegate.samples import Annotation, Sample, with_ids

LABELS = ("RBC", "WBC", "Platelets")
CELL_PX = 20  # objects lie in the cells of a grid, so that no two of them overlap


def a_cell(number: int, label: str = "RBC", side_px: float = 10.0, **more: object) -> Annotation:
    x, y = number % 8 * CELL_PX, number // 8 * CELL_PX
    return Annotation(label, (float(x), float(y), side_px, side_px), **more)  # type: ignore[arg-type]


def a_sample(*annotations: Annotation, **more: object) -> Sample:
    return Sample("s1", 160, 160, tuple(with_ids(annotations)), **more)  # type: ignore[arg-type]


some = settings(deadline=None, max_examples=60)
cells = st.integers(0, 63)
objects = st.dictionaries(cells, st.tuples(st.sampled_from(LABELS), st.sampled_from([8.0, 10.0, 12.0])), max_size=12)
samples = st.builds(
    lambda found, tags, split: a_sample(
        *(a_cell(number, label, side_px) for number, (label, side_px) in found.items()), tags=tuple(sorted(tags)), split=split
    ),
    objects,
    st.sets(st.sampled_from(["night", "rain", "checked"])),
    st.sampled_from(["train", "val", "test"]),
)


@some
@given(samples, samples)
def test_an_edit_of_one_side_only_is_the_result(base: Sample, edited: Sample) -> None:
    for sides in ((edited, base), (base, edited)):
        merged = merge_samples(base, *sides)
        assert merged.conflicts == ()
        assert merged.sample.to_json() == edited.to_json()


@some
@given(samples, samples, samples)
def test_the_sides_may_be_exchanged(base: Sample, ours: Sample, theirs: Sample) -> None:
    one, other = merge_samples(base, ours, theirs), merge_samples(base, theirs, ours)
    assert len(one.conflicts) == len(other.conflicts)
    assert sorted(conflict.ours for conflict in one.conflicts) == sorted(conflict.theirs for conflict in other.conflicts)
    if not one.conflicts:
        assert one.sample.to_json() == other.sample.to_json()


@some
@given(samples, samples)
def test_the_same_edit_on_both_sides_counts_once(base: Sample, edited: Sample) -> None:
    merged = merge_samples(base, edited, edited)
    assert (merged.conflicts, merged.sample.to_json()) == ((), edited.to_json())


@some
@given(objects, st.data())
def test_edits_of_different_objects_are_all_there(found: dict[int, tuple[str, float]], data: st.DataObject) -> None:
    turn = {number: data.draw(st.sampled_from(["ours", "theirs"]), label=f"who edits cell {number}") for number in range(64)}
    cells_of_base = {number: a_cell(number, label, side_px) for number, (label, side_px) in found.items()}
    states = {"ours": dict(cells_of_base), "theirs": dict(cells_of_base)}
    base, wanted = a_sample(*cells_of_base.values()), dict(cells_of_base)
    for number in data.draw(st.sets(cells, max_size=8), label="edited cells"):
        edit = data.draw(st.sampled_from(["remove", "put"]), label=f"edit of {number}")
        for side in (states[turn[number]], wanted):
            if edit == "remove":
                side.pop(number, None)
            else:
                side[number] = a_cell(number, "WBC", 11.0)
    merged = merge_samples(base, a_sample(*states["ours"].values()), a_sample(*states["theirs"].values()))
    assert merged.conflicts == ()
    shapes = {(item.label, item.bbox_xywh_px) for item in merged.sample.annotations}
    assert shapes == {(item.label, item.bbox_xywh_px) for item in wanted.values()}


@some
@given(samples, samples, samples, st.sampled_from(["ours", "theirs"]))
def test_a_side_that_is_preferred_leaves_no_conflict(base: Sample, ours: Sample, theirs: Sample, side: str) -> None:
    merged = merge_samples(base, ours, theirs, side)  # type: ignore[arg-type]
    assert merged.conflicts == ()
    ids = [item.id for item in merged.sample.annotations]
    assert len(ids) == len(set(ids))


def test_moved_on_one_side_and_reclassified_on_the_other_is_a_conflict_with_both_sides() -> None:
    base = a_sample(a_cell(1), a_cell(5))
    name = base.annotations[0].id
    moved = replace(base, annotations=(replace(base.annotations[0], bbox_xywh_px=(22.0, 1.0, 10.0, 10.0)), base.annotations[1]))
    renamed = replace(base, annotations=(replace(base.annotations[0], label="WBC"), base.annotations[1]))
    (conflict,) = merge_samples(base, moved, renamed).conflicts
    assert conflict.sentence == (
        f"s1: object {name}: was 'RBC' at x 20, y 0, 10 × 10 px; "
        "ours: 'RBC' at x 22, y 1, 10 × 10 px; theirs: 'WBC' at x 20, y 0, 10 × 10 px"
    )
    resolved = merge_samples(base, moved, renamed, "theirs").sample
    assert {item.label for item in resolved.annotations} == {"RBC", "WBC"}


def test_removed_on_one_side_and_edited_on_the_other_is_a_conflict() -> None:
    base = a_sample(a_cell(1, attributes={"state": "raw"}))
    edited = replace(base, annotations=(replace(base.annotations[0], attributes={"state": "checked"}),))
    (conflict,) = merge_samples(base, replace(base, annotations=()), edited).conflicts
    assert (conflict.ours, "state = checked" in conflict.theirs) == ("removed", True)


def test_two_objects_added_at_one_place_are_a_conflict_and_far_ones_are_both_kept() -> None:
    base = a_sample()
    near = merge_samples(base, a_sample(a_cell(1)), a_sample(a_cell(1, side_px=9.0)))
    assert [conflict.what for conflict in near.conflicts] == ["an object that both added at one place"]
    far = merge_samples(base, a_sample(a_cell(1)), a_sample(a_cell(2)))
    assert (far.conflicts, len(far.sample.annotations)) == ((), 2)
    for side, side_px in (("ours", 10.0), ("theirs", 9.0)):
        chosen = merge_samples(base, a_sample(a_cell(1)), a_sample(a_cell(1, side_px=9.0)), side)  # type: ignore[arg-type]
        assert [item.bbox_xywh_px[2] for item in chosen.sample.annotations if item.bbox_xywh_px] == [side_px]


def test_a_box_that_was_drawn_anew_is_the_same_object_without_its_id() -> None:
    base = a_sample(a_cell(1), a_cell(9))
    ours = a_sample(a_cell(1, side_px=12.0), a_cell(9))  # a new export: other content, other id
    theirs = replace(base, annotations=(base.annotations[0], replace(base.annotations[1], label="WBC")))
    merged = merge_samples(base, ours, theirs)
    assert merged.conflicts == ()
    assert {(item.label, item.bbox_xywh_px) for item in merged.sample.annotations} == {
        ("RBC", (20.0, 0.0, 12.0, 12.0)),
        ("WBC", (20.0, 20.0, 10.0, 10.0)),
    }


def test_tags_of_both_are_kept_and_a_split_that_both_changed_is_listed() -> None:
    base = a_sample(tags=("old",))
    ours, theirs = a_sample(tags=("old", "night"), split="val"), a_sample(tags=("rain",), split="test")
    merged = merge_samples(base, ours, theirs)
    assert merged.sample.tags == ("night", "rain")
    assert [conflict.sentence for conflict in merged.conflicts] == ["s1: split: was train; ours: val; theirs: test"]
    assert merge_samples(base, ours, theirs, "theirs").sample.split == "test"


def test_a_sample_that_both_added_merges_where_they_agree() -> None:
    merged = merge_samples(None, a_sample(a_cell(1), group="cam-1"), a_sample(a_cell(2), group="cam-1"))
    assert (merged.conflicts, len(merged.sample.annotations)) == ((), 2)
    (conflict,) = merge_samples(None, a_sample(group="cam-1"), a_sample(group="cam-2")).conflicts
    assert (conflict.what, conflict.base) == ("group", "not there")


def test_a_class_of_the_whole_image_that_both_changed_is_a_conflict() -> None:
    base, ours, theirs = (a_sample(Annotation(label)) for label in LABELS)
    (conflict,) = merge_samples(base, ours, theirs).conflicts
    assert (conflict.ours, conflict.theirs) == ("'WBC'", "'Platelets'")
    assert [item.label for item in merge_samples(base, base, theirs).sample.annotations] == ["Platelets"]


def test_masks_and_keypoints_are_edited_like_boxes() -> None:
    import numpy as np

    mask_HW = np.zeros((160, 160), bool)
    mask_HW[10:40, 10:40] = True
    before = rle_of_mask(mask_HW)
    mask_HW[10:40, 40:45] = True
    after = rle_of_mask(mask_HW)
    masked = Annotation("RBC", (10.0, 10.0, 30.0, 30.0), rle=before)
    person = a_cell(40, "WBC", keypoints=(Keypoint("nose", 5.0, 105.0),))
    base = a_sample(masked, person)
    ours = a_sample(replace(masked, rle=after, bbox_xywh_px=(10.0, 10.0, 35.0, 30.0)), person)
    theirs = a_sample(masked, replace(person, keypoints=(Keypoint("nose", 6.0, 106.0),)))
    merged = merge_samples(base, ours, theirs)
    assert merged.conflicts == ()
    assert {item.rle for item in merged.sample.annotations} == {after, None}
    assert {item.keypoints for item in merged.sample.annotations} == {(), (Keypoint("nose", 6.0, 106.0),)}


@pytest.mark.parametrize("track", ["", "7"])
def test_a_track_is_followed_where_its_box_jumped(track: str) -> None:
    old, new = a_cell(1, track_id=track), a_cell(30, track_id=track)
    assert identify_objects([old], [new], (160, 160)).pairs == (((0, 0),) if track else ())
