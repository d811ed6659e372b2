"""One-time codes: the RFC's own vectors, used once, in a window, locked after five wrong ones, two processes at once."""

import stat
import subprocess
import sys
import time
from base64 import b32encode
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from lakegate.errors import BadInput, NotApproved, SetupProblem, UnknownName
from lakegate.registry import one_time_codes
from lakegate.registry.one_time_codes import APPROVERS_FILE, STEP_S, Enrolment, enrol, enrolled, next_code, remove, use_code
from lakegate.settings import Settings

RFC_SECRET = b32encode(b"12345678901234567890").decode()
TRY = """
import sys
from pathlib import Path
from lakegate.errors import NotApproved
from lakegate.registry.one_time_codes import use_code
from lakegate.settings import Settings
try:
    use_code(Settings(home=Path(sys.argv[1])), "grace", sys.argv[2])
    print("accepted")
except NotApproved as error:
    print(error)
"""


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """A state folder in which grace is enrolled."""
    settings = Settings(home=tmp_path)
    enrol(settings, "grace")
    return settings


def code_at(settings: Settings, steps_from_now: int) -> str:
    """Return grace's code of an earlier or later step, as her app showed or will show it."""
    (enrolment,) = enrolled(settings)
    at_s = time.time() + steps_from_now * STEP_S
    return one_time_codes._generator(enrolment).generate(at_s).decode()


def wrong_code(settings: Settings) -> str:
    right = {code_at(settings, step) for step in range(-3, 4)}
    return next(code for code in (f"{number:06d}" for number in range(8)) if code not in right)


@pytest.mark.parametrize(
    ("at_s", "digits"), [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")]
)
def test_codes_are_those_of_rfc_6238(at_s: int, digits: str) -> None:
    enrolment = Enrolment(name="rfc", secret=RFC_SECRET, enrolled_at="")
    assert one_time_codes._matching_step(enrolment, digits, at_s) == at_s // STEP_S


def test_a_code_counts_once(home: Settings) -> None:
    code = code_at(home, 0)
    use_code(home, "Grace", f" {code[:3]} {code[3:]} ")
    with pytest.raises(NotApproved, match="used before"):
        use_code(home, "grace", code)


def test_clocks_may_differ_by_a_step_but_an_older_code_never_counts_after_a_newer_one(home: Settings) -> None:
    before, after = code_at(home, -1), code_at(home, 1)
    use_code(home, "grace", after)
    for code in (before, code_at(home, 0)):
        with pytest.raises(NotApproved, match=r"used before, or a newer one was|wrong or too old"):
            use_code(home, "grace", code)


def test_a_code_that_is_minutes_old_is_refused(home: Settings) -> None:
    with pytest.raises(NotApproved, match="wrong or too old"):
        use_code(home, "grace", code_at(home, -4))


def test_a_form_that_waited_for_a_worker_counts_at_the_time_when_it_was_sent(home: Settings) -> None:
    code, sent_s = code_at(home, -4), time.time() - 4 * STEP_S
    use_code(home, "grace", code, sent_s)
    with pytest.raises(NotApproved, match="used before"):
        use_code(home, "grace", code, sent_s)


def test_a_time_in_the_future_is_not_believed(home: Settings) -> None:
    with pytest.raises(NotApproved, match="wrong or too old"):
        use_code(home, "grace", code_at(home, 5), time.time() + 5 * STEP_S)


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "１２３４５６", "12345\n"])
def test_what_is_no_code_is_a_wrong_code(home: Settings, code: str) -> None:
    with pytest.raises(NotApproved, match="4 more wrong within 5 minutes"):
        use_code(home, "grace", code)


def test_five_wrong_codes_lock_the_name_also_for_the_right_code(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = wrong_code(home)
    for _ in range(4):
        with pytest.raises(NotApproved, match="more wrong"):
            use_code(home, "grace", wrong)
    with pytest.raises(NotApproved, match="grace is locked until"):
        use_code(home, "grace", wrong)
    with pytest.raises(NotApproved, match=r"locked until .* no code counts before"):
        use_code(home, "grace", code_at(home, 0))

    later = time.time() + one_time_codes.LOCKED_FOR_S + 1
    monkeypatch.setattr(time, "time", lambda: later)
    use_code(home, "grace", next_code(home, "grace"))
    with pytest.raises(NotApproved, match="4 more wrong"):  # counting starts anew
        use_code(home, "grace", wrong_code(home))


def test_wrong_codes_minutes_apart_do_not_lock(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    start = time.time()
    for number in range(8):
        monkeypatch.setattr(time, "time", lambda at_s=start + number * 100: at_s)
        with pytest.raises(NotApproved, match="more wrong"):
            use_code(home, "grace", wrong_code(home))


def test_two_processes_with_the_same_code_accept_it_once(home: Settings) -> None:
    command = [sys.executable, "-c", TRY, str(home.home), code_at(home, 0)]
    tries = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()) for _ in range(2)]
    answers = sorted(one.communicate(timeout=60)[0].strip() for one in tries)
    assert answers[0] == "accepted" and "used before" in answers[1]


def test_secrets_lie_in_a_private_file_and_show_nowhere_else(home: Settings) -> None:
    path = home.home / APPROVERS_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not list(path.parent.glob(".*"))
    (enrolment,) = enrolled(home)
    assert enrolment.secret not in repr(enrolment) + repr(one_time_codes._read(home))
    path.write_text(path.read_text().replace('"last_step": 0', '"last_step": "x"'))
    with pytest.raises(SetupProblem, match="no list of approvers") as caught:
        enrolled(home)
    assert enrolment.secret not in str(caught.value) and caught.value.__cause__ is None


def test_the_address_for_the_app_holds_what_apps_need(home: Settings) -> None:
    uri = enrol(home, "grace hopper")
    (secret,) = parse_qs(urlsplit(uri).query)["secret"]
    assert uri.startswith("otpauth://totp/Lakegate:grace%20hopper?")
    assert parse_qs(urlsplit(uri).query) == {
        "digits": ["6"],
        "secret": [secret],
        "algorithm": ["SHA1"],
        "issuer": ["Lakegate"],
        "period": ["30"],
    }
    assert len(secret) == 32


def test_enrolling_twice_needs_the_word_and_ends_the_old_codes(home: Settings) -> None:
    old = code_at(home, 0)
    with pytest.raises(BadInput, match="--replace"):
        enrol(home, "GRACE ")
    enrol(home, "grace", replace=True)
    with pytest.raises(NotApproved, match="wrong"):
        use_code(home, "grace", old)


def test_who_is_not_enrolled_has_no_code(home: Settings) -> None:
    with pytest.raises(NotApproved, match=r"'mallory' has no one-time codes.*lakegate approver add mallory"):
        use_code(home, "mallory", "123456")
    with pytest.raises(UnknownName, match="did you mean 'grace'"):
        remove(home, "grce")
    remove(home, "Grace")
    assert enrolled(home) == []
    for name in ("", "  ", "a\nb", "x" * 65):
        with pytest.raises(BadInput, match="no name of an approver"):
            enrol(home, name)


def test_the_demo_always_gets_a_code_that_was_not_used(home: Settings) -> None:
    codes = [next_code(home, "grace")]
    use_code(home, "grace", codes[0])
    codes.append(next_code(home, "grace"))  # the next step's, which counts already
    use_code(home, "grace", codes[1])
    assert codes[0] != codes[1]
