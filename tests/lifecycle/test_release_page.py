"""What an approver is shown, from a real second release: the facts, their digest, the page, the words in the form."""

import json
import re
import secrets
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from lakegate.errors import NotApproved, RegistryError
from lakegate.lifecycle import comparison, release
from lakegate.lifecycle.release_documents import GateChange, ReleaseFacts
from lakegate.lifecycle.release_facts import facts_path, gather_facts, keep_facts, require_facts
from lakegate.lifecycle.release_page import release_page_url, release_words, render_release_html, save_release_page
from lakegate.lifecycle.release_points import points
from lakegate.registry import releases
from lakegate.registry.documents import Decision, EngineOutcome, FunctionalOutcome, Pointer, Release, ReleaseRequest
from lakegate.registry.store import EVIDENCE, REPOSITORY, put_evidence, write_pointer
from lakegate.settings import Settings
from tests.lifecycle.conftest import Workshop
from tests.lifecycle.test_release import quiet, train
from tests.squares import declare_model, write_squares

pytestmark = pytest.mark.services
FIRST_GATE = '"map.all.min" = 0.0\n"recall.all.min" = 0.0\n"negative_flip_rate.all.max" = 1.0'
SECOND_GATE = '"map.all.min" = -1.0\n"negative_flip_rate.all.max" = 1.0\n"precision.all.min" = 0.0'


class Story:
    """One model with release 1 in production and release 2 about to be proposed."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop, self.client, self.settings = workshop, workshop.client, workshop.settings
        self.model = f"finder-{secrets.token_hex(3)}"
        workshop.publish(write_squares(workshop.folder / "one", range(24), unfinished=[2, 5, 7]), "v1")
        declare_model(workshop.checkout, self.model, [workshop.dataset], FIRST_GATE, epochs=2)
        self.first = self._judged("v1")
        decision = Decision(
            request_digest=self.first.digest, decision="approve", approver="grace", identity="one-time code",
            reason="a start", decided_at=releases.now(),
        )
        released = Release(
            model=self.model, number=1, run=self.first.candidate, request=self.first, decision=decision
        )
        pointer = Pointer(
            model=self.model,
            release=1,
            run=self.first.candidate,
            request_digest=self.first.digest,
            previous=0,
            kind="promotion",
            written_by="grace",
            written_at=releases.now(),
        )
        write_pointer(self.client, "production", pointer, released)
        workshop.publish(write_squares(workshop.folder / "two", range(1, 30)), "v2")
        declare_model(workshop.checkout, self.model, [workshop.dataset], SECOND_GATE, epochs=3)
        self.second = self._judged("v2")
        self.facts = gather_facts(self.client, self.settings, self.second)
        keep_facts(self.client, self.facts)
        self.request = self.second.model_copy(update={"page_digest": self.facts.digest, "reviewers": ("grace", "alan")})

    def _judged(self, version: str) -> ReleaseRequest:
        plan = train(self.workshop, self.model, version)
        compared = release.plan_comparison(self.client, self.settings, plan)
        comparison.judge(self.client, self.settings, compared, quiet)
        request = release.propose(self.client, self.settings, plan)
        return request.model_copy(update={"page_digest": "", "reviewers": ()})


@pytest.fixture(scope="module")
def story(lakefs_stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story(Workshop(tmp_path_factory.mktemp("story"), lakefs_stack.model_copy()))


class _Page(HTMLParser):
    """Collects ids, addresses and the texts that a reader sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.addresses: list[str] = []
        self.text = ""
        self.feed(html)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids |= {value or "" for name, value in attrs if name == "id"}
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def with_outcomes(request: ReleaseRequest) -> ReleaseRequest:
    """Return the request with one engine that is missing and one functional test that was flaky."""
    return request.model_copy(
        update={
            "engines": (
                EngineOutcome(
                    compute_capability="8.6", precision="fp16", outcome="not built", sentence="No live worker serves gpu-cc86."
                ),
            ),
            "functional": (
                FunctionalOutcome(name="two-squares", protocol="http", outcome="pass", sentence="2 objects as labelled."),
                FunctionalOutcome(name="two-squares", protocol="grpc", outcome="flaky", sentence="Passed when repeated."),
            ),
            "served": "Version 2 answered on staging.",
        }
    )


def test_the_same_request_gives_the_same_facts_and_any_change_in_it_gives_others(story: Story) -> None:
    again = gather_facts(story.client, story.settings, story.request)
    assert again.digest == story.facts.digest
    assert again.request.page_digest == "" and again.request.reviewers == ()
    other = gather_facts(story.client, story.settings, with_outcomes(story.request))
    assert other.digest != story.facts.digest


def test_the_facts_say_what_changed_in_the_data_since_the_release_in_production(story: Story) -> None:
    (data,) = story.facts.data
    assert (data.before, data.reference) == (f"{story.workshop.dataset}@v1", f"{story.workshop.dataset}@v2")
    assert data.samples == {"added": 6, "removed": 1, "relabelled": 3, "reimaged": 0}
    assert data.objects == {"added": 3, "removed": 0, "moved": 0, "reclassified": 0}
    assert (data.n_objects_of_added, data.n_objects_of_removed) == (12, 2)
    assert [(item.tag, item.publisher, item.n_samples) for item in data.versions] == [("v2", "ada", 29)]


def test_the_facts_say_what_changed_in_gate_and_training(story: Story) -> None:
    assert story.facts.gate_changes == (
        GateChange(key="map.all.min", before=0.0, after=-1.0, effect="looser"),
        GateChange(key="precision.all.min", before=None, after=0.0, effect="new"),
        GateChange(key="recall.all.min", before=0.0, after=None, effect="gone"),
    )
    changed = {item.name: (item.before, item.after) for item in story.facts.settings}
    assert changed == {"training.epochs": ("2", "3")}
    assert story.facts.replaced is not None and story.facts.replaced.number == 1
    assert story.facts.code is not None and story.facts.code.sentence


def test_the_worst_images_are_numbered_as_in_the_gallery_of_the_matrix_page(story: Story) -> None:
    flips = story.facts.flips
    assert flips is not None
    html = story.client.read(REPOSITORY, EVIDENCE, f"comparisons/{story.request.comparison}/matrix.html").decode()
    (table,) = re.findall(r'<script type="application/json" id="flip-table">(.*?)</script>', html, re.S)
    images = json.loads(table)["images"]  # each begins with its name; its fifth value are its flips
    of_today = [image[0] for image in images if image[4] and "@" not in image[0]]  # not of an earlier version
    assert len(of_today) == flips.n_images
    for item in flips.worst:
        assert images[item.number - 1][0] == f"{item.dataset}/{item.sample_id}"


def test_a_first_release_has_facts_without_anything_before(story: Story) -> None:
    facts = gather_facts(story.client, story.settings, story.first)
    assert (facts.flips, facts.code, facts.replaced, facts.settings, facts.gate_changes) == (None, None, None, (), ())
    assert [item.before for item in facts.data] == [""]
    page = _Page(render_release_html(facts, story.first, {}))
    assert "nothing: this is the first release" in page.text
    assert "There is no earlier release to go back to" in page.text
    assert "nothing in production was trained on this dataset before" in page.text


def test_the_page_shows_what_an_approver_asks(story: Story) -> None:
    page = save_release_page(story.client, story.settings, story.request)
    shown = _Page(page.path.read_text())
    for words in (
        story.request.verdict_sentence,
        *(rule.sentence for rule in story.facts.rules),
        f"lakegate model roll-back {story.model} 1",
        f"lakegate model approve {story.model} --by NAME --reason TEXT",
        "approved by grace",
        "grace, alan",
        f"1 sample of {story.workshop.dataset}@v1 is gone",
        "The gate itself changed: map.all.min was 0.0 and is -1.0 now, which is looser.",
        "The gate itself changed: recall.all.min was 0.0 and is no longer judged.",
        "model.toml demands no TensorRT engine",
        "No functional test was run",
        story.request.page_digest[:16],
    ):
        assert words in shown.text, words
    assert page.url == release_page_url(story.settings, story.request)


def test_the_page_needs_nothing_from_outside_and_its_links_lead_somewhere(story: Story) -> None:
    page = save_release_page(story.client, story.settings, story.request)
    html = page.path.read_text()
    shown = _Page(html)
    inside = {item.removeprefix("#") for item in shown.addresses if item.startswith("#")}
    beside = {item.partition("#")[0] for item in shown.addresses if not item.startswith(("#", "data:"))}
    assert inside <= shown.ids
    assert beside == {story.facts.matrix_page.rpartition("/")[2]}
    assert all((page.path.parent / name).is_file() for name in beside)
    assert not re.search(r"https?://(?!www\.w3\.org/)", html)
    assert html.count("data:image/svg+xml") == len(story.facts.flips.worst if story.facts.flips else ())
    assert story.client.read(REPOSITORY, EVIDENCE, facts_path(story.request.page_digest, "html")).decode() == html


def test_engines_that_are_missing_and_flaky_tests_stand_first(story: Story) -> None:
    request = with_outcomes(story.second)
    facts = story.facts.model_copy(update={"request": request})
    sentences = [point.sentence for point in points(facts)]
    assert any(words.startswith("The engine fp16 for compute capability 8.6 was not built, and") for words in sentences)
    assert "Functional test two-squares over grpc: flaky. Passed when repeated." in sentences
    pictures = {item.number: "data:," for item in (facts.flips.worst if facts.flips else ())}
    text = _Page(render_release_html(facts, request, pictures)).text
    assert "✗ not built" in text and "? flaky" in text and "Version 2 answered on staging." in text


def test_text_that_is_markup_is_shown_as_text(story: Story) -> None:
    evil = "<script>alert(1)</script>"
    request = story.request.model_copy(update={"requested_by": evil, "served": evil})
    pictures = {item.number: "data:," for item in (story.facts.flips.worst if story.facts.flips else ())}
    html = render_release_html(story.facts, request, pictures)
    assert evil not in html and evil in _Page(html).text


def test_after_the_decision_the_page_says_it_and_the_evidence_keeps_what_was_shown(story: Story) -> None:
    save_release_page(story.client, story.settings, story.request)
    decision = Decision(
        request_digest=story.request.digest, decision="reject", approver="alan", identity="one-time code",
        reason="too few cells", decided_at="2026-01-02",
    )
    page = save_release_page(story.client, story.settings, story.request, decision)
    text = _Page(page.path.read_text()).text
    assert "Decided: reject" in text and "too few cells" in text and "--by NAME" not in text
    kept = story.client.read(REPOSITORY, EVIDENCE, facts_path(story.request.page_digest, "html")).decode()
    assert "Your decision" in kept


def changed_facts(story: Story) -> ReleaseRequest:
    other = story.facts.model_copy(update={"n_judged": 1000})
    put_evidence(story.client, {facts_path("0" * 64): other.to_bytes()}, "forged")
    return story.request.model_copy(update={"page_digest": "0" * 64})


def other_request(story: Story) -> ReleaseRequest:
    return story.request.model_copy(update={"requested_by": "somebody else"})


def missing_facts(story: Story) -> ReleaseRequest:
    return story.request.model_copy(update={"page_digest": "1" * 64})


@pytest.mark.parametrize(
    ("change", "words"),
    [(changed_facts, "were changed"), (other_request, "of another request"), (missing_facts, "are not in the evidence")],
)
def test_facts_that_are_not_those_of_the_request_are_refused(
    story: Story, change: Callable[[Story], ReleaseRequest], words: str
) -> None:
    with pytest.raises(NotApproved, match=words):
        require_facts(story.client, change(story))
    assert isinstance(require_facts(story.client, story.request), ReleaseFacts)


def test_a_request_that_names_another_comparison_has_no_facts(story: Story) -> None:
    with pytest.raises(RegistryError, match="there is none"):
        gather_facts(story.client, story.settings, story.request.model_copy(update={"comparison": "2" * 64}))
    with pytest.raises(RegistryError, match="it has the evidence"):
        gather_facts(story.client, story.settings, story.request.model_copy(update={"evidence_digest": "2" * 64}))


def test_the_words_in_the_form_are_short_and_lead_to_the_page(story: Story) -> None:
    words = release_words(with_outcomes(story.request), "http://127.0.0.1:4280/cells/release-2.html")
    assert "[Open the release page](http://127.0.0.1:4280/cells/release-2.html)" in words
    assert "| engines | 1 not built |" in words
    assert "| functional tests | 1 pass, 1 flaky |" in words
    assert f"`lakegate model roll-back {story.model} 1`" in words
    assert len(words) < 1500
