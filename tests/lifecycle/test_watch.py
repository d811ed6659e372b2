"""A release in production and the frames that serving kept: read, judged, and left as evidence and as a page."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lakegate.canonical import sha256_file
from lakegate.errors import BadInput, RegistryError
from lakegate.imaging import ByteArray, read_image
from lakegate.lifecycle import comparison, export_run, release, training_run
from lakegate.lifecycle.watch import WatchReport, newest_report, plan_watch, watch, watched_models
from lakegate.monitoring.frames import Window, frames_dir
from lakegate.registry import releases
from lakegate.registry.documents import Release
from lakegate.registry.loading import load
from lakegate.registry.store import EVIDENCE, REPOSITORY
from lakegate.settings import Settings
from tests.lifecycle.conftest import Workshop
from tests.squares import declare_model, write_squares

pytestmark = pytest.mark.services
NOW = datetime(2026, 3, 8, 12, tzinfo=UTC)


def quiet(_line: str) -> None:
    """Swallow progress lines."""


def release_model(workshop: Workshop, model: str) -> Release:
    """Train on a version of 110 squares (some 33 of them held out) and put the run into production."""
    client, settings = workshop.client, workshop.settings
    workshop.publish(write_squares(workshop.folder / "one", range(110)), "v1")
    declare_model(workshop.checkout, model, [workshop.dataset], '"map.all.min" = 0.0', epochs=2)
    plan = release.plan_release(client, settings, model, f"{workshop.dataset}@v1", None)
    training_run.fit_run(client, settings, plan.training, "", quiet)
    training_run.commit(client, settings, plan.training)
    export_run.export(client, settings, model, plan.training.run_id, quiet)
    comparison.judge(client, settings, release.plan_comparison(client, settings, plan), quiet)
    request = release.propose(client, settings, plan)
    workshop.decides(request)
    release.finish(client, request)
    return releases.read_release(client, model, 1)


def serve(settings: Settings, released: Release, images: list[Path], end: datetime) -> Path:
    """Leave what the serving side leaves: the image of each request and what the released model finds in it."""
    folder = frames_dir(settings, "production", released.model, released.number)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    detector = load(released.model, settings=settings)
    for number, path in enumerate(images):
        at = end - timedelta(minutes=len(images) - number)
        stem = f"{at:%Y%m%dT%H%M%S}-{sha256_file(path)[:12]}"
        objects = [vars(item) for item in detector.predict(path)]
        shutil.copyfile(path, folder / f"{stem}.jpg")
        content = {"release": released.number, "run_id": released.run.run_id, "at": at.isoformat(), "objects": objects}
        (folder / f"{stem}.json").write_text(json.dumps(content | {"image": f"{stem}.jpg"}))
    return folder


def darkened(images: list[Path], folder: Path) -> list[Path]:
    """Write the images as a camera with half the light would."""
    folder.mkdir()
    half: Callable[[ByteArray], ByteArray] = lambda pixels: (pixels // 2).astype(np.uint8)  # noqa: E731
    for path in images:
        Image.fromarray(half(read_image(path))).save(folder / path.name, quality=95)
    return [folder / path.name for path in images]


class Watched:
    """A workshop whose model is in production, and requests that it answered."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop, self.settings, self.client = workshop, workshop.settings, workshop.client
        self.model = f"watched-{workshop.dataset[-8:]}"
        self.released = release_model(workshop, self.model)
        self.trained = sorted((workshop.folder / "one" / "JPEGImages").glob("*.jpg"))
        self.new = sorted((write_squares(workshop.folder / "new", range(500, 540)) / "JPEGImages").glob("*.jpg"))

    def watch(self, images: list[Path]) -> WatchReport:
        serve(self.settings, self.released, images, NOW)
        return watch(self.client, self.settings, plan_watch(self.client, self.model, Window.last_days(7, NOW)))


@pytest.fixture(scope="module")
def watched(lakefs_stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    return Watched(Workshop(tmp_path_factory.mktemp("watched"), lakefs_stack))


def test_new_images_of_the_same_kind_are_no_drift_and_leave_page_and_evidence(watched: Watched) -> None:
    report = watched.watch([*watched.new, *watched.trained])
    facts = report.facts
    assert (facts.outcome, facts.release, facts.run_id) == ("no drift", 1, watched.released.run.run_id), facts.sentence
    held_out = 150 - 40 - facts.n_trained_on
    assert 70 < facts.n_trained_on < 90 and facts.n_frames == 40 + held_out
    assert facts.versions == (f"{watched.workshop.dataset}@v1",) and facts.n_predicted == held_out
    assert [item.name for item in facts.columns][-2:] == ["objects: bright", "objects: dark"]

    stored = watched.client.read(REPOSITORY, EVIDENCE, f"{facts.evidence}.json")
    assert stored == facts.to_bytes()
    assert watched.client.read(REPOSITORY, EVIDENCE, f"{facts.evidence}.html") == report.page.path.read_bytes()
    evidently = report.page.path.with_name(f"{report.page.path.stem}-evidently.html")
    assert evidently.stat().st_size > 1_000_000 and evidently.name in report.page.path.read_text()
    assert newest_report(watched.client, watched.settings, watched.model) == report


def test_darker_images_are_drift_and_the_page_says_of_what(watched: Watched, tmp_path: Path) -> None:
    report = watched.watch(darkened(watched.new, tmp_path / "dark"))
    assert report.facts.outcome == "drift"
    flagged = {item.name for item in report.facts.columns if item.outcome == "drift"}
    assert "brightness" in flagged and "width_px" not in flagged
    assert report.facts.sentence in report.page.path.read_text()


def test_few_frames_and_damaged_ones_are_said_and_judge_nothing(watched: Watched) -> None:
    serve(watched.settings, watched.released, watched.new[:12], NOW)
    folder = frames_dir(watched.settings, "production", watched.model, 1)
    sidecar, image = sorted(folder.glob("*.json"))[0], sorted(folder.glob("*.jpg"))[1]
    sidecar.write_text('{"release": 1')
    image.write_bytes(image.read_bytes()[:300])
    report = watch(watched.client, watched.settings, plan_watch(watched.client, watched.model, Window.last_days(7, NOW)))
    assert (report.facts.outcome, report.facts.n_frames) == ("not enough data", 10)
    assert set(report.facts.unusable) == {sidecar.name, image.name}
    page = report.page.path.read_text()
    assert "10 usable frames are too few" in page and sidecar.name in page


def test_only_what_is_in_production_is_watched(watched: Watched) -> None:
    assert watched_models(watched.client, ["absent", watched.model]) == [watched.model]
    with pytest.raises(RegistryError, match="no release in production"):
        plan_watch(watched.client, "absent", Window.last_days(7, NOW))
    with pytest.raises(RegistryError, match="was not watched yet"):
        newest_report(watched.client, watched.settings, "absent")
    with pytest.raises(BadInput, match="more than 0 days"):
        plan_watch(watched.client, watched.model, Window.last_days(0, NOW))
