"""Exports of versions, queries and raw frames from the real lakeFS, with a model's predictions as pre-annotations."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from lakegate.errors import BadInput, RegistryError, Unattested, UnknownLabel, ValidationFailed
from lakegate.formats.importing import import_export
from lakegate.lake.diff import diff_versions
from lakegate.lake.local import open_version
from lakegate.lake.versions import pin
from lakegate.lifecycle import export_run, training_run
from lakegate.lifecycle.export_data import DataExport, ExportRequest
from lakegate.lifecycle.process_folder import UNPACKED
from lakegate.lifecycle.raw_frames import FramesPublication, FramesRequest, FramesSummary
from lakegate.samples import Sample
from tests.conftest import CHECKOUT
from tests.lifecycle.conftest import Workshop
from tests.object_store import with_bucket
from tests.squares import declare_model, write_squares

pytestmark = pytest.mark.services
PUBLISH_FRAMES = """
import sys
from pathlib import Path
from lakegate.lake.client import LakeClient
from lakegate.lifecycle.raw_frames import FramesPublication, FramesRequest
from lakegate.settings import Settings
settings = Settings.load()
request = FramesRequest.from_words(settings, *sys.argv[1:])
frames = FramesPublication(LakeClient(settings), settings, request, print)
frames.read_frames()
frames.write_branch()
"""


def export(workshop: Workshop, ref: str, known: str, into: Path | str, **words: str) -> DataExport:
    request = ExportRequest.from_words(workshop.settings, workshop.dataset, ref, known, str(into), **words)
    one = DataExport(workshop.client, workshop.settings, request, workshop.lines.append)
    one.read_samples()
    one.predict()
    one.write()
    return one


def frames(workshop: Workshop, source: Path | str, branch: str) -> FramesSummary:
    request = FramesRequest.from_words(workshop.settings, workshop.dataset, str(source), branch)
    one = FramesPublication(workshop.client, workshop.settings, request, workshop.lines.append)
    one.read_frames()
    return one.write_branch()


def canonical(sample: Sample) -> dict[str, object]:
    content: dict[str, object] = json.loads(sample.to_json())
    return {key: value for key, value in content.items() if key != "source"}


@pytest.mark.parametrize("known", ["coco", "yolo", "cvat"])
def test_a_version_that_is_exported_and_imported_again_is_the_same_but_for_its_source(workshop: Workshop, known: str) -> None:
    workshop.publish(write_squares(workshop.folder / "one", range(5)), "v1")
    export(workshop, "v1", known, workshop.folder / "out")

    version = open_version(workshop.client, workshop.settings, pin(workshop.client, f"{workshop.dataset}@v1"))
    came = import_export(workshop.folder / "out", None, version.declaration)
    assert came.problems == []
    assert [canonical(item.sample) for item in came.samples] == [canonical(sample) for sample in version.samples]
    assert [item.image.read_bytes() for item in came.samples] == [
        version.images[sample.id].path.read_bytes() for sample in version.samples
    ]
    assert workshop.lines[-1].startswith(f"5 images and 10 objects in {known} format")


def test_a_query_and_a_split_choose_what_is_exported_and_nothing_is_refused(workshop: Workshop) -> None:
    workshop.publish(write_squares(workshop.folder / "one", range(12), unfinished=[2, 3]), "v1")
    export(workshop, "v1", "coco", workshop.folder / "bright", where='count("dark") == 0')
    assert sorted(path.stem for path in (workshop.folder / "bright" / "images").iterdir()) == ["square-2", "square-3"]
    export(workshop, "v1", "yolo", workshop.folder / "test", split="test")
    assert not (workshop.folder / "test" / "train.txt").exists()
    with pytest.raises(BadInput, match="keep no sample"):
        export(workshop, "v1", "coco", workshop.folder / "none", where="objects > 100")
    with pytest.raises(UnknownLabel, match="did you mean 'dark'"):
        export(workshop, "v1", "coco", workshop.folder / "none", where='"darker" in labels')
    with pytest.raises(BadInput, match="not an empty folder"):
        export(workshop, "v1", "coco", workshop.folder / "bright")
    assert not (workshop.folder / "none").exists()


def test_what_is_not_attested_is_not_exported(workshop: Workshop) -> None:
    publication = workshop.open(write_squares(workshop.folder / "one", range(4)), "v1")
    for step in ("read_export", "screen", "write"):
        getattr(publication, step)()
    (branch,) = workshop.client.branches(workshop.dataset, "version-")
    with pytest.raises(Unattested):
        export(workshop, branch, "coco", workshop.folder / "out")
    assert not (workshop.folder / "out").exists()


def test_an_export_goes_below_an_empty_prefix_of_s3_and_nowhere_else(workshop: Workshop) -> None:
    workshop.publish(write_squares(workshop.folder / "one", range(3)), "v1")
    workshop.settings = with_bucket(workshop.settings)
    into = f"{workshop.settings.results_store}/out"
    export(workshop, "v1", "yolo", into)
    with pytest.raises(BadInput, match="holds files already"):
        export(workshop, "v1", "yolo", into)
    workshop.publish(Path(), "v2", address=into)
    one, two = (pin(workshop.client, f"{workshop.dataset}@{tag}") for tag in ("v1", "v2"))
    sides = [open_version(workshop.client, workshop.settings, side) for side in (one, two)]
    assert diff_versions(*sides).to_json()["objects"] == {"added": 0, "removed": 0, "moved": 0, "reclassified": 0}
    assert len(sides[1].samples) == 3
    assert [path for path in (workshop.settings.home / UNPACKED).iterdir() if not path.name.startswith(".")] == []


def test_frames_are_sent_once_and_go_out_for_annotation_without_labels(workshop: Workshop) -> None:
    source = write_squares(workshop.folder / "one", range(6)) / "JPEGImages"
    first, again = frames(workshop, source, "may"), frames(workshop, source, "annotate-may")
    assert (first.n_frames, first.n_sent, again.n_frames, again.n_sent) == (6, 6, 6, 0)
    assert again.commit == first.commit
    listed = workshop.client.list_objects(workshop.dataset, "annotate-may")
    assert [entry.path for entry in listed] == [f"images/square-{number}.jpg" for number in range(6)]

    export(workshop, "annotate-may", "cvat", workshop.folder / "out")
    images = ElementTree.parse(workshop.folder / "out" / "annotations.xml").getroot().findall("image")
    assert [image.attrib for image in images] == [
        {"id": str(number), "name": f"square-{number}.jpg", "width": "96", "height": "96"} for number in range(6)
    ]
    assert [list(image) for image in images] == [[]] * 6
    with pytest.raises(BadInput, match="another image of the name 'square-0'"):
        frames(workshop, write_squares(workshop.folder / "other", [0], seed=1) / "JPEGImages", "may")


def test_files_that_are_no_frames_are_refused_or_left_out_by_name(workshop: Workshop) -> None:
    source = write_squares(workshop.folder / "one", range(3)) / "JPEGImages"
    (source / "cut.jpg").write_bytes((source / "square-0.jpg").read_bytes()[:300])
    (source / "notes.heic").write_bytes(b"x")
    with pytest.raises(ValidationFailed, match=r"cut\.jpg: not a whole image.*Nothing was sent"):
        frames(workshop, source, "may")
    workshop.declare(workshop.dataset, "quarantine")
    summary = frames(workshop, source, "may")
    assert summary.n_frames == 3 and summary.left_out[0].startswith("cut.jpg: not a whole image")
    assert "1 files that are no images were not read: 1 .heic" in workshop.lines


def test_what_a_version_would_not_take_is_no_frame_either(workshop: Workshop) -> None:
    source = write_squares(workshop.folder / "one", range(2)) / "JPEGImages"
    pictures = [Image.new("RGB", (40, 40), (shade, 0, 0)) for shade in (0, 250)]
    pictures[0].save(source / "film.png", save_all=True, append_images=pictures[1:])
    with pytest.raises(ValidationFailed, match=r"film\.png: expected one still picture, the file holds 2"):
        frames(workshop, source, "may")


def test_frames_that_were_killed_while_they_were_sent_are_whole_after_a_rerun(workshop: Workshop) -> None:
    source = write_squares(workshop.folder / "one", range(8)) / "JPEGImages"
    environment = {
        **os.environ,
        "LAKEGATE_FAILPOINT": "uploading",
        "LAKEGATE_CHECKOUT": str(workshop.checkout),
        "LAKEGATE_CONNECTIONS": "1",
        "PYTHONPATH": str(CHECKOUT),
    }
    command = [sys.executable, "-c", PUBLISH_FRAMES, workshop.dataset, str(source), "may"]
    killed = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    root = workshop.client.log(workshop.dataset, "main")[-1].id
    assert workshop.client.head(workshop.dataset, "annotate-may").id == root  # nothing was committed yet
    summary = frames(workshop, source, "may")
    assert summary.n_frames == 8 and summary.n_sent <= 4  # killed when it heard that half were there


def test_predictions_of_a_run_are_pre_annotations_of_frames(workshop: Workshop) -> None:
    workshop.publish(write_squares(workshop.folder / "one", range(16)), "v1")
    model = f"finder-{workshop.dataset[-8:]}"
    declare_model(workshop.checkout, model, [workshop.dataset], epochs=4)
    toml = workshop.checkout / "models" / model / "model.toml"
    toml.write_text(f"{toml.read_text()}[operating]\nscore_threshold = 0.05\n")
    plan = training_run.plan_run(workshop.client, workshop.settings, model, [])
    training_run.fit_run(workshop.client, workshop.settings, plan, "", workshop.lines.append)
    training_run.commit(workshop.client, workshop.settings, plan)
    export_run.export(workshop.client, workshop.settings, model, plan.run_id, workshop.lines.append)
    frames(workshop, write_squares(workshop.folder / "new", range(40, 43)) / "JPEGImages", "may")

    with pytest.raises(RegistryError, match="no release in production; name a run"):
        export(workshop, "annotate-may", "cvat", workshop.folder / "out", predictions=model)
    export(workshop, "annotate-may", "cvat", workshop.folder / "out", predictions=f"{model}@{plan.run_id}")

    shapes = list(ElementTree.parse(workshop.folder / "out" / "annotations.xml").getroot().iter("box"))
    assert any(line.startswith(f"{model} {plan.run_id} adds {len(shapes)} objects on 3 images") for line in workshop.lines)
    assert len(shapes) > 0
    for shape in shapes:
        assert shape.attrib["source"] == "auto" and 0.05 <= float(shape.findtext("attribute") or "") <= 1
