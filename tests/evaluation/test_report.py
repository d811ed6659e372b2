import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lakegate.canonical import sha256_file
from lakegate.detections import Detections
from lakegate.evaluation.comparing import compare
from lakegate.evaluation.gate import Verdict, judge
from lakegate.evaluation.matrix import Intervals, Latency, Matrix
from lakegate.evaluation.prediction_cache import PredictionCache
from lakegate.evaluation.predictions import prediction_key
from lakegate.evaluation.report import evidence_digest, matrix_json, matrix_markdown, render_matrix_html
from lakegate.evaluation.seed_noise import NoiseInCell, SeedNoise
from lakegate.evaluation.tables import plain_rows
from lakegate.gate_rules import Waiver, parse_rule
from lakegate.lake.local_version import LocalImage
from lakegate.task_types.detection import TASK_TYPE
from tests.evaluation.planted import World, found, object_at

EVIL = '<script>alert("x")</script>'
LABELS = ("cell", EVIL)


def judged(world: World, n_latency_images: int = 0, limit: float = 0.9) -> tuple[Matrix, Verdict]:
    objects = {number: [object_at(0), object_at(1, EVIL)] for number in range(12)}
    now = world.version(objects, labels=LABELS)
    before = world.version({number: objects[number] for number in range(6)}, tag="v1", labels=LABELS)
    candidate = world.model("new", {number: [found(0), found(5)] for number in range(12)}, labels=LABELS)
    baseline = world.model("old", {number: [found(0), found(1, 0.8, 1)] for number in range(12)}, labels=LABELS)
    matrix = compare(candidate, baseline, now, before, world.settings, n_latency_images=n_latency_images)
    rules = [parse_rule("recall.all.min", limit), parse_rule(f"recall.old_data.{EVIL}.min", 0.5)]
    if n_latency_images:
        rules.append(parse_rule("latency_p99_ratio.all.max", 1000))
    return matrix, judge(rules, matrix)


class _Page(HTMLParser):
    """Collects the tags, and the texts that a reader sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_new_false_objects_stand_beside_all_false_ones(world: World) -> None:
    text = " ".join(_Page(render_matrix_html(*judged(world))).text.split())
    in_all = "in all, the baseline shows 0 on all test samples, the candidate 12"
    assert f"12 new false objects shown by the candidate only; {in_all}" in text


def test_the_page_needs_nothing_from_outside(world: World) -> None:
    html = render_matrix_html(*judged(world))
    page = _Page(html)
    addresses = [attributes.get(name) for _, attributes in page.tags for name in ("src", "href", "action")]
    assert not [value for value in addresses if value and not value.startswith(("#", "data:"))]
    assert not [url for url in re.findall(r"url\((.{0,8})", html) if not url.startswith('"data:')]
    assert not re.search(r"https?://(?!www\.w3\.org/)", html)
    assert "@import" not in html
    assert not [tag for tag, _ in page.tags if tag in ("link", "iframe", "object", "embed", "base")]


def test_a_label_that_is_markup_is_shown_as_text(world: World) -> None:
    html = render_matrix_html(*judged(world))
    assert EVIL not in html
    assert EVIL in _Page(html).text
    scripts = [attributes.get("type") for tag, attributes in _Page(html).tags if tag == "script"]
    assert scripts == ["application/json", "application/json", None]


def test_the_verdict_stands_first_and_every_rule_has_its_sentence(world: World) -> None:
    matrix, verdict = judged(world)
    text = _Page(render_matrix_html(matrix, verdict)).text
    assert verdict.sentence in text
    assert text.index(verdict.sentence) < text.index("Rules of the gate") < text.index("The matrix") < text.index("Flips:")
    for result in verdict.results:
        assert result.sentence in text and result.key in text
    assert evidence_digest(matrix, verdict) in text


def embedded(html: str) -> tuple[dict[str, Any], list[Any]]:
    """Return the table of the gallery and, for each image, its picture and its panels."""
    texts = re.findall(r'<script type="application/json" (id|class)="(flip-[a-z]+)">(.*?)</script>', html, re.S)
    table = next(json.loads(text) for _, name, text in texts if name == "flip-table")
    return table, [image for _, name, text in texts if name == "flip-pictures" for image in json.loads(text)]


def test_every_image_with_flips_shows_truth_baseline_and_candidate(world: World) -> None:
    table, drawn = embedded(render_matrix_html(*judged(world)))
    assert len(table["images"]) == len(drawn) == 12
    key, width, height, cells, flips, rules = table["images"][0]
    assert (key, width, height, rules) == ("planted/s0000", 64, 64, [])
    assert [table["cells"][cell] for cell in cells] == ["all test samples", "old data"]
    assert [(table["kinds"][flip[0]], table["labels"][flip[1]], table["sizes"][flip[2]]) for flip in flips] == [
        ("negative", EVIL, "small"),
        ("new_false", "cell", "small"),
    ]
    picture, panels = drawn[0]
    assert base64.b64decode(picture).startswith(b"\xff\xd8")
    assert [(title, len(boxes)) for title, _, boxes in panels] == [("truth", 2), ("baseline", 2), ("candidate", 3)]


def test_the_page_says_how_many_images_it_does_not_show(world: World) -> None:
    matrix, verdict = judged(world)
    html = render_matrix_html(matrix, verdict, max_images=5)
    assert len(embedded(html)[1]) == 5
    assert "7 further images with 14 flips are not shown" in _Page(html).text


def test_the_evidence_digest_is_the_same_for_the_same_inputs_and_follows_the_outcome(world: World) -> None:
    first, again = judged(world, n_latency_images=4), judged(world, n_latency_images=4)
    assert first[0].measured != again[0].measured  # the second came from the cache, and took another time
    assert evidence_digest(*first) == evidence_digest(*again)
    assert matrix_json(*first) != matrix_json(*again)
    assert evidence_digest(*judged(world, n_latency_images=4, limit=0.2)) != evidence_digest(*first)


def test_the_json_holds_the_exact_numbers_of_the_matrix(world: World) -> None:
    matrix, verdict = judged(world, n_latency_images=4)
    content = json.loads(matrix_json(matrix, verdict))
    cells = {cell["name"]: cell for cell in content["cells"]}
    assert cells["old_data"]["candidate"]["recall"] == matrix.require_cell("old_data").candidate["recall"]
    assert (content["verdict"]["outcome"], content["verdict"]["sentence"]) == (verdict.outcome.value, verdict.sentence)
    assert [item["sentence"] for item in content["rules"]] == [item.sentence for item in verdict.results]
    assert len(content["flips"]) == len(matrix.flips) == 24
    assert content["measured"]["latency"]["p99_ratio"] > 0
    assert content["measured"]["baseline"]["n_inferred"] == 12


def test_the_markdown_shows_the_same_rows_and_rules(world: World) -> None:
    matrix, verdict = judged(world)
    text = matrix_markdown(matrix, verdict)
    assert verdict.sentence in text.splitlines()[0]
    assert "| recall, candidate | 0.500 ████░░░░<br>0.500 to 0.500 | 0.500 ████░░░░" in text
    assert "| recall, difference | −0.500 not judged | −0.500 not judged" in text
    assert "\nNot judged: the difference has no interval" in text
    assert all(result.sentence in text for result in verdict.results)


def test_a_first_release_has_a_page_without_flips(world: World) -> None:
    now = world.version({number: [object_at(0)] for number in range(6)})
    first = compare(world.model("new", {number: [found(0)] for number in range(6)}), None, now, None, world.settings)
    verdict = judge([parse_rule("recall.all.min", 0.9), parse_rule("map50.old_data.max_drop", 0.03)], first)
    text = _Page(render_matrix_html(first, verdict)).text
    assert "nothing: there is no baseline, this is the first release" in text
    assert "Skipped: no baseline yet" in text
    assert "Flips" not in text
    text = matrix_markdown(first, verdict).replace("no baseline yet", "").replace("a baseline.", "")
    assert "baseline" not in text.replace("Baseline: none", "")


@pytest.mark.parametrize("latency", [None, Latency(400, 8.0, 12.0, 8.1, 10.0, (0.9, 1.1), (0.72, 1.5))])
def test_latency_is_shown_or_said_to_be_missing(world: World, latency: Latency | None) -> None:
    matrix, verdict = judged(world)
    html = render_matrix_html(replace(matrix, measured=replace(matrix.measured, latency=latency)), verdict)
    assert ("12.0 ms" in html) == (latency is not None)
    assert ("1.20 (0.72 to 1.50)" in html) == ("on the same images: 400 pairs" in html) == (latency is not None)
    assert ("Latency was not measured" in html) == (latency is None)


def test_a_page_of_real_images_embeds_each_of_them_once_and_small(world: World, samples_dir: Path) -> None:
    photographs = sorted((samples_dir / "bccd" / "images").glob("*.jpg"))[:6]
    planted = world.version({number: [object_at(0)] for number in range(6)})
    images = {sample.id: LocalImage(path, sha256_file(path)) for sample, path in zip(planted.samples, photographs, strict=True)}
    samples = tuple(replace(sample, width_px=640, height_px=480) for sample in planted.samples)
    baseline = world.model("old", {})
    cache = PredictionCache(world.settings.cache_dir, prediction_key(baseline))
    right = Detections(np.array([found(0)[0]], np.float32), np.array([0.9], np.float32), np.array([0]))
    cache.write({image.sha256: TASK_TYPE.pack(right) for image in images.values()})
    now = replace(planted, samples=samples, images=images)
    candidate = world.model("new", {0: [found(8)]})  # knows no photograph: finds nothing
    matrix = compare(candidate, baseline, now, now, world.settings, n_latency_images=0)
    html = render_matrix_html(matrix, judge([], matrix))
    assert matrix.require_cell("old_data").n_flips["negative"][""] == 6
    drawn = embedded(html)[1]
    assert len(drawn) == 6 and all(len(base64.b64decode(picture)) > 10_000 for picture, _ in drawn)
    assert len(html) < 6 * 100_000 + 80_000


def told(matrix: Matrix, verdict: Verdict) -> tuple[Matrix, Verdict]:
    """The same with what other rooms fill in: intervals, further columns, counter-examples, a remedy, a waiver, authors."""
    old = matrix.require_cell("old_data")
    intervals: Intervals = {
        "candidate": {"recall": {"": (0.41, 0.59)}},
        "difference": {"recall": {"": (-0.62, -0.38)}, "precision": {"": (-0.6, 0.1)}},
    }
    errors = {"tide_missed": {"": 0.25}, "recall": {**old.candidate["recall"], "@small": 0.4}}
    first = replace(matrix.cells[0], intervals=intervals, candidate={**old.candidate, **errors})
    further = (replace(old, name="superseded", kind="superseded"), replace(old, name="label:plate", kind="label"))
    flips = tuple(replace(flip, version="v1", author="anna") if flip.kind == "negative" else flip for flip in matrix.flips)
    results = list(verdict.results)
    results[0] = replace(
        results[0],
        interval=(0.41, 0.59),
        counter_examples=("planted/s0007", "planted/s0003"),
        remedy="label about 40 more samples.",
        waiver=Waiver("the camera is replaced", "grace", "2027-06-30"),
    )
    changed = replace(matrix, cells=(first, *matrix.cells[1:], *further), flips=flips)
    return changed, replace(verdict, results=tuple(results))


def test_what_a_rule_says_stands_beside_it(world: World) -> None:
    matrix, verdict = told(*judged(world))
    html = render_matrix_html(matrix, verdict)
    text = _Page(html).text
    for page in (text, matrix_markdown(matrix, verdict)):
        assert "label about 40 more samples." in page
        assert "grace" in page and "2027-06-30" in page and "the camera is replaced" in page
    links = {attributes.get("href") for tag, attributes in _Page(html).tags if tag == "a"}
    assert {"#flip-4", "#flip-8"} <= links  # planted/s0003 and s0007 in the gallery
    table = embedded(html)[0]
    assert [table["rules"][rule] for rule in table["images"][3][5]] == [verdict.results[0].key]
    assert 'aria-label="0.500 (0.410 to 0.590), limit 0.9"' in html


def test_a_counter_example_without_a_flip_is_shown_after_the_flips(world: World) -> None:
    matrix, verdict = judged(world)
    matrix = replace(matrix, flips=tuple(flip for flip in matrix.flips if flip.sample_id != "s0005"))
    named = replace(verdict.results[0], counter_examples=("planted/s0005", "planted/absent"))
    html = render_matrix_html(matrix, replace(verdict, results=(named,)))
    images = embedded(html)[0]["images"]
    assert (images[-1][0], images[-1][4]) == ("planted/s0005", [])
    assert "planted/absent" in _Page(html).text and f"#flip-{len(images)}" in html


def test_intervals_and_further_columns_are_explained_where_they_are(world: World) -> None:
    plain, verdict = judged(world)
    matrix, _ = told(plain, verdict)
    text, without = (_Page(render_matrix_html(item, verdict)).text for item in (matrix, plain))
    for words in ("test images of the baseline's version that were removed", "Labels that only one model knows"):
        assert words in text and words not in without
    assert "0.410 to 0.590" in text and "−0.620 to −0.380" in text and "Small objects" in text
    rows = {row["metric"] + row["of"]: row["all"] for row in plain_rows(matrix.cells)}
    assert rows["recalldifference"] == "−0.500 worse (−0.620 to −0.380)"
    assert rows["precisiondifference"].startswith("−0.500 worse? (")
    assert rows["no box near the objectcandidate"] == "0.250"


def test_the_version_and_the_author_of_a_label_go_with_its_flip(world: World) -> None:
    table = embedded(render_matrix_html(*told(*judged(world))))[0]
    flips = table["images"][0][4]
    assert [(flip[3], flip[4]) for flip in flips] == [(0, 0), (-1, -1)]  # a new false object has neither
    assert (table["versions"], table["authors"]) == (["v1"], ["anna"])


def test_a_noise_floor_stands_beside_the_flips(world: World) -> None:
    matrix, verdict = judged(world)
    noise = SeedNoise("counter", "old", "", (), (1,), ("other",), "object", (NoiseInCell("all", 24, (3,)),), {})
    html = render_matrix_html(replace(matrix, seed_noise=noise), verdict)
    assert "Measured against chance: 3 of 24 objects flip by the seed alone." in _Page(html).text


def test_superseded_samples_have_their_flips_and_an_incomparable_matrix_says_why(world: World) -> None:
    before = world.version({number: [object_at(0)] for number in range(9)}, tag="v1")
    now = world.version({number: [object_at(0)] for number in range(2, 9)})
    now.images["s0008"].path.write_bytes(b"no image")
    candidate = world.model("new", {3: []})
    baseline = world.model("old", {number: [found(0)] for number in range(9)})
    matrix = compare(candidate, baseline, now, before, world.settings, n_latency_images=0)
    html = render_matrix_html(matrix, judge([], matrix))
    images = [row[0] for row in embedded(html)[0]["images"]]
    assert images[0] == "planted/s0002" and images[-2:] == ["planted@v1/s0000", "planted@v1/s0001"]
    text = _Page(html).text
    assert matrix.incomparable and matrix.incomparable in text
    assert "that were removed, relabelled or re-imaged since, on their old" in text
    assert "not scored: the image cannot be read" in text
