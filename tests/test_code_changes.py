"""Commits between two releases' code, in a real git repository."""

import subprocess
from pathlib import Path

import pytest

from lakegate.code_changes import MAX_COMMITS, code_changes


class Checkout:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "-q", "-b", "main")

    def git(self, *words: str) -> str:
        who = ["-c", "user.name=ada", "-c", "user.email=ada@example.org"]
        return subprocess.run(
            ["git", *who, "-C", str(self.folder), *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    def commit(self, path: str, subject: str) -> str:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(subject)
        self.git("add", path)
        self.git("commit", "-q", "-m", subject)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_only_commits_that_touch_code_or_the_lock_file_are_listed(checkout: Checkout) -> None:
    old = checkout.commit("lakegate/a.py", "start")
    checkout.commit("docs/design.md", "words only")
    loss = checkout.commit("lakegate/a.py", "another loss")
    new = checkout.commit("requirements.lock", "newer torch")
    changes = code_changes(old, new, checkout.folder)
    assert changes.commits == (f"{new[:10]} newer torch", f"{loss[:10]} another loss")
    assert changes.sentence == "2 commits of code or requirements.lock since the release in production."
    assert (changes.n_more, changes.n_lost) == (0, 0)


def test_commits_of_the_released_code_that_are_missing_are_counted(checkout: Checkout) -> None:
    base = checkout.commit("lakegate/a.py", "start")
    released = checkout.commit("lakegate/a.py", "a repair")
    checkout.git("checkout", "-q", "-b", "other", base)
    candidate = checkout.commit("tasks/b.py", "something else")
    changes = code_changes(released, candidate, checkout.folder)
    assert changes.n_lost == 1
    assert "1 commit of the released code is missing in this one." in changes.sentence


def test_a_long_list_is_cut_and_says_how_many_are_left(checkout: Checkout) -> None:
    old = checkout.commit("flows/a.py", "start")
    for number in range(MAX_COMMITS + 3):
        new = checkout.commit("flows/a.py", f"change {number}")
    changes = code_changes(old, new, checkout.folder)
    assert (len(changes.commits), changes.n_more) == (MAX_COMMITS, 3)
    assert changes.commits[0].endswith(f"change {MAX_COMMITS + 2}")


def test_what_cannot_be_compared_is_said_with_what_to_do(checkout: Checkout) -> None:
    old = checkout.commit("lakegate/a.py", "start")
    new = checkout.commit("docs/a.md", "words")
    assert code_changes(old, old, checkout.folder).sentence == "The same commit as the release in production."
    assert "with no change to lakegate/" in code_changes(old, new, checkout.folder).sentence
    assert f"git log --oneline {old[:10]}..0000000000" in code_changes(old, "0" * 40, checkout.folder).sentence
    assert "code of the candidate is" in code_changes(old, f"{new}+not committed", checkout.folder).sentence
    assert "code of the release in production is 'no commit'" in code_changes("no commit", new, checkout.folder).sentence
