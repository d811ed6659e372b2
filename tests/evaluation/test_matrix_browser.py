"""The matrix page in a real browser: keys, filters, links into the gallery, a phone's width."""

import html as markup
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from lakegate.evaluation.report import render_matrix_html
from lakegate.gate_rules import Waiver
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
const keys = [press("ArrowRight"), press("ArrowRight"), press("ArrowLeft")].join(" ");
const whole = document.querySelector(".picture").getAttribute("viewBox");
choose("kind", "negative");
document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "z", bubbles: true}));
const close = document.querySelector(".picture").getAttribute("viewBox");
location.hash = "#flip-12";
setTimeout(() => {
  const far = document.querySelector(".here").id, said = document.querySelector(".said").textContent;
  document.title = [keys, whole, close, far, said, choose("cell", "diff"), choose("label", "cell"), choose("kind", ""),
    document.querySelectorAll(".flip").length].join(" | ");
}, 300);
"""
TELL_WIDTH = """
parent.postMessage(`${innerWidth} ${document.documentElement.scrollWidth} ${document.querySelectorAll(".flip").length}`, "*");
"""
FRAME = """<iframe src="page.html" width="380" height="800"></iframe>
<script>addEventListener("message", event => { document.title = event.data; });</script>"""


def opened(page: Path) -> str:
    """Open a page, and return the title that it has when its scripts are done."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    options += ["--disable-background-networking", "--disable-component-update", "--virtual-time-budget=3000"]
    command = [str(CHROMIUM), *options, f"--user-data-dir={page.parent / 'profile'}", "--dump-dom", page.as_uri()]
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
        "flip-1 flip-2 flip-1",
        "0 0 64 64",
        "7.6 0 44.8 44.8",
        "flip-12",
        "image 12 of 12 images, 12 flips",
        "6 images of 12, 6 flips",
        "0 images of 12, 0 flips",
        "6 images of 12, 6 flips",
        "6",
    ]


def test_the_page_fits_a_phone(world: World, tmp_path: Path) -> None:
    matrix, verdict = judged(world)
    waiver = Waiver("the camera is replaced in June", "anna", "2027-06-30")
    results = tuple(replace(item, interval=(0.1, 0.6), waiver=waiver) for item in verdict.results)
    with_script(render_matrix_html(matrix, replace(verdict, results=results)), TELL_WIDTH, tmp_path)
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME)
    inner_px, needed_px, n_drawn = (int(word) for word in opened(frame).split())
    assert inner_px <= 380 and needed_px <= inner_px
    assert n_drawn == 8
