"""The planted world of these tests."""

from pathlib import Path

import pytest

from tests.evaluation.planted import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, [])
