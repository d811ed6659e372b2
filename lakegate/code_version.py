"""Which code runs: the commit, and a digest of the sources, so that a changed page of documentation retrains nothing."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from lakegate.canonical import sha256_bytes, sha256_file

CODE_ROOMS = ("lakegate", "tasks", "flows")
PATCH_LIMIT_BYTES = 1_000_000


@dataclass(frozen=True)
class CodeVersion:
    """Declarations (datasets/, models/) are not code: they count by their own digests."""

    commit: str  # "" where the sources are not in a git repository
    digest: str  # SHA-256 over the Python sources of the rooms that compute
    is_dirty: bool  # a source of these rooms differs from the commit, or there is no commit
    patch: str  # the difference itself, "" when clean

    @property
    def problem(self) -> str:
        """Why this code may not be released; "" when it may."""
        if not self.commit:
            return "the sources are not in a git repository, so nobody could find this code again"
        return "sources in lakegate/, tasks/ or flows/ are not committed" if self.is_dirty else ""


def code_root() -> Path:
    """Return the folder that holds the running ``lakegate`` package."""
    return Path(__file__).resolve().parent.parent


def read_code_version(root: Path | None = None) -> CodeVersion:
    """Read commit, digest and patch of the sources below ``root`` (default: of the running code)."""
    root = root or code_root()
    files = sorted(path for room in CODE_ROOMS for path in (root / room).rglob("*.py"))
    lines = [f"{path.relative_to(root)}\t{sha256_file(path)}\n" for path in files]
    digest = sha256_bytes("".join(lines).encode())
    commit = _git(root, "rev-parse", "HEAD").strip()
    if not commit or not _git(root, "ls-files", "--", "lakegate/__init__.py").strip():
        return CodeVersion("", digest, True, "")
    status = _git(root, "status", "--porcelain", "--", *CODE_ROOMS).strip()
    patch = _git(root, "diff", "HEAD", "--", *CODE_ROOMS) if status else ""
    if status and len(patch) > PATCH_LIMIT_BYTES:
        patch = patch[:PATCH_LIMIT_BYTES] + "\n[cut: the patch is larger than 1 MB]\n"
    if status and not patch:
        patch = f"untracked sources:\n{status}\n"
    return CodeVersion(commit, digest, bool(status), patch)


def _git(root: Path, *words: str) -> str:
    try:
        answer = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=30, check=False)
    except FileNotFoundError:
        return ""
    return answer.stdout if answer.returncode == 0 else ""
