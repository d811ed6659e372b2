"""The peers of `make bench BENCH=data`: DVC and git-lfs, each in an environment of its own that is made here once."""

import os
import shutil
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

DVC_VERSION = "3.67.1"
GIT_LFS_VERSION = "v3.7.1"
LIMIT_S = 3600


class PeerMissing(Exception):
    """A peer cannot be set up on this machine; its rows are left out, with the reason."""


def bench_cache() -> Path:
    """Return where the peers' environments are kept between runs."""
    root = Path(os.environ.get("LAKEGATE_CACHE") or Path.home() / ".cache" / "lakegate")
    return root / "bench"


class Peer(ABC):
    """One program that versions files: a remote, a working folder that records, and a clone that gets versions."""

    name = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.remote, self.work, self.clone = folder / "remote", folder / "work", folder / "clone"
        folder.mkdir(parents=True)
        self.work.mkdir()
        config = folder / "gitconfig"
        config.write_text("[user]\nname = bench\nemail = bench@localhost\n[init]\ndefaultBranch = main\n[gc]\nauto = 0\n")
        own = {"GIT_CONFIG_GLOBAL": str(config), "GIT_CONFIG_SYSTEM": os.devnull, "HOME": str(folder)}
        self.environment = {**os.environ, **own}
        self.environment.pop("PYTHONPATH", None)

    def run(self, *words: str, cwd: Path | None = None) -> None:
        """Run a program to its end; raises ``PeerMissing`` with its words where it fails."""
        done = subprocess.run(
            words, cwd=cwd or self.work, env=self.environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        if done.returncode:
            raise PeerMissing(f"{self.name}: `{' '.join(words)}` failed: {(done.stderr or done.stdout)[-500:]}")

    def timed(self, commands: Sequence[Sequence[str]], cwd: Path | None = None) -> float:
        """Return the wall time of some commands, in seconds."""
        started = time.perf_counter()
        for words in commands:
            self.run(*words, cwd=cwd)
        return time.perf_counter() - started

    @abstractmethod
    def record(self, tag: str) -> float:
        """Record what lies in the working folder and push it; seconds."""

    @abstractmethod
    def clone_at(self, tag: str) -> None:
        """Make a clone that has one version."""

    @abstractmethod
    def get(self, tag: str) -> float:
        """Bring the clone to another version; seconds."""


class Dvc(Peer):
    """DVC with a remote in a folder and its default of copying files into its cache."""

    name = "dvc"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._dvc = str(_dvc_environment() / "bin" / "dvc")
        self.environment |= {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(folder / "site")}
        git = self.folder / "git"
        self.run("git", "init", "-q", "--bare", str(git))
        for words in (
            ("git", "init", "-q"),
            ("git", "remote", "add", "origin", str(git)),
            (self._dvc, "init", "-q"),
            (self._dvc, "remote", "add", "-q", "-d", "store", str(self.remote)),
        ):
            self.run(*words)

    def record(self, tag: str) -> float:
        return self.timed(
            [
                (self._dvc, "add", "-q", "images", "annotations"),
                ("git", "add", "-A"),
                ("git", "commit", "-q", "-m", tag),
                ("git", "tag", tag),
                ("git", "push", "-q", "--tags", "origin", "main"),
                (self._dvc, "push", "-q"),
            ]
        )

    def clone_at(self, tag: str) -> None:
        self.run("git", "clone", "-q", "-b", tag, str(self.folder / "git"), str(self.clone))
        self.run(self._dvc, "pull", "-q", cwd=self.clone)

    def get(self, tag: str) -> float:
        commands = [("git", "fetch", "-q", "--tags"), ("git", "checkout", "-q", tag), (self._dvc, "pull", "-q")]
        return self.timed(commands, self.clone)


class GitLfs(Peer):
    """git with the images in git-lfs and the label files in git itself; the remote is a bare repository."""

    name = "git-lfs"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.environment["PATH"] = f"{_git_lfs_folder()}{os.pathsep}{self.environment['PATH']}"
        self.run("git", "init", "-q", "--bare", str(self.remote))
        for words in (
            ("git", "init", "-q"),
            ("git", "lfs", "install", "--skip-repo"),
            ("git", "remote", "add", "origin", f"file://{self.remote}"),
            ("git", "lfs", "track", "*.jpg"),
        ):
            self.run(*words)

    def record(self, tag: str) -> float:
        commands = [
            ("git", "add", "-A"),
            ("git", "commit", "-q", "-m", tag),
            ("git", "tag", tag),
            ("git", "push", "-q", "--tags", "origin", "main"),
        ]
        return self.timed(commands)

    def clone_at(self, tag: str) -> None:
        self.run("git", "clone", "-q", "-b", tag, f"file://{self.remote}", str(self.clone))

    def get(self, tag: str) -> float:
        return self.timed([("git", "fetch", "-q", "--tags"), ("git", "checkout", "-q", tag)], self.clone)


def _dvc_environment() -> Path:
    folder = bench_cache() / f"dvc-{DVC_VERSION}"
    if not (folder / "bin" / "dvc").exists():
        shutil.rmtree(folder, ignore_errors=True)
        print(f"installing dvc {DVC_VERSION} into {folder}", flush=True)
        _set_up([sys.executable, "-m", "venv", str(folder)], "dvc")
        _set_up([str(folder / "bin" / "python"), "-m", "pip", "install", "-q", f"dvc=={DVC_VERSION}"], "dvc")
    return folder


def _git_lfs_folder() -> Path:
    folder = bench_cache() / f"git-lfs-{GIT_LFS_VERSION}"
    if not (folder / "git-lfs").exists():
        if not shutil.which("go"):
            raise PeerMissing("git-lfs: building it needs Go, which is not installed")
        print(f"building git-lfs {GIT_LFS_VERSION} into {folder}", flush=True)
        program = f"github.com/git-lfs/git-lfs/v3@{GIT_LFS_VERSION}"
        _set_up(["go", "install", program], "git-lfs", {**os.environ, "GOBIN": str(folder)})
    return folder


def _set_up(words: list[str], peer: str, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if done.returncode:
        raise PeerMissing(f"{peer}: `{' '.join(words)}` failed: {done.stderr[-500:]}")
