"""A comparison in W&B: offline, online against a server of our own, and with a server that fails."""

import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lakegate.evaluation.comparing import compare
from lakegate.evaluation.gate import Verdict, judge
from lakegate.evaluation.matrix import Matrix
from lakegate.evaluation.report import evidence_digest, matrix_markdown
from lakegate.gate_rules import parse_rule
from lakegate.html import DrawnBox
from lakegate.lifecycle.matrix_tracking import keep_for_publishing, make_report, track_comparison
from lakegate.reports.wandb_publishing import WandbServer, publish_report
from lakegate.reports.wandb_report import FOLDER, KeptReport, kept_paths, read_published, read_report
from lakegate.samples import Annotation
from lakegate.settings import Settings
from lakegate.training.drawn_pictures import KIND_NUMBERS, MAX_CLASS, DrawnPicture, label_mask
from lakegate.training.tracking import open_tracking
from tests.evaluation.planted import LABELS, SIDE_PX, World, box_at, found, object_at
from tests.evaluation.planted_tasks import lookup_model
from tests.evaluation.test_planted_tasks import masked, probability_map
from tests.evaluation.test_report import judged
from tests.training.test_record import a_record
from tests.wandb_files import OfflineRun, read_offline
from tests.wandb_server import BEFORE_KEEPING, KEY, NEVER, wandb_stub

Compared = tuple[Settings, KeptReport, Matrix, Verdict]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> tuple[Matrix, Verdict]:
    return judged(World(tmp_path_factory.mktemp("world"), loads=[]))


@pytest.fixture
def compared(outcome: tuple[Matrix, Verdict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compared:
    for name in ("WANDB_DIR", "WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_ENTITY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "wandb-data"))
    report = make_report("ab" * 32, "cells", *outcome, evidence_digest(*outcome), matrix_markdown(*outcome))
    return Settings(home=tmp_path), report, *outcome


def tables(folder: Path) -> dict[str, Any]:
    return {path.name.split("_")[0]: json.loads(path.read_text()) for path in folder.rglob("*.table.json")}


def test_offline_the_run_has_its_tables_and_the_report_waits(compared: Compared) -> None:
    settings, report, matrix, verdict = compared
    keep_for_publishing(settings, report)
    tracking = track_comparison(settings, report, matrix, verdict, ["planted@v2"])
    assert (tracking.mode, tracking.id, tracking.error) == ("offline", "new-compare-abababab", "")
    assert tracking.folder is not None
    shown = tables(tracking.folder)
    assert set(shown) == {"matrix", "rules", "flips"}
    assert read_offline(tracking.folder).shown_tables() == set(shown)
    assert shown["matrix"]["columns"] == ["metric", "of", "all", "old_data", "diff"]
    assert shown["rules"]["data"][0][:4] == ["recall.all.min", "fail", 0.9, 0.5]
    assert len(shown["flips"]["data"]) == len(matrix.flips) == 24
    stored = [path.read_bytes() for path in settings.home.glob("wandb-data/artifacts/staging/*")]
    assert sum(item.startswith(b"\xff\xd8") for item in stored) >= 12  # one picture for each image with flips
    assert any(b'"image-file"' in item and b'"baseline"' in item for item in stored)  # with the boxes of both models

    [path] = kept_paths(settings)
    kept = read_report(path)
    names = ("matrix", "rules", "flips")
    now = {"wandb_run": tracking.id, "wandb_folder": str(tracking.folder), "tables": names}
    assert kept == report.model_copy(update=now)
    assert len(kept.flips) == kept.n_flips == 24 and kept.flips[0].kind == "negative"
    assert read_published(settings, kept) is None


def test_online_the_run_and_its_report_arrive_and_a_failing_server_leaves_the_report_kept(
    compared: Compared, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings, report, matrix, verdict = compared
    settings.wandb_mode = "online"
    with wandb_stub() as server:
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_BASE_URL", server.address)
        server.hang_up = BEFORE_KEEPING
        tracking = track_comparison(settings, report, matrix, verdict, ["planted@v2"])
        assert (tracking.mode, tracking.error, server.views) == ("online", "", {})
        assert list(server.runs) == ["new-compare-abababab"]
        assert any("flips" in path for path in server.uploads)
        kept = read_report(kept_paths(settings)[0])
        assert (kept.wandb_run, kept.wandb_folder) == (tracking.id, "")
        assert "publish it with `lakegate wandb publish`" in caplog.text

        server.hang_up = NEVER
        publish_report(settings, kept, WandbServer.of(os.environ))
        assert [view["title"] for view in server.views.values()] == ["cells: run new against old"]


def test_disabled_nothing_is_kept(compared: Compared) -> None:
    settings, report, matrix, verdict = compared
    settings.wandb_mode = "disabled"
    keep_for_publishing(settings, report)
    assert track_comparison(settings, report, matrix, verdict, []).folder is None
    assert not (settings.home / FOLDER).exists()


def test_a_disk_that_takes_no_report_fails_nothing(compared: Compared, caplog: pytest.LogCaptureFixture) -> None:
    settings, report, _, _ = compared
    (settings.home / FOLDER).write_text("a file where the folder should be")
    keep_for_publishing(settings, report)
    assert "was not kept (" in caplog.text


def tracked(settings: Settings, matrix: Matrix, *rules: tuple[str, float]) -> OfflineRun:
    """Track a comparison offline, and read what W&B wrote."""
    verdict = judge([parse_rule(*rule) for rule in rules], matrix)
    report = make_report("ab" * 32, "cells", matrix, verdict, "digest", "words")
    tracking = track_comparison(settings, report, matrix, verdict, [])
    assert tracking.folder is not None and tracking.error == ""
    return read_offline(tracking.folder)


def layers(picture: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
    kinds = {number: kind for kind, number in KIND_NUMBERS.items()}
    return {name: [(kinds[box["class_id"]], box["box_caption"]) for box in boxes] for name, boxes in picture["boxes"].items()}


def test_each_failed_rule_shows_its_worst_counter_examples_as_pictures_with_three_layers(
    compared: Compared, tmp_path: Path
) -> None:
    world = World(tmp_path, loads=[])
    now = world.version({number: [object_at(0), object_at(1, "plate")] for number in range(12)})
    both = [found(0, 0.9), found(1, 0.8, 1)]
    candidate = world.model("new", {number: both[:1] if number in (2, 7) else both for number in range(12)})
    matrix = compare(
        candidate, world.model("old", dict.fromkeys(range(12), both)), now, now, world.settings, n_latency_images=0
    )
    run = tracked(compared[0], matrix, ("recall.all.plate.min", 0.99), ("recall.all.min", 0.1))
    assert run.shown_tables() == {"counter_examples", "flips", "rules", "matrix"}
    rows, files = run.table("counter_examples")
    assert [(row[0], row[2]) for row in rows] == [
        ("recall.all.plate.min", "planted/s0002"),
        ("recall.all.plate.min", "planted/s0007"),
    ]
    assert "the candidate missed it" in rows[0][3]
    assert layers(rows[0][4]) == {
        "truth": [("truth", "cell"), ("truth", "plate")],
        "baseline": [("hit", "cell 0.90"), ("hit", "plate 0.80")],
        "candidate": [("hit", "cell 0.90"), ("missed", "plate")],
    }
    assert cv2.imread(str(files[rows[0][4]["path"]])).shape == (SIDE_PX, SIDE_PX, 3)


def test_flips_of_a_segmentation_have_masks_of_what_truth_and_models_say(compared: Compared, tmp_path: Path) -> None:
    world = World(tmp_path, loads=[])
    truth = {number: [masked(object_at(0)), masked(object_at(4, "plate"))] for number in range(6)}
    shapes = {number: [(0, 0), (4, 1)] for number in range(6)}
    candidate, baseline = (
        lookup_model(world, run_id, "segmentation", {key: probability_map(*row) for key, row in rows.items()}, LABELS)
        for run_id, rows in (("new", {**shapes, 2: [(4, 1), (8, 0)]}), ("old", shapes))
    )
    now = world.version(truth)
    matrix = compare(candidate, baseline, now, now, world.settings, n_latency_images=0)
    rows, files = tracked(compared[0], matrix, ("miou.all.min", 0.1)).table("flips")
    [picture] = [row[-1] for row in rows if row[-1]]
    said = {}
    for layer, mask in picture["masks"].items():
        said[layer] = cv2.imread(str(files[mask["path"]]), cv2.IMREAD_GRAYSCALE)
        assert said[layer].shape == (picture["height"], picture["width"]) == (SIDE_PX, SIDE_PX)
    cell, plate, false = ((slice(int(y1), int(y2)), slice(int(x1), int(x2))) for x1, y1, x2, y2 in map(box_at, (0, 4, 8)))
    expected = {"truth": (1, 2, 0), "baseline": (1, 2, 0), "candidate": (0, 2, 1)}
    for layer, numbers in expected.items():
        assert tuple(int(np.median(said[layer][place])) for place in (cell, plate, false)) == numbers
    covered = (said["truth"] > 0).mean(), 2 * (box_at(0)[2] - box_at(0)[0]) ** 2 / SIDE_PX**2
    assert covered[0] == pytest.approx(covered[1], rel=0.02)
    assert layers(picture) == {"candidate": [("false", "cell"), ("missed", "cell")]}


def test_flips_of_a_classifier_say_in_words_what_truth_and_models_answer(compared: Compared, tmp_path: Path) -> None:
    world = World(tmp_path, loads=[])
    now = world.version({number: [Annotation("cell")] for number in range(5)})
    right, wrong = np.array([0.9, 0.1]), np.array([0.2, 0.8])
    candidate = lookup_model(world, "new", "classification", {n: wrong if n == 3 else right for n in range(5)}, LABELS)
    baseline = lookup_model(world, "old", "classification", dict.fromkeys(range(5), right), LABELS)
    matrix = compare(candidate, baseline, now, now, world.settings, n_latency_images=0)
    [row] = tracked(compared[0], matrix, ("accuracy.all.min", 0.1)).table("flips")[0]
    assert row[2] == "planted/s0003"
    assert row[-1]["caption"].startswith("truth: cell; baseline: right: cell (0.90)")
    assert row[-1]["caption"].endswith("candidate: wrong: plate (0.80), cell (0.20)")


def test_more_labels_than_a_mask_can_tell_share_its_last_number() -> None:
    square = (10.0, 10.0, 30.0, 10.0, 30.0, 30.0, 10.0, 30.0)
    labels = tuple(f"label {number}" for number in range(300))
    picture = DrawnPicture(b"", 40, 40, {}, labels)
    for name, number in (("label 0", 1), ("label 125", 126), ("label 126", MAX_CLASS), ("label 299", MAX_CLASS)):
        mask_HW = label_mask(picture, [DrawnBox((10, 10, 30, 30), name, "hit", (square,))], (20, 20))
        assert (mask_HW[10, 10], mask_HW[2, 2]) == (number, 0)


def test_the_published_report_has_panels_of_tables_and_curves_that_were_really_logged(
    compared: Compared, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings, _, matrix, verdict = compared
    record = a_record(tmp_path / "record")
    records = [record.model_copy(update={"run_id": run}) for run in ("new", "old")]
    untracked = record.model_copy(update={"run_id": "unseen", "wandb_id": ""})
    report = make_report("ab" * 32, "cells", matrix, verdict, "digest", "words", [*records, untracked])
    tracking = track_comparison(settings, report, matrix, verdict, [])
    assert tracking.folder is not None
    training = open_tracking(settings, "cells", "new", {})
    training.catch_up(record.history)
    training.finish()
    assert training.folder is not None
    with wandb_stub() as server:
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_BASE_URL", server.address)
        publish_report(settings, read_report(kept_paths(settings)[0]), WandbServer.of(os.environ))
        [view] = server.views.values()
    live, curves = [block["metadata"] for block in json.loads(view["spec"])["blocks"] if block["type"] == "panel-grid"]

    tables_shown = [panel["config"]["panel2Config"]["exp"]["fromOp"]["inputs"]["key"]["val"] for panel in panels(live)]
    assert tables_shown == ["flips", "rules", "matrix"]
    assert set(tables_shown) == read_offline(tracking.folder).shown_tables()
    assert chosen(live) == {"name": [tracking.id]}

    logged = read_offline(training.folder)
    assert [panel["config"]["metrics"] for panel in panels(curves)] == [["loss"]]
    assert all({*panel["config"]["metrics"], panel["config"]["xAxis"]} <= set(logged.history[0]) for panel in panels(curves))
    assert chosen(curves) == {"group": ["new", "old"], "jobType": ["train"]}


def panels(grid: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = grid["panelBankSectionConfig"]["panels"]
    places = [(panel["layout"]["x"], panel["layout"]["y"]) for panel in found]
    assert len(set(places)) == len(places) and len({panel["__id__"] for panel in found}) == len(found)
    return found


def chosen(grid: dict[str, Any]) -> dict[str, list[str]]:
    [run_set] = grid["runSets"]
    [both] = run_set["filters"]["filters"]
    assert {item["op"] for item in both["filters"]} == {"IN"}
    return {item["key"]["name"]: item["value"] for item in both["filters"]}
