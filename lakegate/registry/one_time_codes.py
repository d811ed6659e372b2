"""One-time codes (TOTP, RFC 6238) that prove who decides: enrolled per person, each code accepted once.

Secrets lie in ``LAKEGATE_HOME/secrets/approvers.json``, mode 0600, on the machine that checks codes. Whoever may read that
file can make codes: it is as secret as a password file.
"""

import fcntl
import hmac
import os
import secrets
import time
from base64 import b32decode, b32encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from pydantic import Field, ValidationError

from lakegate.canonical import exact_json
from lakegate.declarations import Strict
from lakegate.errors import BadInput, NotApproved, SetupProblem, UnknownName, nearest
from lakegate.registry.roles import person_key
from lakegate.settings import Settings

APPROVERS_FILE = Path("secrets/approvers.json")
ISSUER = "Lakegate"
STEP_S, DIGITS, SECRET_BYTES = 30, 6, 20  # what authenticator apps expect; 160 bits as RFC 4226 recommends
WINDOW_STEPS = 1  # clocks may differ by this many steps, both ways
MAX_WRONG, WRONG_WITHIN_S, LOCKED_FOR_S = 5, 300, 300
MAX_NAME_LENGTH = 64


class Enrolment(Strict):
    """One person who can prove who they are."""

    name: str
    secret: str = Field(repr=False)  # base32
    enrolled_at: str
    last_step: int = 0  # of the newest code that was accepted; older ones and that one never count again
    wrong_at_s: tuple[float, ...] = ()  # UNIX times of the wrong codes within WRONG_WITHIN_S
    locked_until_s: float = 0.0


class _Book(Strict):
    approvers: dict[str, Enrolment] = Field(default_factory=dict, repr=False)  # by person_key


def enrol(settings: Settings, name: str, replace: bool = False) -> str:
    """Make a secret for a person and return it as an ``otpauth://`` address: the only time that it leaves the file.

    Raises:
        BadInput: no usable name, or the person is enrolled and ``replace`` is False.
    """
    shown = name.strip()
    if not shown or len(shown) > MAX_NAME_LENGTH or not shown.isprintable():
        raise BadInput(f"{name!r} is no name of an approver: 1 to {MAX_NAME_LENGTH} printable characters")
    with _book_open(settings) as book:
        if person_key(name) in book.approvers and not replace:
            raise BadInput(
                f"{shown} is enrolled already; with --replace a new secret is made, and the old one stops counting"
            )
        secret = secrets.token_bytes(SECRET_BYTES)
        enrolment = Enrolment(
            name=shown,
            secret=b32encode(secret).decode(),
            enrolled_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        _write(settings, book, enrolment)
    return _generator(enrolment).get_provisioning_uri(shown, ISSUER)


def remove(settings: Settings, name: str) -> None:
    """Forget a person's secret; their codes stop counting. Raises ``UnknownName`` where nobody of that name is enrolled."""
    with _book_open(settings) as book:
        _find(book, name)
        _write_book(settings, _Book(approvers={key: item for key, item in book.approvers.items() if key != person_key(name)}))


def enrolled(settings: Settings) -> list[Enrolment]:
    """Return who is enrolled, by name."""
    return sorted(_read(settings).approvers.values(), key=lambda item: person_key(item.name))


def use_code(settings: Settings, name: str, code: str, at_s: float | None = None) -> None:
    """Accept a person's code, once: it is used up on disk before this returns.

    Args:
        settings: where the secrets lie.
        name: the person.
        code: 6 digits; spaces are left out.
        at_s: UNIX time at which the code was given, where that was earlier than now (a form that waited for a worker).

    Raises:
        NotApproved: wrong, too old, used before, nobody of that name is enrolled, or it is locked after too many wrong codes.
    """
    now_s = time.time()
    with _book_open(settings) as book:
        try:
            enrolment = _find(book, name)
        except UnknownName as error:
            raise NotApproved(str(error)) from error
        if now_s < enrolment.locked_until_s:
            raise NotApproved(_locked_words(enrolment))
        step = _matching_step(enrolment, code, now_s if at_s is None else min(at_s, now_s))
        if step is None:
            locked = _with_wrong_code(enrolment, now_s)
            _write(settings, book, locked)
            raise NotApproved(_wrong_words(locked, now_s))
        if step <= enrolment.last_step:
            raise NotApproved(
                f"this code of {enrolment.name} was used before, or a newer one was; a code counts once: "
                f"wait for the next one (at most {STEP_S} s)"
            )
        _write(settings, book, enrolment.model_copy(update={"last_step": step, "wrong_at_s": (), "locked_until_s": 0.0}))


def next_code(settings: Settings, name: str) -> str:
    """Return a code of this person that was not used yet, waiting for it where needed: for a demo that plays the approver.

    Raises:
        UnknownName: nobody of that name is enrolled.
    """
    enrolment = _find(_read(settings), name)
    step = max(int(time.time()) // STEP_S, enrolment.last_step + 1)
    time.sleep(max(0.0, (step - WINDOW_STEPS) * STEP_S - time.time()))
    return _generator(enrolment).generate(step * STEP_S).decode()


def _generator(enrolment: Enrolment) -> TOTP:
    return TOTP(b32decode(enrolment.secret), DIGITS, SHA1(), STEP_S)  # SHA-1: what RFC 6238 and the apps default to


def _matching_step(enrolment: Enrolment, code: str, at_s: float) -> int | None:
    """Return the step whose code this is; every step of the window is compared, in constant time each."""
    given = "".join(code.split()).encode()
    generator, now = _generator(enrolment), int(at_s) // STEP_S
    steps = range(now - WINDOW_STEPS, now + WINDOW_STEPS + 1)
    matching = [step for step in steps if hmac.compare_digest(generator.generate(step * STEP_S), given)]
    return max(matching, default=None)


def _with_wrong_code(enrolment: Enrolment, now_s: float) -> Enrolment:
    wrong = (*(at for at in enrolment.wrong_at_s if now_s - at < WRONG_WITHIN_S), now_s)
    if len(wrong) < MAX_WRONG:
        return enrolment.model_copy(update={"wrong_at_s": wrong})
    return enrolment.model_copy(update={"wrong_at_s": (), "locked_until_s": now_s + LOCKED_FOR_S})


def _wrong_words(enrolment: Enrolment, now_s: float) -> str:
    if now_s < enrolment.locked_until_s:
        return _locked_words(enrolment)
    left = MAX_WRONG - len(enrolment.wrong_at_s)
    return (
        f"the one-time code of {enrolment.name} is wrong or too old; type the {DIGITS} digits that the authenticator app "
        f"shows now (it and this machine need the right time); {left} more wrong within {WRONG_WITHIN_S // 60} minutes "
        f"lock the name for {LOCKED_FOR_S // 60} minutes"
    )


def _locked_words(enrolment: Enrolment) -> str:
    until = datetime.fromtimestamp(enrolment.locked_until_s, UTC)
    return (
        f"{enrolment.name} is locked until {until:%H:%M:%S} UTC after {MAX_WRONG} wrong codes within "
        f"{WRONG_WITHIN_S // 60} minutes; no code counts before; if these tries were not yours, tell who runs the stack"
    )


def _find(book: _Book, name: str) -> Enrolment:
    found = book.approvers.get(person_key(name))
    if found is None:
        known = [item.name for item in book.approvers.values()]
        raise UnknownName(
            f"'{name.strip()}' has no one-time codes on this machine{nearest(name, known)}; "
            f"who runs the stack enrols a person with `lakegate approver add {name.strip() or 'NAME'}`"
        )
    return found


@contextmanager
def _book_open(settings: Settings) -> Iterator[_Book]:
    """Hold the lock of the file, so that no two processes accept the same code, and read it."""
    with locked(settings.home / APPROVERS_FILE.with_suffix(".lock")):
        yield _read(settings)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file until the block or its process ends."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _read(settings: Settings) -> _Book:
    path = settings.home / APPROVERS_FILE
    try:
        return _Book.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return _Book()
    except ValidationError as error:
        raise SetupProblem(
            f"{path} is no list of approvers ({error.error_count()} problems); move it away and enrol them again with "
            "`lakegate approver add NAME`"
        ) from None  # pydantic's own words would show the secrets


def _write(settings: Settings, book: _Book, enrolment: Enrolment) -> None:
    _write_book(settings, _Book(approvers={**book.approvers, person_key(enrolment.name): enrolment}))


def _write_book(settings: Settings, book: _Book) -> None:
    """Write aside, on disk, then rename: a code that was used stays used after a power cut."""
    path = settings.home / APPROVERS_FILE
    aside = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(exact_json(book.model_dump(mode="json")))
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
