"""lakegate/slices.py: predicates over samples, parsed and never executed."""

import pytest

from lakegate.errors import BadDeclaration
from lakegate.samples import Annotation, Sample
from lakegate.slices import FIELDS, labels_named, parse_predicate

NIGHT = Sample(
    "north/0001", 640, 480, (Annotation("RBC"), Annotation("RBC"), Annotation("WBC")), "test", "camera-3", ("night",)
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("objects >= 3", True),
        ("objects > 3", False),
        ("  objects != 2  ", True),
        ("2 <= objects < 4", True),
        ("2 <= objects < 3", False),
        ("width == 640 and height == 480", True),
        ('split == "test"', True),
        ('group == "camera-3" or objects > 9', True),
        ('"night" in tags', True),
        ('"night" not in tags', False),
        ('not "rain" in tags', True),
        ('"WBC" in labels', True),
        ('"Platelets" in labels', False),
        ('count("RBC") == 2', True),
        ('count("RBC") > count("WBC")', True),
        ('"north/" in name', True),
        ("objects", True),
    ],
)
def test_a_predicate_chooses_samples(text, expected):
    assert parse_predicate(text)(NIGHT) is expected


def test_every_field_can_be_asked_for():
    assert all(parse_predicate(name)(NIGHT) for name in FIELDS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("object >= 3", "no field is called 'object'; did you mean 'objects'?"),
        ("brightness > 3", "no field is called 'brightness'; known: group, height"),
        ("objects >=", "is not a predicate: invalid syntax; write for example: objects >= 15"),
        ("", "is not a predicate"),
        ("objects = 3", "is not a predicate"),
        ("objects + 1 > 3", "only comparisons of objects, width"),
        ("objects is 3", "only comparisons"),
        ('count("RBC", "WBC") > 1', "only comparisons"),
        ("count(RBC) > 1", "only comparisons"),
        ("None", "only comparisons"),
        ('objects >= "15"', r"a number \(objects\) cannot be compared so with a text"),
        ("width > 9 and objects >= '15'", "cannot be compared so"),
        ('"night" in objects', "cannot be compared so with a number"),
        ('labels == "WBC"', r"a list \(labels\).* \"night\" in tags"),
        ("tags < labels", "cannot be compared so with a list"),
        ("3 in tags", "cannot be compared so"),
        ("(objects > 1) == (width > 1)", r"a condition \(objects > 1\)"),
        ('split == "tset"', "no split is called 'tset'; did you mean 'test'?"),
        ('"training" != split', "no split is called 'training'; did you mean 'train'?"),
    ],
)
def test_what_is_no_predicate_is_refused_with_the_reason(text, message):
    with pytest.raises(BadDeclaration, match=message):
        parse_predicate(text)


@pytest.mark.parametrize(
    "text",
    [
        '__import__("os").system("true")',
        "().__class__",
        "[x for x in tags]",
        "lambda: 1",
        "tags[0]",
        "(objects := 3)",
        "f'{objects}'",
    ],
)
def test_nothing_of_python_but_comparisons_is_let_in(text):
    with pytest.raises(BadDeclaration, match="only comparisons"):
        parse_predicate(text)


def test_the_labels_that_a_predicate_names_are_found():
    assert labels_named('count("RBC") > 3 or not ("WBC" in labels and "night" in tags)') == {"RBC", "WBC"}
