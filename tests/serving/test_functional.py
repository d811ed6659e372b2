"""lakegate/serving/functional*.py: cases are read strictly, and answers are judged by labels."""

import json
from pathlib import Path

import pytest

from lakegate.catalog import load_dataset, load_model, model_names, split_reference
from lakegate.detections import FoundObject
from lakegate.errors import BadDeclaration, BadInput, ServingError, UnknownLabel
from lakegate.samples import Annotation, Sample
from lakegate.serving.functional import failures, in_short, run_functional, unmet
from lakegate.serving.functional_cases import (
    FunctionalCase,
    ReadyCase,
    case_from_labels,
    cases_digest,
    load_cases,
    read_case_image,
)
from lakegate.serving.server import Answer
from lakegate.settings import Settings

CHECKOUT = Path(__file__).resolve().parents[2]
LABELS = ("RBC", "WBC")
CASE = {
    "sample": "cells@v1/north/0001",
    "expect": {"objects": [{"label": "WBC", "bbox": [10, 20, 40, 40]}], "counts": {"RBC": {"min": 1, "max": 2}}},
    "why": "one white cell",
}
WHITE = FoundObject("WBC", 0.9, (10, 20, 50, 60))
RED = FoundObject("RBC", 0.8, (60, 60, 80, 80))


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "models" / "counter" / "functional").mkdir(parents=True)
    return Settings(checkout=tmp_path)


def write(settings, file="first.json", **changes):
    path = settings.models_dir / "counter" / "functional" / file
    path.write_text(json.dumps({key: value for key, value in {**CASE, **changes}.items() if value is not None}))
    return path


def ready(**changes):
    return ReadyCase(FunctionalCase.model_validate({**CASE, "name": "first", **changes}), b"jpeg")


class Answers:
    """Gives one answer after another, and keeps what it was asked."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def ask(self, model, image, protocol, sampled):
        self.asked.append((model, image, protocol, sampled))
        answer = self.answers.pop(0)
        if isinstance(answer, ServingError):
            raise answer
        return answer if isinstance(answer, Answer) else Answer(answer, 3)


def test_the_cases_of_this_repository_are_valid_and_name_samples_of_their_models_data():
    settings = Settings(checkout=CHECKOUT)
    for model in model_names(settings):
        train = [split_reference(item)[0] for item in load_model(settings, model).data.train]
        cases = load_cases(settings, model, load_dataset(settings, train[0]).labels)
        assert len(cases) >= 3
        assert {case.sample.split("@")[0] for case in cases} <= set(train)
        assert all(case.expect.objects and case.expect.counts for case in cases)


def test_a_case_is_named_by_its_file_and_cases_come_in_that_order(settings):
    write(settings, "second.json")
    write(settings, "first.json")
    assert [case.name for case in load_cases(settings, "counter", LABELS)] == ["first", "second"]
    assert load_cases(settings, "other", LABELS) == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"smaple": "x"}, "unknown key 'smaple'; did you mean 'sample'"),
        ({"expect": {"objects": [{"label": "WBC", "bbx": [1, 2, 3, 4]}]}}, r"unknown key 'bbx' in \[expect.objects.0\]; did"),
        ({"expect": {"objects": [{"label": "WBC", "bbox": [1, 2, 0, 4]}]}}, "expect.objects.0.bbox.*above 0"),
        ({"expect": {"objects": [{"label": "WBC", "bbox": [1, 2, 3, 4], "min_iou": 1.5}]}}, "expect.objects.0.min_iou"),
        ({"expect": {"counts": {"RBC": {"min": 3, "max": 2}}}}, "expect.counts.RBC.*min = 3 is above max = 2"),
        ({"expect": {}}, "nothing is expected"),
        ({"why": None}, "'why' is missing"),
        ({"sample": "cells/0001"}, "expected dataset@version/sample id"),
        ({"image": "one.jpg"}, "exactly one of"),
        ({"sample": None, "image": "../one.jpg"}, "not a file in this folder"),
    ],
)
def test_a_slip_names_file_and_key(settings, changes, words):
    path = write(settings, **changes)
    with pytest.raises(BadDeclaration, match=words) as caught:
        load_cases(settings, "counter", LABELS)
    assert str(caught.value).startswith(str(path))


def test_an_unknown_label_is_named_with_the_nearest(settings):
    write(settings, expect={"counts": {"WBCs": {"min": 1}}})
    with pytest.raises(UnknownLabel, match=r"expect.counts.WBCs.*did you mean 'WBC'"):
        load_cases(settings, "counter", LABELS)


def test_two_cases_of_one_name_and_broken_json_are_refused(settings):
    write(settings, "first.json", name="same")
    path = write(settings, "second.json", name="same")
    with pytest.raises(BadDeclaration, match="two cases are named 'same'"):
        load_cases(settings, "counter", LABELS)
    path.write_text("{")
    with pytest.raises(BadDeclaration, match=r"second\.json: not JSON"):
        load_cases(settings, "counter", LABELS)


def test_an_image_beside_the_case_may_be_the_request(settings):
    write(settings, sample=None, image="one.jpg").with_name("one.jpg").write_bytes(b"bytes")
    (case,) = load_cases(settings, "counter", LABELS)
    assert read_case_image(settings, "counter", case) == b"bytes"
    with pytest.raises(BadInput, match=r"two\.jpg cannot be read"):
        read_case_image(settings, "counter", case.model_copy(update={"image": "two.jpg"}))


def test_the_digest_counts_expectations_and_image_bytes():
    digests = {cases_digest([item]) for item in (ready(), ready(why="another reason"), ReadyCase(ready().case, b"other"))}
    assert len(digests) == 3 and cases_digest([ready()]) in digests


def test_an_answer_as_labelled_meets_the_case():
    assert unmet(ready().case.expect, [WHITE, RED]) == []


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([RED], ["WBC at [10, 20, 40, 40] px was not found: best IoU 0.00, at least 0.50 is expected"]),
        ([RED, FoundObject("RBC", 0.9, WHITE.box_xyxy_px)], ["WBC at [10, 20, 40, 40] px was not found"]),
        ([RED, FoundObject("WBC", 0.9, (40, 20, 80, 60))], ["best IoU 0.14"]),
        ([WHITE], ["0 objects of RBC were found, 1 to 2 are expected"]),
        ([WHITE, RED, RED, RED], ["3 objects of RBC were found, 1 to 2 are expected"]),
    ],
)
def test_what_is_missing_misplaced_mislabelled_or_too_much_is_said(found, words):
    problems = unmet(ready().case.expect, found)
    assert len(problems) == len(words)
    assert all(word in problem for word, problem in zip(words, problems, strict=True))


def test_one_found_object_cannot_stand_for_two_labelled_ones():
    twice = {"objects": [{"label": "WBC", "bbox": [10, 20, 40, 40]}, {"label": "WBC", "bbox": [12, 20, 40, 40]}]}
    assert len(unmet(ready(expect=twice).case.expect, [WHITE])) == 1


def test_each_case_is_sent_over_http_and_grpc():
    server = Answers([WHITE, RED], [WHITE, RED])
    outcomes = run_functional(server, "counter", 3, [ready()])
    assert [(item.protocol, item.outcome) for item in outcomes] == [("http", "pass"), ("grpc", "pass")]
    assert server.asked == [("counter", b"jpeg", "http", False), ("counter", b"jpeg", "grpc", False)]
    assert failures(outcomes) == []


def test_a_failed_one_is_repeated_once_and_called_flaky_where_it_then_passes():
    server = Answers(ServingError("connection reset"), [WHITE, RED], [RED], [RED])
    first, second = run_functional(server, "counter", 3, [ready()])
    assert (first.outcome, second.outcome) == ("flaky", "fail")
    assert "connection reset" in first.sentence and "passed when it was repeated" in first.sentence
    assert "the same when repeated" in second.sentence and "one white cell" in second.sentence
    assert failures([first, second])[0].startswith("first over grpc: WBC at")
    assert in_short([first, second]) == "of 2 functional requests 0 passed, 1 flaky, 1 failed"


def test_an_answer_of_another_release_is_no_answer():
    other = Answer([WHITE, RED], 2)
    outcomes = run_functional(Answers(other, other, other, other), "counter", 3, [ready()])
    assert {item.outcome for item in outcomes} == {"fail"} and "release 2 answered, expected release 3" in outcomes[0].sentence


def test_a_case_is_drafted_from_labels_and_never_from_an_answer():
    boxes = [("WBC", (10.0, 20.0, 40.0, 40.0)), ("WBC", (0.0, 0.0, 5.0, 5.0))]
    boxes += [("RBC", (float(n), 0.0, 9.0, 9.0)) for n in range(5)]
    sample = Sample("north/1", 100, 100, tuple(Annotation(label, box) for label, box in boxes))
    case = case_from_labels("cells@v1", sample, "WBC")
    assert (case.name, case.sample) == ("north-1", "cells@v1/north/1")
    assert case.expect.objects[0].bbox == (10, 20, 40, 40)
    assert {label: (limits.min, limits.max) for label, limits in case.expect.counts.items()} == {"RBC": (2, 8), "WBC": (1, 3)}
    with pytest.raises(BadInput, match="no box of 'Platelets'"):
        case_from_labels("cells@v1", sample, "Platelets")
