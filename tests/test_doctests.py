"""Every example in a docstring of ``lakegate/`` is run."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def modules_with_examples() -> list[str]:
    """Return the dotted names of all modules of ``lakegate`` that hold a ``>>>``."""
    files = sorted((ROOT / "lakegate").rglob("*.py"))
    files = [path for path in files if ">>> " in path.read_text(encoding="utf-8")]
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files]


@pytest.mark.parametrize("name", modules_with_examples())
def test_the_examples_of_a_module_hold(name):
    result = doctest.testmod(importlib.import_module(name), report=True)
    assert result.attempted > 0
    assert result.failed == 0


def test_there_are_examples_at_all():
    assert "lakegate.slices" in modules_with_examples()
