"""The matrix page in a real browser: keys, filters, links into the gallery, a phone's width."""

import html as markup
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lakegate.evaluation.report import render_matrix_html
from tests.evaluation.full_page import full_page
from tests.evaluation.planted import World
from tests.evaluation.test_report import judged

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is absent: the page cannot be tried")
TRY_KEYS = """
const press = key => {
  document.body.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
  return document.querySelector(".here").id;
};
const choose = (name, words) => {
  const select = document.querySelector(`[data-filter="${name}"]`);
  select.value = words ? [...select.options].find(option => option.text.startsWith(words)).value : "";
  select.dispatchEvent(new Event("input"));
  return document.querySelector(".said").textContent;
};
const there = [press("ArrowRight"), press("ArrowRight"), location.hash, document.activeElement.id];
const keys = [...there, press("ArrowLeft")].join(" ");
const key = name => document.body.dispatchEvent(new KeyboardEvent("keydown", {key: name, bubbles: true}));
key("n");
const names = document.querySelectorAll(".flip .picture text.name").length;
key("n");
key("Escape");
const left = [document.querySelectorAll(".here").length, location.hash === "" ? "no address" : location.hash, names].join(" ");
const whole = document.querySelector(".picture").getAttribute("viewBox");
choose("kind", "negative");
document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "z", bubbles: true}));
const close = document.querySelector(".picture").getAttribute("viewBox");
location.hash = "#flip-12";
setTimeout(() => {
  const far = document.querySelector(".here").id, said = document.querySelector(".said").textContent;
  const narrowed = [choose("cell", "the diff"), choose("label", "cell"), choose("kind", "")];
  document.title = [keys, left, whole, close, far, said, ...narrowed,
    document.querySelectorAll(".flip").length].join(" | ");
}, 300);
"""
MEASURE = """
addEventListener("load", () => setTimeout(() => {
  const seen = item => item.getClientRects().length > 0 && getComputedStyle(item).visibility === "visible";
  const all = selector => [...document.querySelectorAll(selector)].filter(seen), side = innerWidth + 1;
  const inside = item => !item.closest(".scroll") && !item.closest("svg");
  const named = item => item.outerHTML.slice(0, 80), box = item => item.getBoundingClientRect();
  const clips = item => getComputedStyle(item).overflowX !== "visible" && item.scrollWidth > item.clientWidth + 1;
  const told = {
    inner: innerWidth,
    needed: document.documentElement.scrollWidth,
    cards: all(".flip").length,
    outside: all("body *").filter(inside).filter(item => box(item).right > side).map(named),
    scrolled: all(".scroll").filter(clips).map(item => item.getAttribute("aria-label")),
    small: all("button, select, input, summary, .rules a, .flip a").filter(item => box(item).height < 40).map(named),
    controls: all(".filters select, .filters button, .filters input").length,
    pictures: all(".flip .picture").filter(item => box(item).width > innerWidth).length,
    headings: all("h1, h2").map(item => item.textContent),
    cut: all("td, th, p, li, h1, h2, h3, .verdict *").filter(clips).length,
  };
  parent.postMessage(JSON.stringify(told), "*");
}, 500));
"""
FRAME = """<iframe src="page.html" width="WIDTH" height="740"></iframe>
<script>addEventListener("message", event => { document.title = event.data; });</script>"""


def opened(page: Path, fragment: str = "") -> str:
    """Open a page, and return the title that it has when its scripts are done."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    options += ["--disable-background-networking", "--disable-component-update", "--virtual-time-budget=3000"]
    command = [str(CHROMIUM), *options, f"--user-data-dir={page.parent / 'profile'}", "--dump-dom", page.as_uri() + fragment]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r"<title>(.*?)</title>", shown)
    assert found is not None, shown[:2000]
    return markup.unescape(found[1])


def with_script(html: str, script: str, folder: Path) -> Path:
    page = folder / "page.html"
    page.write_text(html.replace("</body>", f"<script>{script}</script></body>"))
    return page


def test_keys_step_through_the_flips_and_filters_narrow_them(world: World, tmp_path: Path) -> None:
    shown = opened(with_script(render_matrix_html(*judged(world)), TRY_KEYS, tmp_path))
    assert shown.split(" | ") == [
        "flip-1 flip-2 #flip-2 flip-2 flip-1",
        "0 no address 56",
        "0 0 64 64",
        "7.6 0 44.8 44.8",
        "flip-12",
        "image 12 of 12 images, 12 flips",
        "6 images of 12, 6 flips",
        "0 images of 12, 0 flips",
        "6 images of 12, 6 flips",
        "6",
    ]


def measured(html: str, width_px: int, folder: Path) -> dict[str, Any]:
    """Open a page in a frame of that width, and return what its script measured there."""
    with_script(html, MEASURE, folder)
    frame = folder / "frame.html"
    frame.write_text(FRAME.replace("WIDTH", str(width_px)))
    told: dict[str, Any] = json.loads(opened(frame))
    return told


def test_the_page_fits_a_phone(world: World, tmp_path: Path) -> None:
    """Nothing is wider than the screen, no table is scrolled sideways but confusion, and what is touched is high."""
    told = measured(render_matrix_html(*full_page(world)), 360, tmp_path)
    assert told["inner"] == 360 and told["needed"] <= 360
    assert told["outside"] == [] and told["cut"] == 0 and told["pictures"] == 0
    assert set(told["scrolled"]) <= {"confusion"}
    assert told["small"] == [] and told["controls"] >= 10
    assert told["cards"] >= 8


def test_the_page_in_print_has_all_but_the_controls(world: World, tmp_path: Path) -> None:
    """Print rules are made to hold on a screen as wide as A4 less its margins; nothing is cut, the first flips are there."""
    html = render_matrix_html(*full_page(world))
    assert html.count("@media print") >= 3
    told = measured(html.replace("@media print", "@media all"), 703, tmp_path)
    assert told["needed"] <= 703 and told["outside"] == [] and told["scrolled"] == []
    assert (told["controls"], told["cards"]) == (0, 8)
    wanted = ["Rules of the gate", "The matrix", "Flips: what changes for single objects", "What was compared"]
    assert [name for name in wanted if name not in told["headings"]] == []


def test_the_address_of_a_flip_opens_the_page_there(world: World, tmp_path: Path) -> None:
    tell = "setTimeout(() => { document.title = document.querySelector('.here').id; }, 300);"
    page = with_script(render_matrix_html(*judged(world)), tell, tmp_path)
    assert opened(page, "#flip-9") == "flip-9"
