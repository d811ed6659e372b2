"""CVAT for video 1.1: a file is sorted by track, samples are frames; here tracks become frames."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lakegate.errors import BadImage
from lakegate.formats.cvat_images import FrameImages, ImageFinder, LabelFile
from lakegate.formats.cvat_shapes import CvatShape, object_of
from lakegate.formats.cvat_tracks import Span, frames_of
from lakegate.formats.cvat_xml import CvatTask, CvatTrack
from lakegate.formats.export_files import ExportFiles
from lakegate.formats.frame_store import FrameItem, FrameStore
from lakegate.formats.reading import Reading, SourceObject, SourceRecord
from lakegate.formats.shapes import MAX_FRAME
from lakegate.formats.unreadable import UnreadableShape


@dataclass
class _Video:
    key: str
    task: CvatTask
    subset: str
    clip: str
    images: FrameImages
    span: Span
    last_frame: int = -1  # that has a label


@dataclass
class VideoReading:
    """Takes the tracks of one label file one by one; at the end each frame that has an image becomes a record."""

    export: ExportFiles
    finder: ImageFinder
    file: LabelFile
    store: FrameStore
    unread: Counter[str] = field(default_factory=Counter)
    n_estimated: int = 0
    _videos: dict[str, _Video] = field(default_factory=dict)

    def add(self, track: CvatTrack) -> None:
        """Put the track's objects on their frames."""
        self.unread.update(track.unread)
        video = self._open(self.file.meta.task(track.task_id), track.subset)
        joint_names = self.file.meta.joint_names.get(track.label, ())
        for shape in frames_of(track.shapes, video.span):
            video.last_frame = max(video.last_frame, shape.frame)
            sample_id = video.images.by_frame.get(shape.frame)
            if sample_id is None:
                self.store.add_missing(video.key, shape.frame)
                continue
            self.n_estimated += shape.is_estimated
            self.store.add(video.key, shape.frame, self._item(shape, sample_id, joint_names))

    def finish(self, reading: Reading, *, only_tracks: bool) -> None:
        """Add the records and problems of all videos.

        ``only_tracks``: the file has no ``<image>``, so all frames of its videos were labelled, those without a track too.
        """
        for task in self.file.meta.tasks if only_tracks else ():
            if task.is_video:
                self._open(task, "")
        for video in self._videos.values():
            self._report(reading, video)
            for frame, items in self._frames(video):
                self._add_record(reading, video, frame, items)

    def _open(self, task: CvatTask, subset: str) -> _Video:
        key = task.id or task.name
        if key not in self._videos:
            subset = subset or task.subset
            images = self.finder.frames(task, self.file.relative, subset)
            expected = task.frames if task.stop is not None else range(task.start, MAX_FRAME, task.step)
            frames = [frame for frame in sorted(images.by_frame) if frame in expected]
            clip = task.clip or self.file.path.stem
            self._videos[key] = _Video(key, task, subset, clip, images, Span(frames, task.stop))
        return self._videos[key]

    def _item(self, shape: CvatShape, sample_id: str, joint_names: Sequence[str]) -> FrameItem:
        try:
            return object_of(shape, self.export.size_px(self.export.by_id[sample_id][0]), joint_names)
        except UnreadableShape as problem:
            return problem
        except BadImage as error:
            return UnreadableShape("image_is_whole", str(error))

    def _frames(self, video: _Video) -> Iterator[tuple[int, list[FrameItem]]]:
        """Yield the frames that become samples: the labelled ones, and between them those on which nothing is seen."""
        last = video.last_frame if video.span.stop is None else video.span.stop
        empty = iter([frame for frame in video.span.frames if frame <= last])
        waiting = next(empty, None)
        for frame, items in self.store.frames(video.key):
            while waiting is not None and waiting <= frame:
                if waiting < frame:
                    yield waiting, []
                waiting = next(empty, None)
            yield frame, items
        while waiting is not None:
            yield waiting, []
            waiting = next(empty, None)

    def _report(self, reading: Reading, video: _Video) -> None:
        number, first = self.store.missing(video.key)
        if number:
            frames = f"{number} labelled frames of the video '{video.clip}' have no image"
            where = video.images.reason or f"the first: {', '.join(map(str, first))}; add frame_{first[0]:06d} and so on"
            reading.problem(video.clip, self.file.relative, "image_exists", f"{frames}: {where}")
        elif not video.images.by_frame:
            reading.notes.append(f"{self.file.relative}: no images of the video '{video.clip}': {video.images.reason}")
        if video.task.is_job:
            reading.notes.append(
                f"{self.file.relative}: its frames are the group '{video.clip}', the job's number; where several jobs are of "
                "one video, export the task or give [split] group, or else frames of one video come into two splits"
            )

    def _add_record(self, reading: Reading, video: _Video, frame: int, items: list[FrameItem]) -> None:
        sample_id = video.images.by_frame[frame]
        problems = {(item.rule, str(item)) for item in items if isinstance(item, UnreadableShape)}
        image = self.export.by_id[sample_id][0]
        try:
            size_px = self.export.size_px(image)
        except BadImage as error:
            problems.add(("image_is_whole", str(error)))
        for rule, reason in sorted(problems):
            reading.problem(sample_id, self.file.relative, rule, f"frame {frame}: {reason}")
        if problems:
            return
        reading.records.append(
            SourceRecord(
                sample_id,
                self.file.relative,
                self.file.path,
                image,
                size_px,
                tuple(item for item in items if isinstance(item, SourceObject)),
                video.task.size_px,
                self.file.split_of(video.subset, sample_id),
                self.file.tags_of(video.subset),
                self.file.source_of(video.task),
                clip=video.clip,
                frame=frame,
            )
        )
