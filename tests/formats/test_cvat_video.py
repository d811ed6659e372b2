"""CVAT for video: the documentation's own example, then files written after it and after CVAT 2 (keyframes only)."""

import re

import pytest

from lakegate.formats.cvat import read_cvat
from lakegate.formats.export_files import open_export
from lakegate.formats.importing import import_export
from lakegate.formats.reading import Reading, SourceObject
from lakegate.geometry import Keypoint

from .cvat_files import attribute, box, cvat_xml, element, frame_names, image, labels, shape, task, video_task, write_cvat
from .exports import declare, write_image

CAR = labels(["car"])
PERSON = labels(["person"], joints=["head", "knee"])
HERE, GONE = {"keyframe": 1, "outside": 0, "occluded": 0}, {"keyframe": 1, "outside": 1, "occluded": 0}


def read(folder) -> Reading:
    return read_cvat(open_export(folder, None))


def track(*shapes: str, number: int = 0, label: str = "car", **given: object) -> str:
    return element("track", "".join(shapes), id=number, label=label, source="manual", **given)


def place(frame: int, x: float, state: dict[str, int] = HERE, inner: str = "", **given: object) -> str:
    return box("", (x, 0, x + 10, 10), inner, frame=frame, **state, **given)


def by_frame(tmp_path, *tracks: str, n_frames: int = 6, labelled: str = CAR) -> dict[int, tuple[SourceObject, ...]]:
    content = cvat_xml(video_task(n_frames, labelled=labelled), *tracks)
    reading = read(write_cvat(tmp_path, content, frame_names(n_frames)))
    assert reading.problems == []
    return {record.frame or 0: record.objects for record in reading.records}


def xs(frames: dict[int, tuple[SourceObject, ...]]) -> dict[int, list[float]]:
    return {frame: [one.bbox_xywh_px[0] for one in objects if one.bbox_xywh_px] for frame, objects in frames.items()}


def test_the_video_example_of_cvats_documentation_comes_in_frame_by_frame(samples_dir, tmp_path):
    """Two tracks, a polygon and a skeleton, each seen on frames 0, 6 and 13 and gone on 1, 7 and 14."""
    text = (samples_dir / "annotation_exports/cvat_doc_examples/xml_format.md").read_text()
    (tmp_path / "annotations.xml").write_text(re.findall(r"```xml\n(.*?)```", text, flags=re.DOTALL)[-1])
    for frame in (0, 1, 3, 6, 7, 13, 14, 20):
        write_image(tmp_path / "images" / f"frame_{frame:06d}.png", (640, 480))
    reading = read(tmp_path)
    assert (reading.problems, reading.notes) == ([], [])
    assert reading.labels == ["person", "car", "s1"]
    assert {(one.clip, one.stated_size_px, one.source["task"]) for one in reading.records} == {
        ("interpolation", (640, 480), "interpolation")
    }  # fmt: skip
    seen = {one.frame: [item.label for item in one.objects] for one in reading.records}
    both = ["car", "s1"]
    assert seen == {0: both, 1: [], 3: [], 6: both, 7: [], 13: both, 14: [], 20: []}
    car, skeleton = reading.records[3].objects
    assert car.polygons_px == ((305.32, 237.9, 312.16, 207.9, 352.69, 206.32, 355.32, 233.16, 331.11, 254.74),)
    assert [(one.name, one.x_px, one.visibility) for one in skeleton.keypoints] == [
        ("1", 120.07, 2), ("2", 140.87, 2), ("3", 210.37, 2)
    ]  # fmt: skip
    assert (car.track_id, skeleton.track_id) == ("0", "1")


def test_a_box_moves_linearly_between_keyframes_until_it_is_outside(tmp_path):
    frames = by_frame(tmp_path, track(place(0, 0), place(3, 30), place(5, 50, GONE)))
    assert xs(frames) == {0: [0], 1: [10], 2: [20], 3: [30], 4: [40], 5: []}
    assert [objects[0].origin for objects in frames.values() if objects] == [
        "manual", "manual, interpolated", "manual, interpolated", "manual", "manual, interpolated"
    ]  # fmt: skip


def test_an_object_that_never_leaves_stays_until_the_last_frame(tmp_path):
    assert xs(by_frame(tmp_path, track(place(2, 7)))) == {0: [], 1: [], 2: [7], 3: [7], 4: [7], 5: [7]}


def test_an_object_that_comes_back_is_not_seen_in_between(tmp_path):
    frames = by_frame(tmp_path, track(place(0, 0), place(1, 10, GONE), place(4, 40), place(5, 50)))
    assert xs(frames) == {0: [0], 1: [], 2: [], 3: [], 4: [40], 5: [50]}


def test_an_export_with_every_frame_gives_the_same_as_one_with_keyframes(tmp_path):
    between = {"keyframe": 0, "outside": 0, "occluded": 0}
    all_frames = track(place(0, 0), place(1, 10, between), place(2, 20, between), place(3, 30), place(4, 30, GONE))
    keyframes = track(place(0, 0), place(3, 30), place(4, 30, GONE))
    assert by_frame(tmp_path / "all", all_frames) == by_frame(tmp_path / "keys", keyframes)


def test_attributes_and_occlusion_are_those_of_the_keyframe_before(tmp_path):
    first = place(0, 0, {"keyframe": 1, "outside": 0, "occluded": 1}, attribute("parked", "true"))
    frames = by_frame(tmp_path, track(first, place(2, 0, HERE, attribute("parked", "false")), group_id=4), n_frames=3)
    assert [objects[0].attributes for objects in frames.values()] == [
        {"parked": "true", "occluded": "true", "group_id": "4"},
        {"parked": "true", "occluded": "true", "group_id": "4"},
        {"parked": "false", "group_id": "4"},
    ]


def test_a_turned_box_turns_the_shorter_way_round(tmp_path):
    frames = by_frame(tmp_path, track(place(0, 20, rotation=350), place(2, 20, rotation=30)), n_frames=3)
    assert [objects[0].attributes["rotation"] for objects in frames.values()] == ["350", "10.00", "30"]


def test_polygons_move_where_their_points_agree_and_stay_where_not(tmp_path):
    polygons = [
        shape("polygon", "", "0,0;10,0;10,10", frame=0, **HERE), shape("polygon", "", "4,0;14,0;14,10", frame=2, **HERE),
        shape("polygon", "", "0,0;10,0;10,10;0,10", frame=4, **HERE),
        shape("polygon", "", "0,0;10,0;10,10;0,10", frame=5, **GONE),
    ]  # fmt: skip
    content = cvat_xml(video_task(6, labelled=CAR), track(*polygons))
    reading = read(write_cvat(tmp_path, content, frame_names(6)))
    assert xs({one.frame or 0: one.objects for one in reading.records}) == {0: [0], 1: [2], 2: [4], 3: [4], 4: [0], 5: []}
    assert reading.notes[0].startswith("annotations.xml: 2 polygons between keyframes were computed point by point")


def test_a_mask_stays_as_it_was_and_fits_the_frames_image(tmp_path):
    def mask(frame: int, left: int, state: dict[str, int]) -> str:
        return element("mask", frame=frame, rle="0, 4", left=left, top=0, width=2, height=2, **state)

    frames = by_frame(tmp_path, track(mask(0, 5, HERE), mask(2, 9, HERE), mask(3, 9, GONE)), n_frames=4)
    assert xs(frames) == {0: [5], 1: [5], 2: [9], 3: []}
    assert all(objects[0].rle is not None for frame, objects in frames.items() if frame < 3)


def test_a_skeleton_stays_together_though_its_points_have_keyframes_of_their_own(tmp_path):
    """CVAT 2 lists on each frame only the points that have a keyframe there."""

    def joint(name: str, x: float, state: dict[str, int] = HERE) -> str:
        return shape("points", name, f"{x},0", **state)

    skeletons = [
        element("skeleton", joint("head", 0) + joint("knee", 10), frame=0, keyframe=1),
        element("skeleton", joint("knee", 14), frame=2, keyframe=1),
        element("skeleton", joint("head", 8), frame=4, keyframe=1),
        element("skeleton", joint("head", 8, GONE) + joint("knee", 14, GONE), frame=5, keyframe=1),
    ]
    frames = by_frame(tmp_path, track(*skeletons, label="person"), labelled=PERSON)
    placed = {frame: [(point.name, point.x_px) for one in all_ for point in one.keypoints] for frame, all_ in frames.items()}
    assert placed == {
        0: [("head", 0), ("knee", 10)], 1: [("head", 2), ("knee", 12)], 2: [("head", 4), ("knee", 14)],
        3: [("head", 6), ("knee", 14)], 4: [("head", 8), ("knee", 14)], 5: [],
    }  # fmt: skip


def test_a_point_of_a_skeleton_that_leaves_the_picture_is_not_labelled(tmp_path):
    def skeleton(frame: int, knee: dict[str, int]) -> str:
        inner = shape("points", "head", "1,2", **HERE) + shape("points", "knee", "3,4", **knee)
        return element("skeleton", inner, frame=frame, keyframe=1)

    frames = by_frame(tmp_path, track(skeleton(0, HERE), skeleton(1, GONE), label="person"), labelled=PERSON, n_frames=2)
    assert frames[1][0].keypoints == (Keypoint("head", 1, 2, 2), Keypoint("knee", 0, 0, 0))
    assert frames[1][0].bbox_xywh_px == (1, 2, 0, 0)


def test_frames_of_a_task_that_was_cut_and_thinned_count_as_the_video_does(tmp_path):
    """Frames 10, 15, 20: start_frame 10, step 5; an image between them is no frame of the task."""
    meta = video_task(3, start_frame=10, stop_frame=20, frame_filter="step=5", labelled=CAR)
    content = cvat_xml(meta, track(place(10, 0), place(20, 20)))
    folder = write_cvat(tmp_path, content, [f"frame_{number:06d}.PNG" for number in (10, 12, 15, 20)])
    assert xs({one.frame or 0: one.objects for one in read(folder).records}) == {10: [0], 15: [10], 20: [20]}


def test_two_videos_of_one_project_keep_their_frames_and_tracks_apart(tmp_path):
    tasks = video_task(2, "drive", id=3) + video_task(2, "drive", id=4, subset="test")
    meta = element("project", element("name", "cars") + CAR + element("tasks", tasks))
    first = track(place(0, 1), number=0, task_id=3, subset="train")
    second = track(place(0, 2), number=1, task_id=4, subset="test")
    names = [f"{subset}/{name}" for subset in ("train", "test") for name in frame_names(2)]
    reading = read(write_cvat(tmp_path, cvat_xml(meta, first, second), names))
    assert reading.problems == []
    assert {one.sample_id: (one.split, one.frame, xs({0: one.objects})[0]) for one in reading.records} == {
        "train/frame_000000": ("train", 0, [1]), "train/frame_000001": ("train", 1, [1]),
        "test/frame_000000": ("test", 0, [2]), "test/frame_000001": ("test", 1, [2]),
    }  # fmt: skip


def test_labelled_frames_without_an_image_are_one_problem_with_their_number(tmp_path):
    content = cvat_xml(video_task(6, labelled=CAR), track(*(place(frame, 0) for frame in range(6))))
    reading = read(write_cvat(tmp_path, content, frame_names(2)))
    assert [one.frame for one in reading.records] == [0, 1]
    (problem,) = reading.problems
    assert (problem.sample_id, problem.rule) == ("drive", "image_exists")
    words = "4 labelled frames of the video 'drive' have no image: the first: 2, 3, 4, 5; add frame_000002"
    assert problem.reason.startswith(words)


def test_images_that_are_counted_from_one_are_refused(tmp_path):
    content = cvat_xml(video_task(3, labelled=CAR), track(place(0, 0)))
    reading = read(write_cvat(tmp_path, content, frame_names(3, first=1)))
    assert reading.records == []
    assert "they seem to be counted from 1, CVAT counts from 0" in reading.problems[0].reason


@pytest.mark.parametrize(("first", "n_read"), [(0, 3), (1, 0)])
def test_images_of_other_names_count_by_number_only_where_all_numbers_fit(tmp_path, first, n_read):
    content = cvat_xml(video_task(3, labelled=CAR), track(place(0, 0)))
    reading = read(write_cvat(tmp_path, content, [f"street-{number}.jpg" for number in range(first, first + 3)]))
    assert [one.sample_id for one in reading.records] == [f"street-{number}" for number in range(n_read)]
    assert bool(reading.problems) == (n_read == 0)


def test_without_a_head_labels_end_with_their_last_frame(tmp_path):
    content = f"<annotations><meta/>{track(place(0, 0), place(2, 20))}</annotations>"
    reading = read(write_cvat(tmp_path, content, frame_names(5)))
    assert xs({one.frame or 0: one.objects for one in reading.records}) == {0: [0], 1: [10], 2: [20]}


def test_a_job_of_a_video_says_that_its_group_is_the_job(tmp_path):
    meta = task(kind="job", size=2, mode="interpolation", labelled=CAR)
    reading = read(write_cvat(tmp_path, cvat_xml(meta, track(place(0, 0))), frame_names(2)))
    assert {one.clip for one in reading.records} == {"job-7"}
    assert "where several jobs are of one video" in reading.notes[0]


def test_a_video_without_any_track_is_frames_without_objects(tmp_path):
    assert by_frame(tmp_path, n_frames=2) == {0: (), 1: ()}


def test_a_broken_keyframe_spoils_the_frames_that_depend_on_it_and_no_others(tmp_path):
    broken = element("box", frame=3, xtl="?", ytl=0, xbr=1, ybr=1, **HERE)
    content = cvat_xml(video_task(8, labelled=CAR), track(place(0, 0), place(1, 10), broken, place(5, 50), place(6, 0, GONE)))
    reading = read(write_cvat(tmp_path, content, frame_names(8)))
    assert [one.frame for one in reading.records] == [0, 1, 5, 6, 7]
    assert [one.sample_id for one in reading.problems] == ["frame_000002", "frame_000003", "frame_000004"]
    assert {one.rule for one in reading.problems} == {"box_is_readable"}


def test_two_shapes_of_one_track_on_one_frame_are_a_problem(tmp_path):
    content = cvat_xml(video_task(2, labelled=CAR), track(place(0, 0), place(0, 9), place(1, 0, GONE)))
    reading = read(write_cvat(tmp_path, content, frame_names(2)))
    assert "track 0 has two shapes 'car' on frame 0" in reading.problems[0].reason
    assert [one.frame for one in reading.records] == [1]


def test_a_skeleton_with_a_broken_point_is_a_problem_of_all_its_frames(tmp_path):
    def skeleton(frame: int, points: str) -> str:
        return element("skeleton", shape("points", "head", points, **HERE), frame=frame, keyframe=1)

    content = cvat_xml(video_task(4, labelled=PERSON), track(skeleton(1, "1,1"), skeleton(2, "1"), label="person"))
    reading = read(write_cvat(tmp_path, content, frame_names(4)))
    assert [one.frame for one in reading.records] == [0]
    assert [one.sample_id for one in reading.problems] == ["frame_000001", "frame_000002", "frame_000003"]


def test_polylines_of_tracks_are_counted(tmp_path):
    line = shape("polyline", "", "1,1;2,2", frame=0, **HERE)
    content = cvat_xml(video_task(1, labelled=CAR), track(line, line), track(line, number=1))
    reading = read(write_cvat(tmp_path, content, frame_names(1)))
    assert reading.notes[0].startswith("annotations.xml: 2 polyline tracks not read")


def test_a_frame_number_beyond_all_bounds_costs_nothing(tmp_path):
    content = cvat_xml(video_task(2, stop_frame=900_000_000, labelled=CAR), track(place(0, 0), place(899_999_999, 0)))
    reading = read(write_cvat(tmp_path, content, frame_names(2)))
    assert [len(one.objects) for one in reading.records] == [1, 1]
    assert "1 labelled frames" in reading.problems[0].reason


def test_images_and_tracks_in_one_file_are_both_read(tmp_path):
    content = cvat_xml(video_task(1, labelled=CAR), image(0, "a.png", box("car", (1, 1, 2, 2))), track(place(0, 0)))
    reading = read(write_cvat(tmp_path, content, ["a.png", *frame_names(1)]))
    assert [one.sample_id for one in reading.records] == ["a", "frame_000000"]


def test_a_video_is_recognised_and_its_frames_are_one_group(tmp_path):
    content = cvat_xml(video_task(3, labelled=CAR), track(place(0, 0), place(2, 20)))
    result = import_export(write_cvat(tmp_path, content, frame_names(3)), None, declare())
    assert (result.format, result.problems) == ("cvat", [])
    assert {(item.sample.group, item.sample.annotations[0].track_id) for item in result.samples} == {("drive", "0")}
    assert [item.sample.frame for item in result.samples] == [0, 1, 2]
    assert len({item.sample.split for item in result.samples}) == 1
