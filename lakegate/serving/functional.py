"""Functional tests: real requests to a served model over HTTP and gRPC, judged by labels."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, Protocol

import numpy as np

from lakegate.detections import FoundObject, iou_matrix
from lakegate.errors import LakegateError
from lakegate.registry.documents import FunctionalOutcome
from lakegate.serving.functional_cases import Expectation, ExpectedObject, ReadyCase
from lakegate.serving.server import Answer

Way = Literal["http", "grpc"]
WAYS: tuple[Way, ...] = ("http", "grpc")


class Answering(Protocol):
    """What a functional test needs of a server; :class:`lakegate.serving.server.TritonServer` has it."""

    def ask(self, model: str, image: bytes, protocol: Way, sampled: bool) -> Answer:
        """Return what the served model finds in an encoded image, and the release that found it."""


def run_functional(server: Answering, model: str, number: int, cases: Sequence[ReadyCase]) -> tuple[FunctionalOutcome, ...]:
    """Send each case over HTTP and over gRPC; one that fails is repeated once, and called flaky where it then passes.

    An answer of another release than ``number`` is a failure. The images are kept out of the sampled frames.
    """
    return tuple(_run_case(partial(_problems, server, model, number, item, way), item, way) for item in cases for way in WAYS)


def _run_case(problems: Callable[[], list[str]], item: ReadyCase, way: Way) -> FunctionalOutcome:
    first = problems()
    if not first:
        return FunctionalOutcome(name=item.case.name, protocol=way, outcome="pass", sentence=_met(item.case.expect))
    second = problems()
    if not second:
        sentence = f"failed first ({'; '.join(first)}), passed when it was repeated"
        return FunctionalOutcome(name=item.case.name, protocol=way, outcome="flaky", sentence=sentence)
    again = "the same when repeated" if second == first else f"when repeated: {'; '.join(second)}"
    sentence = f"{'; '.join(first)} ({again}). Why it counts: {item.case.why}"
    return FunctionalOutcome(name=item.case.name, protocol=way, outcome="fail", sentence=sentence)


def _problems(server: Answering, model: str, number: int, item: ReadyCase, way: Way) -> list[str]:
    try:
        answer = server.ask(model, item.image, way, False)
    except LakegateError as error:
        return [f"no answer: {error}"]
    if answer.release != number:
        return [f"release {answer.release} answered, expected release {number}"]
    return unmet(item.case.expect, answer.objects)


def unmet(expectation: Expectation, found: Sequence[FoundObject]) -> list[str]:
    """Return one sentence for each expectation that an answer does not meet; empty where it meets them all."""
    problems = []
    ious = _best_ious(expectation.objects, found)
    for wanted, iou in zip(expectation.objects, ious, strict=True):
        if iou < wanted.min_iou:
            place = ", ".join(f"{side:g}" for side in wanted.bbox)
            problems.append(
                f"{wanted.label} at [{place}] px was not found: best IoU {iou:.2f}, at least {wanted.min_iou:.2f} is expected"
            )
    for label, limits in expectation.counts.items():
        n_found = sum(item.label == label for item in found)
        if n_found < limits.min or (limits.max is not None and n_found > limits.max):
            upper = "any number" if limits.max is None else str(limits.max)
            problems.append(f"{n_found} objects of {label} were found, {limits.min} to {upper} are expected")
    return problems


def _best_ious(wanted: Sequence[ExpectedObject], found: Sequence[FoundObject]) -> list[float]:
    """Give each wanted object a found one of its own label, best overlap first; 0 where none is left."""
    ious = [0.0] * len(wanted)
    if not wanted or not found:
        return ious
    boxes = [np.array([item.box_xyxy_px for item in group], np.float32) for group in (wanted, found)]
    iou_WF = iou_matrix(boxes[0], boxes[1])
    iou_WF[np.array([item.label for item in wanted])[:, None] != np.array([item.label for item in found])[None, :]] = 0.0
    while iou_WF.max() > 0:
        row, column = np.unravel_index(int(iou_WF.argmax()), iou_WF.shape)
        ious[row] = float(iou_WF[row, column])
        iou_WF[row, :] = iou_WF[:, column] = 0.0
    return ious


def _met(expectation: Expectation) -> str:
    parts = []
    if expectation.objects:
        parts.append(f"{len(expectation.objects)} labelled objects found")
    if expectation.counts:
        parts.append(f"the numbers of {', '.join(expectation.counts)} are as expected")
    return "; ".join(parts)


def failures(outcomes: Sequence[FunctionalOutcome]) -> list[str]:
    """Return a sentence for each failed one."""
    return [f"{item.name} over {item.protocol}: {item.sentence}" for item in outcomes if item.outcome == "fail"]


def in_short(outcomes: Sequence[FunctionalOutcome], digest: str = "") -> str:
    """Return how many requests passed, were flaky and failed, as words."""
    if not outcomes:
        return "no functional tests are declared"
    numbers = {word: sum(item.outcome == word for item in outcomes) for word in ("pass", "flaky", "fail")}
    words = [f"{numbers['pass']} passed"]
    words += [f"{numbers[word]} {said}" for word, said in (("flaky", "flaky"), ("fail", "failed")) if numbers[word]]
    named = f" (cases {digest[:12]})" if digest else ""
    return f"of {len(outcomes)} functional requests {', '.join(words)}{named}"
