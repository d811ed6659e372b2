"""The validation report, as page and as JSON."""

import json
import re
from base64 import b64decode
from urllib.parse import unquote

import pytest

from lakegate.catalog import parse_dataset
from lakegate.formats.importing import import_export
from lakegate.gate_rules import Outcome
from lakegate.quality.report import Heading, render_validation_html, report_json
from lakegate.quality.validation import screen, validate
from lakegate.samples import ImportedSample
from lakegate.settings import Settings
from tests.quality.building import a_box, a_declaration, a_sample, good_imports, write_jpeg

HEADING = Heading("animals", "v1", commit="c" * 64, content_digest="d" * 64)
BLOOD_CELLS = 'task = "detection"\nlabels = ["RBC", "WBC", "Platelets"]\non_bad_sample = "quarantine"\n'
DIFF = {"samples": {"added": 92}, "objects": {"moved": 47}, "labels": {"added": ["<i>new</i>"], "renamed": {"red": "RBC"}}}


@pytest.fixture
def here(tmp_path):
    return Settings(home=tmp_path / "home", threads=2)


def pages_of(imported, declaration, here, problems=(), heading=HEADING, diff=None):
    """Screen, validate what is left, and return (page, JSON) as the publishing flow does."""
    screening = screen(imported, declaration, problems, here)
    images = {item.sample.id: item.image for item in imported}
    samples = [item.sample for item in imported]
    result = validate([item.sample for item in screening.good], images, declaration, (), here)
    page = render_validation_html(result, screening.quarantined, images, heading, samples, declaration, diff)
    return page, report_json(result, screening.quarantined, heading, samples, declaration, diff)


def table_in(page):
    """Return what the page's gallery lists."""
    return json.loads(re.search(r'id="gallery-table">(.*?)</script>', page, re.DOTALL)[1])


def pictures_in(page):
    """Return (has a JPEG, else why not) for each picture that the page holds."""
    chunks = re.findall(r'class="gallery-pictures">(.*?)</script>', page, re.DOTALL)
    return [(b64decode(data).startswith(b"\xff\xd8"), why) for chunk in chunks for data, why, *_ in json.loads(chunk)]


def addresses_in(page):
    """Return everything that a browser would fetch for the page."""
    return re.findall(r"""(?:src|href|srcset|data|action)=["']?([^"'\s>]+)|url\(([^)]+)\)|@import\s+(\S+)""", unquote(page))


def test_the_page_says_the_verdict_in_a_sentence_and_shows_the_quarantined_sample_with_its_box(tmp_path, here):
    flat = a_sample("flat", annotations=(a_box(width=0, height=12),), source={"file": "Annotations/flat.xml"})
    imported = [*good_imports(tmp_path), ImportedSample(flat, write_jpeg(tmp_path / "flat.jpg", 80))]
    page, _ = pages_of(imported, a_declaration(), here)
    assert "4 samples pass all 15 rules. 1 sample is quarantined: it is not part of this version." in page
    assert "box 1 &#39;cat&#39; has no area: width 0 px, height 12 px" in page and "Annotations/flat.xml" in page
    assert [row[:2] for row in pictures_in(page)] == [(True, "")] * 5, "the quarantined one, and the four good ones"
    table = table_in(page)
    assert (table["id"][:4], table["id"][4:]) == ([f"good{number}" for number in range(4)], ["flat"])
    ((row, _, reason, file, is_out),) = table["problem"]
    assert (table["id"][row], file, is_out) == ("flat", "Annotations/flat.xml", 1) and "has no area" in reason


def test_the_page_fetches_nothing_and_a_label_cannot_become_code(tmp_path, here):
    evil = "<script>alert(1)</script>"
    declaration = parse_dataset("animals", f'task = "detection"\nlabels = ["cat", "{evil}"]\non_bad_sample = "quarantine"\n')
    bad = a_sample("evil", annotations=(a_box(label=evil, width=0), a_box(label=evil)))
    imported = [*good_imports(tmp_path), ImportedSample(bad, write_jpeg(tmp_path / "evil.jpg", 81))]
    page, _ = pages_of(imported, declaration, here, diff=DIFF)
    assert evil not in page and "&lt;script&gt;" in page and "&lt;i&gt;new" in page
    assert table_in(page)["labels"] == ["cat", evil]
    assert page.count("<script") == page.count("</script>") == 3, "the table, one chunk of pictures, and what draws them"
    assert all("".join(address).startswith("data:image/") for address in addresses_in(page))
    assert not re.search(r"https?://", page)


def test_a_broken_file_gets_a_placeholder_and_its_reason(tmp_path, here):
    (tmp_path / "page.jpg").write_text("<!DOCTYPE html>")
    imported = [*good_imports(tmp_path), ImportedSample(a_sample("page"), tmp_path / "page.jpg")]
    page, _ = pages_of(imported, a_declaration(), here)
    assert "a web page; download the image itself" in page
    assert sorted(pictures_in(page))[0] == (False, "this file cannot be shown as a picture")


def test_a_failing_version_says_so_and_puts_the_broken_rules_first(tmp_path, here):
    imported = [*good_imports(tmp_path), ImportedSample(a_sample("odd", width_px=1), write_jpeg(tmp_path / "odd.jpg", 82))]
    samples, images = [i.sample for i in imported], {i.sample.id: i.image for i in imported}
    result = validate(samples, images, a_declaration(), (), here)
    page = render_validation_html(result, [], images, HEADING, samples, a_declaration())
    assert result.outcome is Outcome.FAIL and "1 of 5 samples has problems; 1 of 15 rules are broken." in page
    rows = re.findall(r"<code class=\"soft\">(\w+)</code>", page)
    assert rows[0] == "size_matches" and "Samples that break a rule" in page


def test_what_the_import_said_stands_on_the_page_and_in_the_json(tmp_path, here):
    imported, declaration = good_imports(tmp_path), a_declaration()
    samples, images = [item.sample for item in imported], {item.sample.id: item.image for item in imported}
    result, notes = validate(samples, images, declaration, (), here), ["3 polylines were not read: <road>"]
    page = render_validation_html(result, [], images, HEADING, samples, declaration, import_notes=notes)
    data = report_json(result, [], HEADING, samples, declaration, import_notes=notes)
    assert "<li>3 polylines were not read: &lt;road&gt;</li>" in page and json.loads(data)["import_notes"] == notes


def test_equal_content_gives_equal_reports(tmp_path, here):
    imported = good_imports(tmp_path)
    assert pages_of(imported, a_declaration(), here) == pages_of(imported[::-1], a_declaration(), here)


def test_the_json_holds_what_the_page_says(tmp_path, here):
    flat = ImportedSample(a_sample("flat", annotations=(a_box(width=0),)), write_jpeg(tmp_path / "flat.jpg", 83))
    _, data = pages_of([*good_imports(tmp_path), flat], a_declaration(), here, diff=DIFF)
    content = json.loads(data)
    assert (content["outcome"], content["samples"], content["splits"]) == ("pass", 4, {"train": 2, "test": 2})
    assert content["labels"] == {"cat": 4, "dog": 0} and content["diff"] == DIFF
    assert [item["sample_id"] for item in content["quarantined"]] == ["flat"]
    assert len(content["rules_digest"]) == 64


def test_the_two_boxes_without_area_of_the_blood_cells_are_named(samples_dir, here):
    folder = samples_dir / "bccd"
    names = set((folder / "demo_v1.txt").read_text().split())
    declaration = parse_dataset("blood-cells", BLOOD_CELLS)
    found = import_export(folder / "v3_shenggan_2019_voc", folder / "images", declaration, "voc", names)
    screening = screen(found.samples, declaration, found.problems, here)
    assert [problem.sample_id for problem in screening.quarantined] == ["BloodImage_00338", "BloodImage_00343"]
    assert all("has no area: width 0 px, height 0 px" in problem.reason for problem in screening.quarantined)
    assert len(screening.good) == 198
    page, _ = pages_of(found.samples, declaration, here, found.problems, Heading("blood-cells", "v1"))
    assert "198 samples pass all 15 rules. 2 samples are quarantined" in page
    assert [reason[-36:] for _, _, reason, *_ in table_in(page)["problem"]] == ["has no area: width 0 px, height 0 px"] * 2
