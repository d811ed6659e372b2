"""What all tests share: the real services, the sample images, and a summary of what this machine has."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tests.environment  # noqa: F401  first: it sets variables that numpy, torch, wandb and prefect read when imported
from infra.doctor import find_chromium
from infra.gpu import ask_gpus
from infra.lakefs_binary import find_or_build
from infra.lakefs_server import start_lakefs, stop_lakefs
from infra.prefect_api import PrefectApi
from infra.prefect_server import start_prefect
from infra.processes import stop
from infra.publisher_key import ensure_publisher_key
from infra.stack import write_stack_file
from lakegate.settings import Settings

CHECKOUT = Path(__file__).resolve().parents[1]
OTHER_STACK = ("LAKEGATE_PREFECT_API_URL", "LAKEGATE_REPORTS_URL")
ONE_STACK = "tests/flows"
SLOW_FIRST = ("tests/test_readme.py", ONE_STACK, "tests/serving", "tests/lifecycle", "tests/infra")
SAMPLES_MISSING = "the sample images are absent: {} does not exist (set LAKEGATE_SAMPLES)"


def samples_folder() -> Path:
    """Return where the sample images are expected."""
    return Path(os.environ.get("LAKEGATE_SAMPLES") or CHECKOUT.parent / "shared" / "data").resolve()


@pytest.fixture(scope="session")
def samples_dir() -> Path:
    """The folder with the real sample images; skips where there is none."""
    folder = samples_folder()
    if not (folder / "bccd").is_dir():
        pytest.skip(SAMPLES_MISSING.format(folder / "bccd"))
    return folder


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectApi]:
    """A real Prefect server without workers on a free port; the tests bring flows of their own."""
    home = tmp_path_factory.mktemp("prefect-home")
    try:
        yield PrefectApi(start_prefect(home))
    finally:
        stop(home, "prefect")


@pytest.fixture(scope="session")
def lakefs_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A real lakeFS server on a free port with an empty store, for the whole session.

    ``LAKEGATE_*`` is set so that ``Settings.load()`` sees this server everywhere; the user's own state is not touched.
    """
    home = tmp_path_factory.mktemp("lakegate-home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("LAKEGATE_LAKEFS_") or name in OTHER_STACK]:
            patch.delenv(name)
        patch.setenv("LAKEGATE_HOME", str(home))
        patch.setenv("LAKEGATE_CHECKOUT", str(CHECKOUT))
        patch.setenv("LAKEGATE_LAKEFS_PORT", "0")
        patch.setenv("LAKEGATE_PREFECT_PORT", "0")
        patch.setenv("LAKEGATE_REPORTS_PORT", "0")
        patch.setenv("LAKEGATE_USER", os.environ.get("LAKEGATE_USER") or "tester")
        patch.setenv("LAKEGATE_THREADS", "2")
        settings = Settings.load()
        try:
            ensure_publisher_key(home)
            endpoint = start_lakefs(home, find_or_build(settings, print).path)
            write_stack_file(home, lakefs_endpoint=endpoint)
            yield Settings.load()
        finally:
            stop_lakefs(home)


@pytest.fixture
def settings(lakefs_stack: Settings) -> Settings:
    """Settings that lead to the session's lakeFS server; a copy, so that a test may change it."""
    return lakefs_stack.model_copy()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that two processes end at about the same time; the order within a file stays."""
    ranks = {name: rank for rank, name in enumerate(SLOW_FIRST)}
    items.sort(key=lambda item: min((rank for name, rank in ranks.items() if item.nodeid.startswith(name)), default=99))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each file to one process (``--dist loadfile``), and all flow tests to the same one: they share one stack."""
    from xdist.scheduler import LoadFileScheduling

    class OneStackScheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return ONE_STACK if nodeid.startswith(ONE_STACK) else super()._split_scope(nodeid)

    return OneStackScheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_report_header() -> list[str]:
    """Say which images the tests run on and what this machine has."""
    return requirement_lines()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Repeat it at the end, where people look; pytest's own ``-ra`` lists the reason of each skipped test."""
    terminalreporter.section("what these tests ran on")
    for line in requirement_lines():
        terminalreporter.write_line(line)


def requirement_lines() -> list[str]:
    """Return one line for each thing that some test needs: there, or what is skipped without it."""
    lines = [_images_line()]
    for program, use in (("gcc", "compiling a stand-in for NVML"), ("go", "building lakeFS where no program is cached")):
        lines.append(f"{program}: {shutil.which(program) or f'absent; needed for {use}'}")
    lines.append(f"chromium: {find_chromium() or 'absent; the tests that look at pages are skipped'}")
    lines.append(f"GPU: {ask_gpus().words}")
    return lines


def _images_line() -> str:
    folder = samples_folder()
    images = folder / "bccd"
    if not images.is_dir():
        return f"images: scikit-learn's digits only; tests of real ones are skipped: {SAMPLES_MISSING.format(images)}"
    n_images = sum(1 for path in images.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    return f"images: real, {n_images} image files of {images}"
