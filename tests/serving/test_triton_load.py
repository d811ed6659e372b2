"""Staging at twice its capacity, from a second process: right answers, clean refusals, bounded memory."""

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from infra import processes
from infra.triton_server import service_name
from lakegate.serving.config import MAX_QUEUE
from lakegate.serving.model_files import fill
from tests.serving.spots import spots_files, write_spots

pytestmark = pytest.mark.services

CHECKOUT = Path(__file__).resolve().parents[2]
SECONDS = 4
MAX_GROWTH_BYTES = 150 * 2**20


def memory_of(settings) -> int:
    """Return the resident memory of the server and its backend processes, shared pages counted once in each."""
    server = psutil.Process(processes.living(settings.home, service_name("staging")).pid)
    return sum(process.memory_info().rss for process in (server, *server.children(recursive=True)))


def test_twice_the_capacity_gives_right_answers_clean_refusals_and_bounded_memory(triton, triton_settings, repository):
    slow = write_spots(triton_settings.home / "slow.onnx", burns=12)
    fill(repository, spots_files(slow, model="slow"))
    triton.load("slow")
    triton.wait_ready("slow", 1)
    before = memory_of(triton_settings)
    command = [sys.executable, "-m", "tests.serving.load", triton.http, "slow", "2", str(SECONDS)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert set(result["counts"]) == {"right", "refused"}
    assert result["counts"]["right"] > MAX_QUEUE
    assert memory_of(triton_settings) - before < MAX_GROWTH_BYTES
