"""A CVAT track on every frame: newer exports state its keyframes only, older ones every frame.

Between two keyframes CVAT moves boxes, ellipses and each point of a skeleton linearly, and so does this; points without a
skeleton and masks stay as they were. Polygons move linearly where both keyframes have the same number of points; CVAT itself
matches their outlines, so such frames may differ by some pixels and are counted. After its last keyframe an object stays
until the end of the task, unless that keyframe says ``outside``.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lakegate.formats.cvat_shapes import CvatShape, Joint
from lakegate.formats.unreadable import UnreadableShape

LINEAR = frozenset({"box", "ellipse"})


@dataclass(frozen=True)
class Span:
    """The frames of a video to which labels may belong.

    ``frames`` ascend and have an image each; ``stop`` is the video's last frame; None: only stated frames count.
    """

    frames: Sequence[int]
    stop: int | None

    def between(self, before: int, after: int) -> Sequence[int]:
        """Return the frames with an image that lie between two frames, both excluded."""
        return self.frames[bisect_right(self.frames, before) : bisect_left(self.frames, after)]


def frames_of(shapes: Sequence[CvatShape], span: Span) -> Iterator[CvatShape]:
    """Yield the shape on each frame on which it is in the picture, stated or filled in; filled ones are no keyframes.

    A frame that cannot be known, since a keyframe beside it is unreadable or stands twice, gets a shape with a ``problem``.
    """
    stated = _once(sorted(shapes, key=lambda shape: shape.frame))
    if any(shape.kind == "skeleton" and shape.problem is None for shape in stated):
        yield from _skeletons(stated, span)
        return
    for index, shape in enumerate(stated):
        if shape.problem is not None or not shape.is_outside:
            yield shape
        following = stated[index + 1] if index + 1 < len(stated) else None
        yield from _filled(shape, following, span)


def _once(shapes: Sequence[CvatShape]) -> list[CvatShape]:
    kept: list[CvatShape] = []
    for shape in shapes:
        if kept and kept[-1].frame == shape.frame:
            reason = f"track {shape.track_id} has two shapes '{shape.label}' on frame {shape.frame}; expected one"
            kept[-1] = replace(kept[-1], problem=kept[-1].problem or UnreadableShape("shape_is_readable", reason))
        else:
            kept.append(shape)
    return kept


def _filled(shape: CvatShape, following: CvatShape | None, span: Span) -> Iterator[CvatShape]:
    """Yield the shape on the frames after it and before ``following``."""
    if shape.problem is None and shape.is_outside:
        return
    if following is None and span.stop is None:
        return
    end = following.frame if following is not None else (span.stop or 0) + 1
    problem = shape.problem or (following.problem if following is not None else None)
    for frame in span.between(shape.frame, end):
        if problem is not None:
            reason = f"'{shape.label}' is not known on frame {frame}, since a keyframe beside it is unreadable: {problem}"
            yield replace(shape, frame=frame, problem=UnreadableShape(problem.rule, reason))
        elif following is None:
            yield replace(shape, frame=frame, is_keyframe=False)
        else:
            yield _between(shape, following, frame)


def _between(before: CvatShape, after: CvatShape, frame: int) -> CvatShape:
    share = (frame - before.frame) / (after.frame - before.frame)
    is_estimated = before.kind == "polygon" and before.numbers != after.numbers
    before = replace(before, frame=frame, is_keyframe=False, is_estimated=is_estimated)
    if not moves(before, after):
        return before
    numbers = tuple(old + (new - old) * share for old, new in zip(before.numbers, after.numbers, strict=True))
    turn_deg = (after.rotation_deg - before.rotation_deg + 180) % 360 - 180  # the shorter way round
    rotation_deg = (before.rotation_deg + turn_deg * share) % 360
    attributes = dict(before.attributes)
    attributes.pop("rotation", None)
    if rotation_deg:
        attributes["rotation"] = f"{rotation_deg:.2f}"
    return replace(before, numbers=numbers, rotation_deg=rotation_deg, attributes=attributes)


def moves(before: CvatShape, after: CvatShape) -> bool:
    """Tell whether the frames between two keyframes are computed; otherwise the first one stands on them."""
    if before.kind != after.kind:
        return False
    one_point = before.kind == "points" and len(before.numbers) == len(after.numbers) == 2
    same_polygon = before.kind == "polygon" and len(before.numbers) == len(after.numbers)
    return before.kind in LINEAR or one_point or same_polygon


def _skeletons(stated: Sequence[CvatShape], span: Span) -> Iterator[CvatShape]:
    """Yield the whole skeleton on each frame: its points have keyframes of their own, and a frame may state only some."""
    if (broken := next((shape for shape in stated if shape.problem or shape.kind != "skeleton"), None)) is not None:
        reason = broken.problem or "it is a skeleton on some frames only"
        for frame in sorted({*(shape.frame for shape in stated), *span.between(stated[0].frame, (span.stop or 0) + 1)}):
            words = f"a frame of the skeleton track {stated[0].track_id} is unreadable: {reason}"
            yield replace(stated[0], frame=frame, problem=UnreadableShape("shape_is_readable", words))
        return
    places: dict[str, list[tuple[int, Joint]]] = {}
    for shape in stated:
        for joint in shape.joints:
            places.setdefault(joint.name, []).append((shape.frame, joint))
    last = stated[-1].frame
    end = last if span.stop is None else max(last, span.stop)
    frames = sorted({*(shape.frame for shape in stated), *span.between(stated[0].frame, end + 1)})
    position = 0
    for frame in frames:
        while position + 1 < len(stated) and stated[position + 1].frame <= frame:
            position += 1
        joints = tuple(placed for line in places.values() if (placed := _joint_on(line, frame)) is not None)
        if any(not joint.is_outside for joint in joints):
            is_stated = stated[position].frame == frame
            is_keyframe = is_stated and stated[position].is_keyframe
            seen = replace(stated[position], frame=frame, joints=joints, is_outside=False)
            yield replace(seen, is_keyframe=is_keyframe)


def _joint_on(line: Sequence[tuple[int, Joint]], frame: int) -> Joint | None:
    """Return one point of a skeleton on a frame; None before it is first stated."""
    index = bisect_right(line, frame, key=lambda item: item[0])
    if index == 0:
        return None
    at, before = line[index - 1]
    if at == frame or before.is_outside or index == len(line):
        return before
    until, following = line[index]
    share = (frame - at) / (until - at)
    return replace(
        before,
        x_px=before.x_px + (following.x_px - before.x_px) * share,
        y_px=before.y_px + (following.y_px - before.y_px) * share,
    )
