"""Kept frames as the serving side leaves them, also half written, damaged, and of another release."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lakegate.monitoring.frames import KeptFrames, Window, read_frames

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WEEK = Window.last_days(7, NOON)


def keep(folder: Path, number: int, hours_ago: float = 1, pixels: bytes = b"", **changes: Any) -> str:
    """Write what serving writes for one request; return the name of the sidecar."""
    at = NOON - timedelta(hours=hours_ago)
    stem = f"{at:%Y%m%dT%H%M%S}-{number:012x}"
    (folder / f"{stem}.jpg").write_bytes(pixels or f"image {number}".encode())
    objects = [{"label": "cell", "score": 0.9, "box_xyxy_px": [1, 2, 30, 40]}]
    content = {"release": 2, "run_id": "abc", "at": at.isoformat(), "image": f"{stem}.jpg", "objects": objects}
    (folder / f"{stem}.json").write_text(json.dumps(content | changes))
    return f"{stem}.json"


def read(folder: Path, window: Window = WEEK) -> KeptFrames:
    return read_frames(folder, 2, "abc", window)


def test_frames_of_the_window_come_by_time_with_what_was_found(tmp_path: Path) -> None:
    for number, hours in enumerate((30, 2, 8 * 24, -1)):
        keep(tmp_path, number, hours)
    kept = read(tmp_path)
    assert [frame.at for frame in kept.frames] == [NOON - timedelta(hours=30), NOON - timedelta(hours=2)]
    assert kept.frames[0].objects[0].label == "cell"
    assert kept.frames[0].path.read_bytes() == b"image 0"
    assert (kept.n_in_window, kept.unusable) == (2, {})


def test_a_folder_that_serving_never_wrote_holds_no_frame(tmp_path: Path) -> None:
    assert read(tmp_path / "absent") == KeptFrames(())


def test_an_image_that_is_still_being_written_is_not_looked_at(tmp_path: Path) -> None:
    keep(tmp_path, 1)
    (tmp_path / "20260301T110000-00000000000a.jpg").write_bytes(b"no sidecar yet")
    (tmp_path / ".20260301T110000-00000000000b.json.77").write_text('{"rele')
    assert (len(read(tmp_path).frames), read(tmp_path).unusable) == (1, {})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"release": 1}, "release 1.*expected release 2"),
        ({"run_id": "other"}, "run other; expected release 2, run abc"),
        ({"at": "2026-03-01T10:00:00"}, "'at': .*timezone"),
        ({"image": "../../secrets/lakefs.json"}, "'image': .*same folder"),
        ({"image": "gone.jpg"}, "'gone.jpg' cannot be read"),
        ({"objects": [{"label": "cell", "score": 7, "box_xyxy_px": [1, 2, 3, 4]}]}, "'objects.0.score'"),
        ({"objects": None}, "'objects'"),
    ],
)
def test_a_frame_that_cannot_be_used_is_named_with_its_reason(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    keep(tmp_path, 1)
    bad = keep(tmp_path, 2, **changes)
    kept = read(tmp_path)
    assert len(kept.frames) == 1
    assert list(kept.unusable) == [bad]
    assert re.search(reason, kept.unusable[bad])


def test_a_truncated_sidecar_is_reported_and_not_fatal(tmp_path: Path) -> None:
    keep(tmp_path, 1)
    cut = tmp_path / keep(tmp_path, 2)
    cut.write_bytes(cut.read_bytes()[:40])
    binary = tmp_path / keep(tmp_path, 3)
    binary.write_bytes(b"\xff\xfe\x00")
    kept = read(tmp_path)
    assert len(kept.frames) == 1 and set(kept.unusable) == {cut.name, binary.name}
    assert all("not JSON" in reason for reason in kept.unusable.values())


def test_the_same_image_counts_once(tmp_path: Path) -> None:
    for number, hours in enumerate((3, 2, 1)):
        keep(tmp_path, number, hours, pixels=b"the same camera, frozen")
    kept = read(tmp_path)
    assert (len(kept.frames), kept.n_repeated, kept.n_in_window) == (1, 2, 3)
    assert kept.frames[0].at == NOON - timedelta(hours=3)


def test_more_frames_than_wanted_are_drawn_evenly_over_the_window(tmp_path: Path) -> None:
    for hours in range(100):
        keep(tmp_path, hours, hours)
    kept = read(tmp_path, Window.last_days(7, NOON, max_frames=10))
    ages_h = [(NOON - frame.at).total_seconds() / 3600 for frame in kept.frames]
    assert ages_h == [90, 80, 70, 60, 50, 40, 30, 20, 10, 0]
    assert kept.n_in_window == 100
