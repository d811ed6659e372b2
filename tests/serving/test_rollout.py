"""lakegate/serving/rollout.py on the real tritonserver: tested before it is switched to, and the old one otherwise."""

import multiprocessing
import os
import signal
from dataclasses import replace
from typing import get_args

import pytest

from infra.processes import log_file
from infra.triton_server import service_name
from lakegate import failpoints
from lakegate.errors import GateFailed, ServingError
from lakegate.serving.model_files import switched_to
from lakegate.serving.rollout import Stand, is_serving, restore, roll_out
from lakegate.serving.server import TritonServer
from tests.serving.cases import CASES, PICTURE
from tests.serving.spots import spots_files, write_spots

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def stand(triton, triton_settings, repository):
    log = log_file(triton_settings.home, service_name("staging"))
    return Stand(triton, repository, log, load_timeout_s=20)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A file that finds every bright cell."""
    return write_spots(tmp_path_factory.mktemp("good") / "model.onnx")


@pytest.fixture(scope="module")
def swapped(tmp_path_factory):
    """A file that calls red green."""
    return write_spots(tmp_path_factory.mktemp("swapped") / "model.onnx", labels=SWAPPED)


SWAPPED = ("green", "red", "blue")


def answering(stand, model):
    """Return the release that answers over HTTP and over gRPC, which must be one."""
    releases = {stand.server.ask(model, PICTURE, way, False).release for way in ("http", "grpc")}
    assert len(releases) == 1
    return releases.pop()


def test_a_release_is_served_after_its_functional_tests_passed_over_both_protocols(stand, good):
    result = roll_out(stand, spots_files(good, 1, "first"), CASES, None)
    assert [(item.protocol, item.outcome) for item in result.functional] == [("http", "pass"), ("grpc", "pass")]
    assert "release 1 of first answers on staging" in result.sentence and "of 2 functional requests 2 passed" in result.sentence
    assert answering(stand, "first") == 1 and switched_to(stand.repository, "first") == 1


def test_forward_and_back_again_serves_exactly_the_number_that_was_asked_for(stand, good):
    one, two = (spots_files(good, number, "walk") for number in (1, 2))
    roll_out(stand, one, CASES, None)
    for files, previous in ((two, one), (one, two)):
        result = roll_out(stand, files, CASES, previous)
        assert answering(stand, "walk") == files.number == switched_to(stand.repository, "walk")
        kept = {int(path.name) for path in (stand.repository / "walk").iterdir() if path.is_dir()}
        assert kept == {files.number, previous.number}
    assert result.duration_s < 60


def test_a_failed_functional_test_puts_the_old_release_back(stand, good, swapped):
    one, two = spots_files(good, 1, "judged"), spots_files(swapped, 2, "judged", labels=SWAPPED)
    roll_out(stand, one, CASES, None)
    with pytest.raises(GateFailed, match=r"picture over http: red at .* was not found.* Release 1 is served again"):
        roll_out(stand, two, CASES, one)
    assert answering(stand, "judged") == 1 == switched_to(stand.repository, "judged")


def test_a_first_release_that_fails_leaves_nothing_served(stand, swapped):
    with pytest.raises(GateFailed, match="nothing is now"):
        roll_out(stand, spots_files(swapped, 1, "alone", labels=SWAPPED), CASES, None)
    with pytest.raises(ServingError):
        stand.server.ask("alone", PICTURE, "http", False)
    assert switched_to(stand.repository, "alone") is None


def test_a_release_that_cannot_be_loaded_never_interrupts_the_old_one(stand, good, tmp_path):
    foreign = write_spots(tmp_path / "model.onnx", preprocessing_digest="0" * 64)
    one, two = spots_files(good, 1, "steady"), spots_files(foreign, 2, "steady")
    roll_out(stand, one, CASES, None)
    with pytest.raises(ServingError, match=r"made for pre-processing 000000000000.* Release 1 was served all the time"):
        roll_out(stand, two, CASES, one)
    assert answering(stand, "steady") == 1 == switched_to(stand.repository, "steady")


def test_another_candidate_for_the_same_number_takes_its_place(stand, good, swapped):
    """A rejected proposal does not use its number up."""
    rejected, next_one = spots_files(swapped, 2, "again", labels=SWAPPED), spots_files(good, 2, "again")
    roll_out(stand, rejected, [], None)
    roll_out(stand, next_one, CASES, rejected)
    assert is_serving(stand.server, next_one) and not is_serving(stand.server, rejected)


def _die(stand_words, files, previous, failpoint):
    os.environ[failpoints.VARIABLE] = failpoint
    http, grpc, repository = stand_words
    roll_out(Stand(TritonServer(http, grpc, "staging"), repository), files, CASES, previous)


@pytest.fixture(scope="module")
def dying():
    """Run a rollout in a process of its own, which SIGKILL ends at a failpoint."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lakegate.serving.rollout", "tests.serving.test_rollout"])

    def run(stand, files, previous, failpoint):
        words = (stand.server.http, stand.server.grpc, stand.repository)
        process = context.Process(target=_die, args=(words, files, previous, failpoint))
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL

    return run


def test_killed_at_any_point_old_or_new_is_served_and_a_rerun_ends_with_the_new(stand, good, dying):
    standing = spots_files(good, 1, "killed")
    roll_out(stand, standing, CASES, None)
    for number, failpoint in enumerate(get_args(failpoints.Serving), start=2):
        files = spots_files(good, number, "killed")
        dying(stand, files, standing, failpoint)
        is_loaded = failpoint not in ("served-aside", "served-filled")
        assert answering(stand, "killed") == (files if is_loaded else standing).number
        on_disk = files if failpoint == "served-switched" else standing
        assert switched_to(stand.repository, "killed") == on_disk.number
        roll_out(stand, files, CASES, standing)
        assert answering(stand, "killed") == number == switched_to(stand.repository, "killed")
        standing = files


def test_what_a_starting_server_reads_is_the_tested_release_and_the_registry_can_be_followed(stand, good, dying):
    one, two = (spots_files(good, number, "started") for number in (1, 2))
    roll_out(stand, one, CASES, None)
    dying(stand, two, one, "served-tested")
    assert answering(stand, "started") == 2
    assert restore(stand, one).endswith("again") and answering(stand, "started") == 1
    assert "as the registry says" in restore(stand, one)
    dying(stand, two, one, "served-loaded")
    stand.server.unload("started")
    stand.server.load("started")  # what a server does that starts: it reads config.pbtxt
    assert answering(stand, "started") == 1


def test_a_model_that_is_served_by_nobody_is_restored_from_the_registry(stand, good):
    files = spots_files(good, 4, "lost")
    assert restore(stand, files) == "release 4 of lost is served by staging again"
    assert is_serving(stand.server, files)
    assert not is_serving(stand.server, replace(files, run=files.run.model_copy(update={"run_id": "other"})))
