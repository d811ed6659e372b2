"""Self-contained pages: pictures inside, everything escaped."""

import re
from pathlib import Path
from urllib.parse import unquote

import jinja2
import numpy as np
import pytest

from lakegate.errors import BadImage
from lakegate.html import DrawnBox, placeholder, render, thumbnail


def picture(height_px=300, width_px=600):
    return np.full((height_px, width_px, 3), 120, np.uint8)


def test_a_picture_without_boxes_is_a_jpeg_data_uri():
    assert thumbnail(picture()).startswith("data:image/jpeg;base64,")


def test_boxes_are_scaled_with_the_picture_and_the_longer_side_is_kept_to():
    svg = unquote(thumbnail(picture(), [DrawnBox((60, 30, 120, 90), "cat", "hit")], max_side_px=300))
    assert 'viewBox="0 0 300 150"' in svg
    assert '<rect x="30.0" y="15.0" width="30.0" height="30.0"' in svg and ">cat</text>" in svg


def test_a_small_picture_is_not_enlarged():
    assert 'viewBox="0 0 20 10"' in unquote(thumbnail(picture(10, 20), [DrawnBox((1, 1, 5, 5))], max_side_px=300))


def test_a_box_without_area_is_drawn_as_a_cross_over_the_others():
    svg = unquote(thumbnail(picture(), [DrawnBox((100, 100, 100, 100), "flat", "bad"), DrawnBox((1, 1, 9, 9))]))
    assert svg.index("<path d=") > svg.index('width="4.3"')


@pytest.mark.parametrize("label", ["<script>alert(1)</script>", 'a" onload="x', "Zelle & Kern", "赤血球"])
def test_a_label_cannot_break_out_of_the_picture(label):
    uri = thumbnail(picture(), [DrawnBox((1, 1, 50, 50), label)])
    assert re.fullmatch(r"[!-~ ]+", uri) and not set('<>"') & set(uri)
    assert "<script>" not in unquote(uri)


def test_a_file_that_is_no_picture_is_an_error_and_a_placeholder_can_stand_for_it(tmp_path):
    (tmp_path / "page.jpg").write_text("<html>")
    with pytest.raises(BadImage, match=r"page\.jpg"):
        thumbnail(tmp_path / "page.jpg")
    assert "no &lt;picture&gt;" in unquote(placeholder("no <picture>"))


def test_a_value_that_a_template_needs_and_does_not_get_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        render("validation.html.j2")


def test_the_verdict_is_word_and_symbol_and_not_colour_alone():
    parts = (Path(__file__).parents[1] / "lakegate" / "templates" / "parts.html.j2").read_text()
    assert all(word in parts for word in ("✓", "✗", "PASS", "FAIL", "NOT ENOUGH DATA"))
