"""One real tritonserver for each test module."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.triton_environment import find_or_install
from infra.triton_server import start_triton, stop_triton
from lakegate.errors import SetupProblem
from lakegate.serving.model_files import repository_dir
from lakegate.serving.server import TritonServer
from lakegate.settings import Settings


@pytest.fixture(scope="module")
def triton_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A state folder of its own."""
    home = tmp_path_factory.mktemp("triton-home")
    return Settings(checkout=home, home=home, threads=1)


@pytest.fixture(scope="module")
def triton(triton_settings: Settings) -> Iterator[TritonServer]:
    """A real staging server without models."""
    try:
        environment = find_or_install(print)
    except SetupProblem as problem:
        pytest.skip(str(problem))
    try:
        address = start_triton(triton_settings, environment, "staging", print)
        yield TritonServer(address.http, address.grpc, "staging")
    finally:
        stop_triton(triton_settings.home, "staging")


@pytest.fixture(scope="module")
def repository(triton_settings: Settings) -> Path:
    """The model repository of that server."""
    return repository_dir(triton_settings, "staging")
