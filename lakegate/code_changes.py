"""How the code of a candidate differs from the code of a release: the commits between, where git here knows both."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lakegate.code_version import CODE_ROOMS, code_root

MAX_COMMITS = 12
COMMIT = re.compile(r"[0-9a-f]{40}")
WATCHED = (*CODE_ROOMS, "requirements.lock")


@dataclass(frozen=True)
class CodeChanges:
    """``commits`` ("<10 digits> <subject>", newest first): those that touch code or lock file, at most MAX_COMMITS."""

    sentence: str
    commits: tuple[str, ...] = ()
    n_more: int = 0
    n_lost: int = 0  # commits of the released code that the candidate lacks


def code_changes(released: str, candidate: str, root: Path | None = None) -> CodeChanges:
    """Compare two code names as releases keep them (a commit, or a commit and "+not committed").

    Args:
        root: a git checkout, or any folder (default: of the running code); without git the sentence says what to look at.
    """
    root = root or code_root()
    for who, name in (("release in production", released), ("candidate", candidate)):
        if not COMMIT.fullmatch(name):
            return CodeChanges(f"Cannot be compared: the code of the {who} is '{name}', not a commit.")
    if released == candidate:
        return CodeChanges("The same commit as the release in production.")
    try:
        commits = _log(root, released, candidate, *WATCHED)
        lost = _log(root, candidate, released, *WATCHED)
    except (OSError, subprocess.SubprocessError):
        return CodeChanges(
            f"git on the machine that made this page does not know both commits; in a checkout that does: "
            f"git log --oneline {released[:10]}..{candidate[:10]}"
        )
    if not commits and not lost:
        return CodeChanges("Another commit, with no change to lakegate/, tasks/, flows/ or requirements.lock.")
    sentence = f"{_commits(len(commits))} of code or requirements.lock since the release in production."
    if lost:
        sentence += f" {_commits(len(lost))} of the released code {'is' if len(lost) == 1 else 'are'} missing in this one."
    return CodeChanges(sentence, tuple(commits[:MAX_COMMITS]), max(0, len(commits) - MAX_COMMITS), len(lost))


def _log(root: Path, old: str, new: str, *paths: str) -> list[str]:
    words = ["git", "-C", str(root), "log", "--format=%H %s", f"{old}..{new}", "--", *paths]
    answer = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True)
    rows = [line.partition(" ") for line in answer.stdout.splitlines()]
    return [f"{commit[:10]} {subject}" for commit, _, subject in rows]


def _commits(count: int) -> str:
    return "1 commit" if count == 1 else f"{count} commits"
