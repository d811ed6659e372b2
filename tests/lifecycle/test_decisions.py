"""Who decides on what, and what makes a decision not count: on the real lakeFS, with one trained model."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count

import pytest

from lakegate.canonical import exact_json, sha256_bytes
from lakegate.errors import BadDeclaration, NotApproved, RegistryError
from lakegate.lifecycle import comparison, release
from lakegate.lifecycle.history import stage_status
from lakegate.lifecycle.release_facts import require_facts
from lakegate.lifecycle.release_page import render_release_html
from lakegate.lifecycle.release_points import points
from lakegate.registry import one_time_codes, releases
from lakegate.registry.decisions import ONE_TIME_CODE, SignedDecision, decision_path, sign
from lakegate.registry.documents import Decision, ReleaseRequest
from lakegate.registry.evidence_check import check_evidence
from lakegate.registry.store import EVIDENCE, REPOSITORY, put_evidence
from lakegate.settings import Settings
from tests.lifecycle.conftest import Workshop
from tests.lifecycle.test_release import EASY, HARD, propose, quiet, train
from tests.squares import declare_model, declare_roles, write_squares

pytestmark = pytest.mark.services
Ask = Callable[[], ReleaseRequest]


@pytest.fixture(scope="module")
def workshop(lakefs_stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("decisions"), lakefs_stack.model_copy())


@pytest.fixture(scope="module")
def proposed(workshop: Workshop) -> ReleaseRequest:
    """A real request: trained, exported, judged, in staging."""
    workshop.publish(write_squares(workshop.folder / "one", range(24)), "v1")
    name = f"decided-{workshop.dataset[-8:]}"
    declare_model(workshop.checkout, name, [workshop.dataset], EASY)
    return propose(workshop, train(workshop, name, "v1"))


@pytest.fixture
def ask(proposed: ReleaseRequest, numbers: Iterator[int]) -> Ask:
    """Make a request that nobody decided on, with the same evidence."""
    return lambda: proposed.model_copy(update={"release": next(numbers)})


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    return count(100)


@contextmanager
def changed(workshop: Workshop, path: str, data: bytes) -> Iterator[None]:
    """Put other bytes into the evidence for a while."""
    before = workshop.client.read(REPOSITORY, EVIDENCE, path)
    put_evidence(workshop.client, {path: data}, "tampered with")
    try:
        yield
    finally:
        put_evidence(workshop.client, {path: before}, "put back")


def test_a_decision_says_how_the_person_was_recognised_and_is_signed(workshop: Workshop, ask: Ask) -> None:
    request = ask()
    words = workshop.words(by=" Grace ")
    decision = releases.decide(workshop.client, request, words)
    assert (decision.approver, decision.identity, decision.request_digest) == ("Grace", ONE_TIME_CODE, request.digest)
    assert releases.find_decision(workshop.client, request) == decision
    stored = workshop.client.read(REPOSITORY, EVIDENCE, decision_path(request))
    assert json.loads(stored).keys() == {"decision", "key_id", "signature"}
    assert words.code.encode() not in stored and words.code not in repr(words)


def test_two_invalid_tries_lose_nothing(workshop: Workshop, ask: Ask) -> None:
    request, words = ask(), workshop.words()
    for wrong in (replace(words, code="no code"), replace(words, reason=" ")):
        with pytest.raises(NotApproved):
            releases.decide(workshop.client, request, wrong)
        assert releases.find_decision(workshop.client, request) is None
    assert releases.decide(workshop.client, request, words).approver == "grace"


def test_a_code_decides_on_one_release_only(workshop: Workshop, ask: Ask) -> None:
    words = workshop.words()
    releases.decide(workshop.client, ask(), words)
    other = ask()
    with pytest.raises(NotApproved, match="used before"):
        releases.decide(workshop.client, other, words)
    assert releases.find_decision(workshop.client, other) is None


def test_the_same_decision_again_uses_no_code_and_another_one_is_refused(workshop: Workshop, ask: Ask) -> None:
    request, words = ask(), workshop.words()
    first = releases.decide(workshop.client, request, words)
    assert releases.decide(workshop.client, request, replace(words, code="", reason="again")) == first
    with pytest.raises(NotApproved, match="decided already: approve by grace"):
        releases.decide(workshop.client, request, replace(words, decision="reject"))


def test_who_the_roles_do_not_name_cannot_decide_even_with_a_code(workshop: Workshop, ask: Ask) -> None:
    request = ask()
    with pytest.raises(NotApproved, match=r"mallory may not decide on decided-.*roles\.toml allows: grace$"):
        workshop.decides(request, by="mallory")
    with pytest.raises(NotApproved, match="must differ"):
        workshop.decides(request, by=" ADA ")
    assert releases.find_decision(workshop.client, request) is None


def test_who_is_named_but_not_enrolled_is_told_how(workshop: Workshop, ask: Ask) -> None:
    request, words = ask(), workshop.words()
    one_time_codes.remove(workshop.settings, "grace")
    with pytest.raises(NotApproved, match="lakegate approver add grace"):
        releases.decide(workshop.client, request, words)


def test_roles_that_cannot_be_read_let_nobody_decide_and_use_no_code(workshop: Workshop, ask: Ask) -> None:
    request, words = ask(), workshop.words()
    roles = workshop.checkout / "deployments" / "roles.toml"
    roles.write_text("[pol]\n")
    try:
        with pytest.raises(BadDeclaration, match="did you mean 'pool'"):
            releases.decide(workshop.client, request, words)
    finally:
        declare_roles(workshop.checkout)
    releases.decide(workshop.client, request, words)


@pytest.mark.parametrize("name", ["matrix.json", "verdict.json"])
def test_evidence_that_was_changed_makes_a_request_stale_and_uses_no_code(workshop: Workshop, ask: Ask, name: str) -> None:
    request, words = ask(), workshop.words()
    path = f"comparisons/{request.comparison}/{name}"
    content = json.loads(workshop.client.read(REPOSITORY, EVIDENCE, path))
    if name == "matrix.json":
        content["cells"][0]["candidate"]["map50"][""] = 0.99
    else:
        content["verdict"] = "fail"
    says = f"stale: .*{name}.*release again"
    with changed(workshop, path, exact_json(content)), pytest.raises(NotApproved, match=says):
        releases.decide(workshop.client, request, words)
    releases.decide(workshop.client, request, words)


def test_latency_that_was_measured_anew_is_the_same_evidence(workshop: Workshop, proposed: ReleaseRequest) -> None:
    path = f"comparisons/{proposed.comparison}/matrix.json"
    content = json.loads(workshop.client.read(REPOSITORY, EVIDENCE, path))
    content["measured"]["candidate"]["n_inferred"] += 1
    with changed(workshop, path, exact_json(content)):
        check_evidence(workshop.client, proposed)


def test_evidence_that_is_changed_after_the_approval_is_not_promoted(workshop: Workshop, proposed: ReleaseRequest) -> None:
    workshop.decides(proposed)
    path = f"comparisons/{proposed.comparison}/matrix.json"
    with changed(workshop, path, b"{}"), pytest.raises(NotApproved, match="stale"):
        releases.promote(workshop.client, proposed)
    assert stage_status(workshop.client, proposed.model)["production"] is None


def test_the_facts_of_the_release_page_are_part_of_the_evidence(workshop: Workshop, ask: Ask) -> None:
    facts = exact_json({"flips": 3})
    digest = sha256_bytes(facts)
    request = ask().model_copy(update={"page_digest": digest})
    with pytest.raises(NotApproved, match=r"release-pages/.*it is missing"):
        workshop.decides(request)
    put_evidence(workshop.client, {f"release-pages/{digest}.json": facts}, "facts")
    workshop.decides(request)
    path = f"release-pages/{digest}.json"
    with changed(workshop, path, exact_json({"flips": 0})), pytest.raises(NotApproved, match="its digest is"):
        check_evidence(workshop.client, request)


def forged(request: ReleaseRequest, **other: str) -> Decision:
    values = {"request_digest": request.digest, "decision": "approve", "approver": "grace", "reason": "fine"}
    return Decision.model_validate(values | {"identity": ONE_TIME_CODE, "decided_at": releases.now()} | other)


def test_a_decision_on_one_request_cannot_be_replayed_on_another(workshop: Workshop, ask: Ask) -> None:
    decided, other = ask(), ask()
    workshop.decides(decided)
    stored = workshop.client.read(REPOSITORY, EVIDENCE, decision_path(decided))
    put_evidence(workshop.client, {decision_path(other): stored}, "replayed")
    with pytest.raises(NotApproved, match="about other evidence"):
        releases.promote(workshop.client, other)


def test_a_decision_that_was_written_by_hand_does_not_count(workshop: Workshop, ask: Ask) -> None:
    request = ask()
    by_hand = SignedDecision(decision=forged(request), key_id="0" * 16, signature="AAAA")
    put_evidence(workshop.client, {decision_path(request): by_hand.to_bytes()}, "by hand")
    with pytest.raises(NotApproved, match=r"unknown key '0{16}'"):
        releases.find_decision(workshop.client, request)

    rejected = sign(workshop.settings, forged(request, decision="reject"))
    turned = rejected.model_copy(update={"decision": forged(request)})
    put_evidence(workshop.client, {decision_path(request): turned.to_bytes()}, "a rejection turned into an approval")
    with pytest.raises(NotApproved, match="its signature does not hold"):
        releases.promote(workshop.client, request)


def test_a_decision_of_an_earlier_lakegate_without_proof_of_identity_does_not_count(workshop: Workshop, ask: Ask) -> None:
    request = ask()
    claimed = forged(request, identity="unauthenticated")
    put_evidence(workshop.client, {decision_path(request): sign(workshop.settings, claimed).to_bytes()}, "claimed")
    with pytest.raises(NotApproved, match="identity is 'unauthenticated'"):
        releases.find_decision(workshop.client, request)
    old = ask()
    put_evidence(workshop.client, {decision_path(old): forged(old).to_bytes()}, "as it was before")
    with pytest.raises(RegistryError, match="is not a SignedDecision"):
        releases.promote(workshop.client, old)


WAIVED = """{gate}
[waivers."map.all.min"]
reason = "the lens was dirty"
owner = "ada"
expires = {expires}
"""


@contextmanager
def waived(workshop: Workshop, model: str, expires: str) -> Iterator[None]:
    """Declare a gate that this model cannot pass, and a waiver of it, for a while."""
    declare_model(workshop.checkout, model, [workshop.dataset], WAIVED.format(gate=HARD, expires=expires))
    try:
        yield
    finally:
        declare_model(workshop.checkout, model, [workshop.dataset], EASY)


def test_a_waived_rule_lets_a_release_through_and_its_page_says_so(workshop: Workshop, proposed: ReleaseRequest) -> None:
    with waived(workshop, proposed.model, "2931-05-01"):
        plan = release.plan_release(workshop.client, workshop.settings, proposed.model, proposed.versions[0], None)
        request = propose(workshop, plan)
    assert request.verdict == "pass"
    words = "map.all.min is broken and waived by ada until 2931-05-01: the lens was dirty."
    assert words in request.verdict_sentence
    facts = require_facts(workshop.client, request)
    assert [rule.outcome for rule in facts.rules] == ["fail"]
    assert words in [point.sentence for point in points(facts)]
    assert "waived</span> by ada until 2931-05-01: the lens was dirty" in render_release_html(facts, request, {})
    workshop.decides(request)


def test_nobody_decides_on_a_verdict_with_an_expired_waiver(
    workshop: Workshop, proposed: ReleaseRequest, ask: Ask
) -> None:
    client, settings = workshop.client, workshop.settings
    with waived(workshop, proposed.model, "2024-02-29"):
        plan = comparison.plan_comparison(
            client, settings, proposed.model, proposed.candidate.run_id, "none", proposed.versions
        )
        assert plan.waivers_in_force == ()
        assert comparison.judge(client, settings, plan, quiet).verdict == "fail"
        then = comparison.judge(client, settings, replace(plan, waivers_in_force=("map.all.min",)), quiet)
    assert then.verdict == "pass"
    judged = {"comparison": then.key, "evidence_digest": then.evidence_digest, "verdict_sentence": then.sentence}
    request = ask().model_copy(update={**judged, "page_digest": ""})
    with pytest.raises(NotApproved, match=r"the waiver of ada for map.all.min expired on 2024-02-29.*release again"):
        workshop.decides(request)
