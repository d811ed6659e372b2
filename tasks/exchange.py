"""What goes to annotation tools and other programs: exports of versions, and raw frames, as tasks."""

from prefect import get_run_logger

from lakegate.formats.exporting import ExportSummary
from lakegate.lake.client import LakeClient
from lakegate.lifecycle.export_data import DataExport, ExportRequest
from lakegate.lifecycle.raw_frames import FramesPublication, FramesRequest, FramesSummary
from tasks.artifacts import artifact_key, show_text
from tasks.running import settings_for, step


def open_export(words: tuple[str, str, str, str, str, str, str], requested_by: str) -> DataExport:
    """Check the words of the form before anything is read."""
    settings = settings_for(requested_by)
    request = ExportRequest.from_words(settings, *words)
    return DataExport(LakeClient(settings), settings, request, get_run_logger().info)


@step
def read_samples(export: DataExport) -> None:
    """Open the version and keep what the query asks for."""
    export.read_samples()


@step
def add_predictions(export: DataExport) -> None:
    """Add the predictions of a model, where one was named."""
    export.predict()


@step
def write_export(export: DataExport) -> ExportSummary:
    """Write the export aside and rename it."""
    return export.write()


def show_export(export: DataExport, summary: ExportSummary) -> str:
    """Leave what was written, and what the format could not hold, on the run; return where it lies."""
    request = export.request
    lines = [f"### {request.dataset}@{request.ref} as {request.format}", ""]
    lines += [f"{summary.n_samples} images and {summary.n_objects} objects in `{request.into}`.", ""]
    lines += [f"- {note}" for note in summary.notes]
    show_text(artifact_key("export", request.dataset), "\n".join(lines) + "\n")
    return request.into


def open_frames(dataset: str, source: str, branch: str, message: str, requested_by: str) -> FramesPublication:
    """Check the words of the form before anything is read."""
    settings = settings_for(requested_by)
    request = FramesRequest.from_words(settings, dataset, source, branch, message)
    return FramesPublication(LakeClient(settings), settings, request, get_run_logger().info)


@step
def read_frames(frames: FramesPublication) -> None:
    """Find the images and decode each one."""
    frames.read_frames()


@step
def write_frames(frames: FramesPublication) -> FramesSummary:
    """Send what the branch does not hold yet and commit it."""
    return frames.write_branch()


def show_frames(frames: FramesPublication, summary: FramesSummary) -> str:
    """Leave the summary on the run; return the name of the branch."""
    dataset = frames.request.declaration.name
    lines = [f"### {dataset}", "", summary.sentence, "", *(f"- {line}" for line in summary.left_out[:20])]
    show_text(artifact_key("frames", dataset), "\n".join(lines) + "\n")
    get_run_logger().info(summary.sentence)
    return summary.branch
