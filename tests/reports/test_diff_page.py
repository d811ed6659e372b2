"""The page of a diff: what it holds, what its keys and filters do in Chromium, and that it stays bounded."""

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from infra.doctor import find_chromium
from lakegate.canonical import sha256_bytes
from lakegate.catalog import parse_dataset
from lakegate.geometry import Keypoint
from lakegate.lake.diff import diff_versions
from lakegate.lake.local_version import DatasetVersion, LocalImage, LocalVersion
from lakegate.reports import diff_cards
from lakegate.reports.diff_cards import KINDS, OBJECT_KINDS, DiffCards, make_cards
from lakegate.reports.diff_page import DiffHeading, compared_distributions, render_diff_html
from lakegate.reports.distributions import distributions_of
from lakegate.samples import Annotation, Sample
from lakegate.thumbnails import Thumbnails

DECLARATION = 'task = "detection"\nlabels = ["car", "bus", "<b>odd</b>"]\n'
CAR = Annotation("car", (4.0, 4.0, 20.0, 10.0))
CHROMIUM = find_chromium()
TRY_PAGE = """
const press = key => document.body.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
const shown = () => document.querySelector("dialog.look").open && document.querySelector("dialog.look h3").textContent;
const choose = (name, words) => {
  const select = document.querySelector(`[data-filter="${name}"]`);
  const option = words && [...(select.options || [])].find(item => item.textContent.startsWith(words));
  select.value = option ? option.value : words;
  select.dispatchEvent(new Event("input"));
  return [...document.querySelectorAll(".tile > .mono")].map(item => item.textContent).join("+");
};
const keys = [];
press("ArrowRight"); press("f"); keys.push(shown());
press("ArrowRight"); keys.push(shown());
press("ArrowLeft"); press("ArrowLeft"); keys.push(shown());
press("f"); keys.push(shown());
press("o"); keys.push(document.body.classList.contains("no-shapes"));
const wanted = {kind: "removed", object: "reclassified", split: "test", group: "north", label: "<b>", text: "GO"};
const found = Object.entries(wanted)
  .map(([name, words]) => [choose(name, words), choose(name, "")][0]);
document.title = JSON.stringify({keys, found, drawn: document.querySelectorAll(".tile").length});
"""


class Two:
    """Two versions of a few samples with real PNG files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def image(self, grey: int) -> LocalImage:
        path = self.folder / f"{grey}.png"
        Image.fromarray(np.full((48, 64, 3), grey, np.uint8)).save(path)
        return LocalImage(path, sha256_bytes(path.read_bytes()))

    def version(self, samples: dict[str, tuple[Sample, int]]) -> LocalVersion:
        made = {name: replace(sample, id=name) for name, (sample, _) in sorted(samples.items())}
        images = {name: self.image(grey) for name, (_, grey) in samples.items()}
        version = DatasetVersion("cars", "v", "c" * 40, "d")
        return LocalVersion(version, parse_dataset("cars", DECLARATION), tuple(made.values()), images)


def a_sample(*annotations: Annotation, **more: Any) -> Sample:
    return Sample("", 64, 48, annotations, **more)


@pytest.fixture
def sides(tmp_path: Path) -> tuple[LocalVersion, LocalVersion]:
    two = Two(tmp_path / "images")
    far = Annotation("bus", (40.0, 30.0, 10.0, 10.0))
    old = {
        "gone": (a_sample(CAR), 1),
        "kept": (a_sample(CAR, far), 2),
        "moved": (a_sample(CAR, far, group="north"), 3),
        "named": (a_sample(CAR), 4),
        "other-picture": (a_sample(CAR), 5),
        "tested": (a_sample(CAR), 6),
    }
    new = {
        "kept": old["kept"],
        "moved": (a_sample(replace(CAR, bbox_xywh_px=(5.0, 4.0, 20.0, 10.0)), far, group="north"), 3),
        "named": (a_sample(Annotation("<b>odd</b>", CAR.bbox_xywh_px)), 4),
        "new": (a_sample(), 7),
        "other-picture": (a_sample(CAR), 8),
        "tested": (a_sample(CAR, split="test"), 6),
    }
    return two.version(old), two.version(new)


def page_of(sides: tuple[LocalVersion, LocalVersion], folder: Path) -> tuple[str, DiffCards]:
    difference = diff_versions(*sides)
    cards = make_cards(*sides, difference, Thumbnails(folder / "thumbnails"))
    heading = DiffHeading("cars", "v1", "v2", "1" * 40, "2" * 40)
    return render_diff_html(heading, difference, cards, compared_distributions(*sides, {})), cards


def test_every_changed_sample_has_a_card_with_what_happened_to_it(sides: tuple[LocalVersion, LocalVersion], tmp_path: Path):
    _, made = page_of(sides, tmp_path)
    cards = {card["id"]: card for card in made.cards}
    assert [card["id"] for card in made.cards] == ["moved", "named", "other-picture", "tested", "new", "gone"]
    assert {name: [KINDS[kind] for kind in card["k"]] for name, card in cards.items()} == {
        "moved": ["relabelled"],
        "named": ["relabelled"],
        "other-picture": ["reimaged"],
        "tested": ["resplit"],
        "new": ["added"],
        "gone": ["removed"],
    }
    moved = cards["moved"]
    assert [moved["n"][OBJECT_KINDS.index(kind)] for kind in ("moved", "same")] == [1, 1]
    assert [len(moved[key]) for key in "bas"] == [1, 1, 1], "what is the same on both sides is held once"
    assert moved["b"][0][3] == [4, 4, 20, 10] and moved["a"][0][3] == [5, 4, 20, 10]
    assert cards["tested"]["w"] == ["split: train → test"]
    assert cards["moved"]["p"][0] == cards["moved"]["p"][1], "an image that stays is held once"
    assert cards["other-picture"]["p"][0] != cards["other-picture"]["p"][1]
    assert cards["new"]["wh"] == [None, [64, 48]] and cards["gone"]["p"][1] == -1


def test_the_page_holds_everything_and_names_no_address(sides: tuple[LocalVersion, LocalVersion], tmp_path: Path):
    html, made = page_of(sides, tmp_path)
    assert not re.search(r"https?://|<b>odd", html)
    assert "&lt;b&gt;odd&lt;/b&gt;" in html
    n_pictures = sum(len(json.loads(text)) for text in re.findall(r'class="diff-pictures">(.*?)</script>', html))
    assert n_pictures == sum(len(chunk) for chunk in made.chunks) == 7
    for words in ("<dt>reimaged</dt>", "in another split", "Objects per label", "Samples per split", "6 samples differ"):
        assert words in html


def test_a_page_is_bounded_and_says_so(
    sides: tuple[LocalVersion, LocalVersion], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(diff_cards, "MAX_CARDS", 2)
    html, made = page_of(sides, tmp_path)
    assert [card["id"] for card in made.cards] == ["moved", "named"]
    assert "6 samples differ; the first 2 are shown here" in html


def test_equal_versions_give_a_page_that_says_so(sides: tuple[LocalVersion, LocalVersion], tmp_path: Path):
    html, _ = page_of((sides[0], sides[0]), tmp_path)
    assert "No sample differs." in html and "<script" not in html


def test_an_image_that_cannot_be_shown_leaves_its_shapes(tmp_path: Path):
    two = Two(tmp_path / "images")
    old, new = two.version({"a": (a_sample(CAR), 1)}), two.version({"a": (a_sample(), 1)})
    new.images["a"].path.write_bytes(b"not an image")
    _, made = page_of((old, new), tmp_path)
    assert made.chunks == [[""]] and len(made.cards[0]["b"]) == 1


def test_masks_keypoints_and_classes_of_images_are_shown_or_said(tmp_path: Path):
    two = Two(tmp_path / "images")
    polygon = Annotation("car", (4.0, 4.0, 20.0, 10.0), polygons_px=((4.0, 4.0, 24.0, 4.0, 24.0, 14.0, 4.0, 14.0),))
    pose = Annotation("car", (30.0, 5.0, 4.0, 4.0), keypoints=(Keypoint("nose", 30.0, 5.0), Keypoint("tail", 34.0, 9.0, 1)))
    old = two.version({"a": (a_sample(polygon, pose), 1), "b": (a_sample(Annotation("car")), 2)})
    new = two.version({"a": (a_sample(tags=("night",)), 1), "b": (a_sample(Annotation("bus")), 2)})
    _, made = page_of((old, new), tmp_path)
    shapes = made.cards[0]["b"]
    assert any(path.startswith("M4 4L") for *_, path, _ in shapes)
    assert any(points == [[30, 5, 2], [34, 9, 1]] for *_, points in shapes)
    assert made.cards[0]["w"] == ["tags added: night"]
    assert made.cards[1]["w"] == ["class: car → bus"]


def test_distributions_stand_side_by_side_and_a_rename_is_one_row(sides: tuple[LocalVersion, LocalVersion]):
    dark = {image.sha256: 40.0 for image in sides[0].images.values()}
    charts = {item.title: item for item in distributions_of(*sides, {"car": "bus"}, dark)}
    labels = {row.name: (row.before, row.after) for row in charts["Objects per label"].rows}
    assert labels == {"car": (0, 4), "bus": (8, 2), "<b>odd</b>": (0, 1), "(no objects)": (0, 1)}
    assert [(row.name, row.before, row.after) for row in charts["Samples per split"].rows] == [("train", 6, 5), ("test", 0, 1)]
    groups = {row.name: (row.before, row.after) for row in charts["Samples per camera, clip or scene (group)"].rows}
    assert groups == {"(no group)": (5, 5), "north": (1, 1)}
    sizes = charts["Object size (square root of width × height)"].rows
    assert [(row.name, row.before, row.after) for row in sizes] == [("8 to 16 px", 8, 7)]
    brightness = next(item for title, item in charts.items() if title.startswith("Brightness"))
    assert [(row.name, row.before, row.after) for row in brightness.rows] == [("32 to 63", 6, 4)]
    assert brightness.note == "2 images were not measured on this machine and are left out"


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is absent: the page's keys and filters cannot be tried")
def test_keys_and_filters_work_in_chromium(sides: tuple[LocalVersion, LocalVersion], tmp_path: Path):
    html, _ = page_of(sides, tmp_path)
    page = tmp_path / "page.html"
    page.write_text(html.replace("</body>", f"<script>{TRY_PAGE}</script></body>"))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    options += ["--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path / 'profile'}"]
    command = [str(CHROMIUM), *options, "--dump-dom", page.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    title = re.search(r"<title>(.*?)</title>", shown)
    assert title is not None, shown[:500]
    assert json.loads(title[1]) == {
        "keys": ["moved (1 of 6)", "named (2 of 6)", "gone (6 of 6)", False, True],
        "found": ["gone", "named", "tested", "moved", "named", "gone"],
        "drawn": 6,
    }
