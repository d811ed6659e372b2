"""What the flip gallery says of an image, in which order, and where it puts names and numbers."""

import json
from pathlib import Path
from typing import Any

import pytest

from lakegate.evaluation.comparing import compare
from lakegate.evaluation.gallery import make_gallery
from lakegate.evaluation.gate import judge
from lakegate.evaluation.matrix import Matrix
from lakegate.evaluation.report import render_matrix_html
from tests.evaluation.planted import World, found, object_at
from tests.evaluation.test_matrix_browser import CHROMIUM, opened, with_script

LABELS = ("helmet of somebody", "plate")
BESIDE = ((7.4, 2.0, 23.4, 18.0), 0.8, 0)  # overlaps the object at place 0 by 0.495
PLACES = """
setTimeout(() => {
  const box = item => item.getBoundingClientRect(), cards = [...document.querySelectorAll(".flip")];
  const cross = (a, b, from, to) => a[from] < b[to] - .5 && b[from] < a[to] - .5;
  const meet = (a, b) => cross(a, b, "left", "right") && cross(a, b, "top", "bottom");
  const leaves = (a, whole) => ["left", "top"].some(side => a[side] < whole[side] - .5)
    || ["right", "bottom"].some(side => a[side] > whole[side] + .5);
  const measure = card => [...card.querySelectorAll(".picture")].map(picture => {
    const whole = box(picture), boxes = selector => [...picture.querySelectorAll(selector)].map(box);
    const marks = boxes("circle"), names = boxes("text.name");
    const all = [...marks, ...names], heaps = all.filter((a, at) => all.slice(at + 1).some(b => meet(a, b))).length;
    const outside = all.filter(a => leaves(a, whole)).length;
    return [marks.length, names.length, heaps, outside];
  });
  const measured = () => cards.map((_, at) => measure(document.querySelectorAll(".flip")[at]));
  const few = measured();
  const notes = [...cards[1].querySelectorAll(".notes li")].map(item => item.textContent);
  document.querySelector('[data-do="names"]').click();
  document.title = JSON.stringify({few, all: measured(), notes, said: document.querySelector(".said").textContent});
}, 300);
"""


def planted(world: World) -> Matrix:
    """Image 0: nothing, a low score and a box beside the object; 1 and 2: a low score, nothing; 3: nine objects, all missed."""
    objects = {0: (0, 1, 2), 1: (4,), 2: (4,), 3: range(9)}
    now = world.version(
        {number: [object_at(at, LABELS[0]) for at in places] for number, places in objects.items()}, labels=LABELS
    )
    was = {number: [found(at) for at in places] for number, places in objects.items()}
    answers = {0: [BESIDE, found(2, 0.2)], 1: [found(4, 0.25)], 2: [], 3: []}
    models = world.model("new", answers, LABELS), world.model("old", was, LABELS)
    return compare(*models, now, None, world.settings, n_latency_images=0)


def test_the_largest_change_comes_first_and_one_object_is_not_told_as_two(world: World) -> None:
    gallery = make_gallery(planted(world))
    assert list(gallery.number_of) == [f"planted/s000{number}" for number in (3, 0, 2, 1)]
    flips: list[list[Any]] = gallery.table["images"][1][4]
    told = [(gallery.table["kinds"][flip[0]], flip[5], flip[10]) for flip in flips]
    assert told == [("negative", 22, -1), ("negative", 42, -1), ("negative", 2, 3), ("new_false", 7.4, 2)]
    assert "IoU just under 0.5, and the boxes overlap" in flips[2][9] and "by only just under 0.5" in flips[3][9]


def test_pictures_say_what_each_model_finds(world: World) -> None:
    gallery = make_gallery(planted(world))
    assert [caption for _, caption, _ in gallery.chunks[0][1][1]] == [
        "3 objects",
        "found 3 of 3, 0 false",
        "found 0 of 3 (baseline 3 of 3), 1 false (baseline 0)",
    ]


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is absent: the page cannot be tried")
def test_names_and_numbers_stay_inside_the_picture_and_off_each_other(world: World, tmp_path: Path) -> None:
    """Of more than four objects in a picture the names are asked for; the numbers are always there."""
    matrix = planted(world)
    shown = json.loads(opened(with_script(render_matrix_html(matrix, judge([], matrix)), PLACES, tmp_path)))
    few, named = shown["few"], shown["all"]
    assert [[names for _, names, _, _ in card] for card in few] == [[0, 0, 0], [0, 0, 4], [0, 0, 1], [0, 0, 1]]
    assert [[names for _, names, _, _ in card] for card in named] == [[9, 9, 9], [3, 3, 4], [1, 1, 1], [1, 1, 1]]
    assert [card[0][0] for card in named] == [9, 4, 1, 1]
    assert [picture[2:] for card in (*few, *named) for picture in card] == [[0, 0]] * 24
    assert shown["notes"][2].endswith("The same object, see 4.") and shown["notes"][3].endswith("The same object, see 3.")
    assert shown["said"] == "4 images, 15 flips"
