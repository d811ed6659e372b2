"""The gallery of a page: what is listed, what is pictured, and what a browser makes of it."""

import json
import re
import subprocess
from base64 import b64decode
from html import unescape

import pytest

from infra.doctor import find_chromium
from lakegate.geometry import Keypoint
from lakegate.quality.gallery import PROBLEM_PICTURE_PX, ImageFile, Limits, choose_samples, make_gallery
from lakegate.quality.problems import SampleProblem
from lakegate.quality.report import Heading, render_validation_html
from lakegate.quality.validation import validate
from lakegate.samples import Annotation
from lakegate.settings import Settings
from lakegate.thumbnails import Thumbnails
from tests.quality.building import a_box, a_declaration, a_sample, write_jpeg

TRY_PAGE = """
const [broken, every] = document.querySelectorAll(".gallery");
const press = key => document.body.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
const seen = gallery => gallery.querySelector(".said").textContent;
const choose = (gallery, name, words) => {
  const control = gallery.querySelector(`[data-filter="${name}"]`);
  const options = [...control.options || []];
  const fitting = options.find(option => option.textContent.startsWith(words));
  control.value = fitting ? fitting.value : words;
  control.dispatchEvent(new Event("input"));
  return seen(gallery);
};
const look = document.querySelector("dialog");
const out = [[...broken.querySelectorAll("h3")].map(item => item.textContent).join(" | "), seen(every)];
press("ArrowRight"); press("ArrowRight"); press("f");
out.push(look.open, look.querySelector("h3").textContent, look.querySelector("strong").textContent);
out.push(look.querySelectorAll("svg .line").length);
press("ArrowLeft"); out.push(look.querySelector("h3").textContent); press("f"); out.push(look.open);
out.push(choose(every, "label", "dog"), choose(every, "split", "test"), choose(every, "label", "all"));
out.push(choose(every, "split", "all"), choose(every, "group", "camera-2"), choose(every, "group", "all"));
out.push(choose(every, "tag", "night"), choose(every, "text", "S-03"));
choose(every, "text", ""); choose(every, "tag", "all");
press("o"); out.push(every.classList.contains("no-shapes") || broken.classList.contains("no-shapes"));
out.push(every.querySelectorAll(".tile").length, every.querySelectorAll("circle").length);
out.push(every.querySelectorAll(".area").length > 0);
document.title = JSON.stringify(out);
"""
TRY_MANY = """
const [broken] = document.querySelectorAll(".gallery"), rule = broken.querySelector('[data-filter="rule"]');
const heads = [...broken.querySelectorAll("h3")].map(item => item.textContent), more = broken.querySelector("[data-more]");
const out = [Number(broken.querySelector(".said").textContent.split(" ")[0])];
const count = () => broken.querySelectorAll(".tile").length;
rule.value = [...rule.options].find(option => option.textContent.includes("(60)")).value;
rule.dispatchEvent(new Event("input"));
out.push(broken.querySelector(".said").textContent, count(), more.textContent);
more.click();
out.push(count(), more.hidden);
document.title = JSON.stringify([heads, out]);
"""


def some_samples(n):
    """Return samples ``s-00`` … with groups, tags and shapes of each kind; the first camera is the test split."""
    polygon = Annotation("dog", (5, 5, 20, 20), polygons_px=((5, 5, 25, 5, 25, 25, 5, 25),))
    points = Annotation("cat", (5, 5, 20, 20), keypoints=(Keypoint("nose", 9, 9), Keypoint("tail", 20, 20, 1)))
    return [
        a_sample(
            f"s-{number:02}",
            annotations=(polygon, points) if number % 5 == 0 else (a_box(),),
            split="train" if number % 3 else "test",
            group=f"camera-{number % 3}",
            tags=("night",) if number % 2 else (),
        )
        for number in range(n)
    ]


def test_everything_is_listed_and_the_limit_says_what_is_pictured(tmp_path):
    samples, image = some_samples(40), ImageFile(write_jpeg(tmp_path / "one.jpg", size_px=(640, 480)))
    problem = SampleProblem("s-07", "s-07.xml", "box_has_area", "box 1 has no area", (1,))
    gallery = make_gallery(
        samples, {sample.id: image for sample in samples}, Thumbnails(), problems=[(problem, False)], limits=Limits(10, 5)
    )
    assert (gallery.n_inside, gallery.n_pictures, gallery.n_listed_only) == (40, 11, 29)
    assert len(gallery.table["id"]) == 40 and gallery.table["picture"][7] == 0
    first = gallery.chunks[0][0]
    assert (first[2:4], first[4][0][2]) == ([640, 480], 1), "the size of the image, and the box that breaks the rule"
    assert len(b64decode(first[0])) > len(b64decode(gallery.chunks[0][1][0])) and PROBLEM_PICTURE_PX > 160


def test_a_rare_label_is_pictured_and_the_rest_is_spread():
    labels = ["dog" if number == 777 else "cat" for number in range(1000)]
    samples = [a_sample(f"s-{number:04}", annotations=(a_box(label=label),)) for number, label in enumerate(labels)]
    chosen = choose_samples(samples, 20)
    assert len(chosen) == 20 and "s-0777" in chosen and chosen == sorted(chosen)
    assert min(chosen) < "s-0100" and max(chosen) > "s-0900"


def test_a_problem_without_sample_or_image_is_listed():
    problem = SampleProblem("lost", "lost.xml", "image_exists", "there is no image 'lost.jpg'")
    gallery = make_gallery([], {}, Thumbnails(), problems=[(problem, True)])
    assert gallery.table["problem"] == [[0, 0, problem.reason, "lost.xml", 1]]
    assert gallery.chunks[0][0][:2] == ["", "no picture was delivered"]


@pytest.fixture
def chromium():
    found = find_chromium()
    if not found:
        pytest.skip("chromium is absent: the page's keys and filters cannot be tried")
    return found


def tried(chromium, folder, samples, images, script):
    """Open the report of these samples, run ``script``, and return the JSON that it left in the title."""
    result = validate(samples, images, a_declaration(), (), Settings(home=folder / "home", threads=2))
    html = render_validation_html(result, [], images, Heading("animals", "v1"), samples, a_declaration())
    page = folder / "page.html"
    page.write_text(html.replace("</body>", f"<script>{script}</script></body>"))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    command = [str(chromium), *options, f"--user-data-dir={folder / 'profile'}", "--dump-dom", page.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    return json.loads(unescape(re.search(r"<title>(.*?)</title>", shown, re.DOTALL)[1]))


def test_keys_and_filters_lead_through_the_samples_of_a_page(tmp_path, chromium):
    samples = [*some_samples(60), a_sample("s-99", annotations=(a_box(width=0), a_box()), split="test")]
    samples[3] = a_sample("s-03", annotations=(a_box(60, 40, 20, 20),), split="test", group="camera-0", tags=("night",))
    images = {sample.id: write_jpeg(tmp_path / f"{sample.id}.jpg", number) for number, sample in enumerate(samples)}
    said = tried(chromium, tmp_path, samples, images, TRY_PAGE)
    outside = "1 sample breaks this rule: Every box lies inside its image; up to 1 px beyond the border is tolerated."
    assert said[0].split(" | ") == [outside, "1 sample breaks this rule: Every box is wider and higher than 0 px."]
    assert said[1:6] == ["61 samples", True, "s-99", "box 1 'cat' has no area: width 0 px, height 10 px", 3]
    assert said[6:8] == ["s-03", False]
    assert said[8:12] == ["12 of 61 samples", "4 of 61 samples", "21 of 61 samples", "61 samples"]
    assert said[12:16] == ["20 of 61 samples", "61 samples", "30 of 61 samples", "1 of 61 samples"]
    assert said[16:] == [True, 48, 20, True], "shapes hidden by a key; 48 of 61 tiles made; keypoints and outlines drawn"


def test_a_rule_that_many_samples_break_does_not_hide_the_others(tmp_path, chromium):
    image = write_jpeg(tmp_path / "one.jpg")
    flat = [a_sample(f"flat-{number:02}", annotations=(a_box(width=0),)) for number in range(60)]
    samples = [*flat, a_sample("out", annotations=(a_box(60, 40, 20, 20),))]
    words, said = tried(chromium, tmp_path, samples, {sample.id: image for sample in samples}, TRY_MANY)
    assert words[0].startswith("60 samples break this rule: Every box is wider")
    assert words[0].endswith("0 px. The first 12 are here; choose the rule above to see all.")
    assert words[1].startswith("1 sample breaks this rule: Every box lies")
    assert said == [61, "60 of 61 entries", 48, "show 12 more", 60, True]
