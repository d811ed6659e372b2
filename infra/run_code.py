"""The code of one commit in a folder of its own, so that a flow run keeps it while the checkout moves on.

Only the standard library: this runs before the code of a flow run is chosen.
"""

import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

CODE_ROOMS = ("lakegate", "tasks", "flows")
TAG = "commit:"
NOT_COMMITTED = f"{TAG}not-committed"
COMMIT_LENGTH = 40
GIT_TIMEOUT_S = 120
UNUSED_DAYS = 30
LOCK = "requirements.lock"


class RunRefused(RuntimeError):
    """This process must not execute the flow run; the message says why and what to do."""


@dataclass(frozen=True)
class RunCode:
    """Where a flow run's code lies, the tag that says which it is, and a sentence for the log."""

    folder: Path
    tag: str
    words: str
    warning: str = ""


def find_code(checkout: Path, home: Path, tags: list[str]) -> RunCode:
    """Return the code that a run with ``tags`` executes; a run without ``commit:<40 hex>`` is bound to the checkout's HEAD.

    Raises:
        RunRefused: the checkout does not have the commit, or the tag is none.
    """
    pinned = next((tag.removeprefix(TAG) for tag in tags if tag.startswith(TAG)), "")
    if NOT_COMMITTED in tags:
        return RunCode(checkout, NOT_COMMITTED, f"this run began with sources that are not committed; it goes on in {checkout}")
    if pinned:
        return _at(checkout, home, _checked(pinned))
    commit, problem = _head(checkout)
    if not commit:
        return RunCode(checkout, NOT_COMMITTED, f"runs the sources in {checkout} as they are: {problem}")
    return _at(checkout, home, commit)


def _checked(commit: str) -> str:
    if len(commit) != COMMIT_LENGTH or set(commit) - set("0123456789abcdef"):
        raise RunRefused(f"tag '{TAG}{commit}' names no commit: expected 40 hexadecimal digits, as `git rev-parse` prints them")
    return commit


def _head(checkout: Path) -> tuple[str, str]:
    """Return HEAD, or "" and why the sources are not the ones of a commit."""
    inside = _git(checkout, "ls-files", "--error-unmatch", "--", "lakegate/__init__.py")
    if inside.returncode:
        return "", f"they are not in a git repository ({_last_line(inside)})"
    status = _git(checkout, "status", "--porcelain", "--", *CODE_ROOMS)
    head = _git(checkout, "rev-parse", "HEAD")
    if status.returncode or head.returncode:
        return "", f"git does not know HEAD ({_last_line(status if status.returncode else head)})"
    if status.stdout.strip():
        return "", f"sources in {', '.join(CODE_ROOMS)} are not committed"
    return head.stdout.strip(), ""


def _at(checkout: Path, home: Path, commit: str) -> RunCode:
    folder = home / "code" / commit
    if not folder.is_dir():
        _clone(checkout, folder, commit)
    _check_unchanged(folder, commit)
    os.utime(folder)
    _drop_unused(folder.parent)
    warning = ""
    if _content(folder / LOCK) != _content(checkout / LOCK):
        warning = f"{LOCK} of commit {commit[:12]} is another than in {checkout}, so the installed packages may differ from it"
    return RunCode(folder, f"{TAG}{commit}", f"runs the code of commit {commit}", warning)


def _clone(checkout: Path, folder: Path, commit: str) -> None:
    """Clone aside and rename; a clone shares no files with the checkout that git could change later."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{commit[:12]}-", dir=folder.parent))
    try:
        made = _git(checkout, "clone", "--quiet", "--no-checkout", "--", str(checkout), str(aside))
        if not made.returncode:
            made = _git(aside, "checkout", "--quiet", "--detach", commit)
        if made.returncode:
            raise RunRefused(
                f"this run is bound to commit {commit}, which {checkout} does not have ({_last_line(made)}); "
                "bring it there (`git fetch`), or take a worker whose checkout has it, then run again"
            )
        try:
            aside.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another run was quicker
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _check_unchanged(folder: Path, commit: str) -> None:
    head, problem = _head(folder)
    if head != commit:
        raise RunRefused(f"{folder} is not commit {commit} any more ({problem or head}); remove that folder, then run again")


def _drop_unused(parent: Path) -> None:
    """Remove what no run began with for a month; an approval waits for two weeks at most."""
    oldest = time.time() - UNUSED_DAYS * 24 * 3600
    for folder in parent.iterdir():
        if folder.stat().st_mtime < oldest:
            shutil.rmtree(folder, ignore_errors=True)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _git(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=GIT_TIMEOUT_S, check=False, env=own
        )
    except FileNotFoundError:
        return subprocess.CompletedProcess(words, 127, "", "git is not installed")


def _last_line(answer: subprocess.CompletedProcess[str]) -> str:
    lines = (answer.stderr or answer.stdout).strip().splitlines()
    return lines[-1] if lines else f"git ended with {answer.returncode}"
