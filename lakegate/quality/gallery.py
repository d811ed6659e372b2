"""A gallery of samples for a page: all of them listed, chosen ones with picture and shapes, problems with their reasons."""

import base64
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lakegate.errors import BadImage
from lakegate.quality.drawn_shapes import drawn_shapes
from lakegate.quality.problems import SampleProblem
from lakegate.samples import Sample
from lakegate.thumbnails import Thumbnails

PICTURE_PX, PROBLEM_PICTURE_PX = 160, 320
PICTURES_PER_CHUNK = 50  # the page parses a chunk when its first picture is wanted
NO_PICTURE, NOT_A_PICTURE = "no picture was delivered", "this file cannot be shown as a picture"
_SOURCE_WORDS = {"file": "file", "licence": "licence", "origin": "origin"}


@dataclass(frozen=True)
class Limits:
    """How many pictures a page holds; what is beyond is listed and can be filtered, without picture."""

    pictures: int = 2_000
    problem_pictures: int = 400


@dataclass(frozen=True)
class ImageFile:
    """Where an image lies, and its SHA-256 where that is known: then a kept thumbnail spares reading it."""

    path: Path
    sha256: str = ""


@dataclass(frozen=True)
class Gallery:
    """What the template embeds. ``table`` describes all samples column by column, ``chunks`` hold the pictures.

    The first ``n_inside`` samples are those of the version; quarantined ones follow.
    """

    table: dict[str, Any]
    chunks: list[list[list[Any]]]
    n_inside: int
    n_pictures: int
    pictures_per_chunk: int = PICTURES_PER_CHUNK

    @property
    def n_listed_only(self) -> int:
        """Samples of the version that are listed without picture."""
        return sum(1 for number in self.table["picture"][: self.n_inside] if number < 0)


def make_gallery(
    inside: Sequence[Sample],
    images: Mapping[str, ImageFile],
    thumbnails: Thumbnails,
    outside: Sequence[Sample] = (),
    problems: Sequence[tuple[SampleProblem, bool]] = (),
    rule_words: Mapping[str, str] | None = None,
    labels: Sequence[str] = (),
    limits: Limits | None = None,
    threads: int = 2,
) -> Gallery:
    """Choose and prepare what a page shows.

    Args:
        inside: samples of the version, shown in this order.
        images: by sample id; one that is absent or broken gets a sentence in its place.
        outside: quarantined samples; shown with their problems only.
        problems: (problem, is quarantined); their samples get larger pictures, and need not be in either list.
        rule_words: rule → sentence.
        labels: the declared ones, so that a label has the same colour on the pages of all versions.
    """
    limits, words = limits or Limits(), rule_words or {}
    known = [*inside, *outside]
    unread = dict.fromkeys(problem.sample_id for problem, _ in problems) if problems else {}
    have = {sample.id for sample in known}
    rows = [*known, *(Sample(name, 0, 0) for name in unread if name not in have)]
    place = {sample.id: number for number, sample in enumerate(rows)}
    large = list(unread)[: limits.problem_pictures]
    chosen = [*large, *(name for name in choose_samples(inside, limits.pictures) if name not in set(large))]
    table = _table(rows, place, problems, words, labels)
    bad = _bad_numbers(problems)
    number_of = {label: number for number, label in enumerate(table["labels"])}

    def picture(name: str) -> list[Any]:
        side_px = PROBLEM_PICTURE_PX if name in unread else PICTURE_PX
        return _picture(rows[place[name]], images.get(name), thumbnails, side_px, number_of, bad.get(name, set()))

    with ThreadPoolExecutor(max_workers=threads) as pool:
        pictures = list(pool.map(picture, chosen))
    for number, name in enumerate(chosen):
        table["picture"][place[name]] = number
    chunks = [pictures[first : first + PICTURES_PER_CHUNK] for first in range(0, len(pictures), PICTURES_PER_CHUNK)]
    return Gallery(table, chunks, len(inside), len(chosen))


def choose_samples(samples: Sequence[Sample], limit: int) -> list[str]:
    """Return at most ``limit`` ids: half shared among the labels, so that a rare one is seen, the rest at even distances."""
    if len(samples) <= limit:
        return [sample.id for sample in samples]
    holders: dict[str, list[str]] = {}
    for sample in samples:
        for label in {item.label for item in sample.annotations}:
            holders.setdefault(label, []).append(sample.id)
    quota = limit // (2 * max(len(holders), 1))
    chosen = {name for own in holders.values() for name in _spread(own, quota)}
    rest = [sample.id for sample in samples if sample.id not in chosen]
    chosen.update(_spread(rest, limit - len(chosen)))
    return [sample.id for sample in samples if sample.id in chosen]


def _spread(names: Sequence[str], limit: int) -> list[str]:
    if limit <= 0:
        return []
    count = min(limit, len(names))
    return [names[number * len(names) // count] for number in range(count)]


def _bad_numbers(problems: Iterable[tuple[SampleProblem, bool]]) -> dict[str, set[int]]:
    bad: dict[str, set[int]] = {}
    for problem, _ in problems:
        bad.setdefault(problem.sample_id, set()).update(problem.boxes)
    return bad


def _table(
    rows: Sequence[Sample],
    place: Mapping[str, int],
    problems: Sequence[tuple[SampleProblem, bool]],
    words: Mapping[str, str],
    declared: Sequence[str],
) -> dict[str, Any]:
    labels = _Names(declared)
    groups, tags, splits, rules = _Names(), _Names(), _Names(), _Names()
    counts = []
    for sample in rows:
        count = Counter(item.label for item in sample.annotations)
        counts.append([number for label in sorted(count) for number in (labels.index(label), count[label])])
    table = {
        "id": [sample.id for sample in rows],
        "split": [splits.index(str(sample.split) if sample.width_px else "none") for sample in rows],  # unread: no size
        "group": [groups.index(sample.group) if sample.group and sample.group != sample.id else -1 for sample in rows],
        "tag": [[tags.index(tag) for tag in sorted(sample.tags)] for sample in rows],
        "count": counts,
        "picture": [-1] * len(rows),
        "problem": [
            [place[item.sample_id], rules.index(item.rule), item.reason, item.file, int(is_out)] for item, is_out in problems
        ],
    }
    names = {"labels": labels, "groups": groups, "tags": tags, "splits": splits}
    sentences = [words.get(rule, rule) for rule in rules.names]
    return table | {key: found.names for key, found in names.items()} | {"rules": sentences}


class _Names:
    """Gives each name its number, in the order in which they come."""

    def __init__(self, first: Sequence[str] = ()) -> None:
        self._numbers = {name: number for number, name in enumerate(dict.fromkeys(first))}

    def index(self, name: str) -> int:
        return self._numbers.setdefault(name, len(self._numbers))

    @property
    def names(self) -> list[str]:
        return list(self._numbers)


def _picture(
    sample: Sample,
    image: ImageFile | None,
    thumbnails: Thumbnails,
    side_px: int,
    labels: dict[str, int],
    bad: Collection[int],
) -> list[Any]:
    """Return ``[picture as base64 or "", why there is none, width, height, shapes, facts]``, lengths in pixels of the image."""
    shapes, notes = drawn_shapes(sample, labels, bad)
    facts = [*notes, *_facts(sample)]
    if image is None:
        return ["", NO_PICTURE, sample.width_px, sample.height_px, [], facts]
    try:
        found = thumbnails.get(image.path, side_px, image.sha256)
    except BadImage:
        return ["", NOT_A_PICTURE, sample.width_px, sample.height_px, [], facts]
    return [base64.b64encode(found.jpeg).decode(), "", found.width_px, found.height_px, shapes, facts]


def _facts(sample: Sample) -> list[str]:
    facts = [f"{sample.width_px} × {sample.height_px} px"] if sample.width_px else []
    facts += [f"{words}: {sample.source[key]}" for key, words in _SOURCE_WORDS.items() if sample.source.get(key)]
    facts += [f"captured at {sample.captured_at}"] if sample.captured_at else []
    facts += [f"frame {sample.frame}"] if sample.frame is not None else []
    authors = sorted({item.author for item in sample.annotations if item.author})
    return facts + ([f"labelled by {', '.join(authors)}"] if authors else [])
