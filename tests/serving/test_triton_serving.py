"""The served contract on a real tritonserver: the answers of evaluation, refusals, frames, restarts."""

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
import requests

from infra import processes
from infra.triton_environment import find_or_install
from infra.triton_server import SHARED_MEMORY, service_name, shared_memory_prefix, start_triton
from lakegate.client import Client
from lakegate.errors import BadImage, BadInput, ServiceUnavailable, ServingError
from lakegate.serving.contract import ENCODED, IMAGE, ServedSpec
from lakegate.serving.model_files import fill, samples_dir, switch, switched_to
from lakegate.serving.protocol import encode_request
from tests.serving.spots import LABELS, as_evaluated, encoded, picture, spots_files, write_spots

pytestmark = pytest.mark.services

MODEL = "spots"
PROTOCOLS = ("http", "grpc")


@pytest.fixture(scope="module")
def files(triton, triton_settings, repository):
    """Release 1 of the model, served."""
    onnx_file = write_spots(triton_settings.home / "spots.onnx")
    content = spots_files(onnx_file)
    fill(repository, content)
    triton.load(MODEL)
    triton.wait_ready(MODEL, 1)
    return content


def shared_memory(home):
    return set(SHARED_MEMORY.glob(f"{shared_memory_prefix(home, 'staging')}*"))


def noise(seed, size_px):
    return np.random.default_rng(seed).integers(0, 256, (*size_px, 3), np.uint8)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", ["array", "png", "jpg"])
def test_the_server_gives_exactly_the_answer_of_evaluation(triton, files, protocol, kind):
    address = triton.http if protocol == "http" else triton.grpc
    client = Client(address, protocol)
    wide = picture((0, 0, 1), size_px=(60, 333))
    for pixels in (picture((1, 2, 0), (3, 5, 2)), wide, noise(1, (40, 50)), noise(2, (64, 96))):
        image = pixels if kind == "array" else encoded(pixels, kind)
        expected = as_evaluated(files, image)
        answer = client.ask(MODEL, image)
        assert (answer.objects, answer.release) == (expected, 1)
    assert {item.label for item in client.predict(MODEL, picture((1, 2, 0), (3, 5, 2)))} == {"red", "blue"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("wrong", "came"),
    [
        (np.full((50, 60, 3), -5, np.int8), r"int8 of shape \(50, 60, 3\)"),
        (np.zeros((50, 60), np.uint8), r"uint8 of shape \(50, 60\)"),
        (np.zeros((50, 60, 4), np.uint8), r"uint8 of shape \(50, 60, 4\)"),
        ("a.jpg", "came str"),
    ],
    ids=("int8", "grey", "rgba", "text"),
)
def test_what_is_no_image_is_refused_before_it_is_sent(triton, protocol, wrong, came):
    address = triton.http if protocol == "http" else triton.grpc
    with pytest.raises(BadInput, match=f"expected the bytes of a JPEG or PNG file, or uint8 RGB .*{came}"):
        Client(address, protocol).ask(MODEL, wrong)


def test_a_file_is_sent_as_it_is(triton, files, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(picture((2, 3, 1))))
    assert Client(triton.http).predict(MODEL, path) == as_evaluated(files, path.read_bytes())
    with pytest.raises(BadImage, match="expected an image file"):
        Client(triton.http).predict(MODEL, tmp_path / "absent.png")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("image", "words"),
    [
        (b"no image at all", "not a whole image"),
        (encoded(picture(), "jpg")[:-200], "not a whole JPEG"),
        (np.zeros((3, 0, 3), np.uint8), r"expected a uint8 image of shape \(height, width, 3\)"),
        (np.zeros((3, 4), np.uint8), r"came uint8 of shape \(3, 4\)"),
        (encoded(np.zeros((8100, 8000, 3), np.uint8)), "at most 64000000 pixels"),
    ],
    ids=["no image", "half a JPEG", "empty", "grey", "too large"],
)
def test_what_is_no_usable_image_is_refused_with_the_reason(triton, files, protocol, image, words):
    with pytest.raises(BadInput, match=words):
        triton.predict(files.model, image, protocol)


def test_a_bad_image_is_the_answer_of_its_own_request_only(triton, files):
    good = [picture((row, row, 0)) for row in range(4)]
    images = [image for pixels in good for image in (pixels, b"broken", encoded(pixels))] * 4

    def ask(image):
        try:
            return triton.predict(MODEL, image)
        except BadInput as error:
            return str(error)

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(ask, images))
    for image, answer in zip(images, answers, strict=True):
        if isinstance(image, bytes) and image == b"broken":
            assert "not a whole image" in answer
        else:
            assert answer == as_evaluated(files, image)


def test_a_request_holds_exactly_one_kind_of_image(triton, files):
    one, other = ({"name": name, "datatype": kind, "shape": shape, "data": data} for name, kind, shape, data in (
        (ENCODED, "BYTES", [1, 1], ["x"]),
        (IMAGE, "UINT8", [1, 1, 1, 3], [0, 0, 0]),
    ))  # fmt: skip
    url = f"{triton.http}/v2/models/{files.model}/infer"
    answer = requests.post(url, json={"inputs": [one, other]}, timeout=60)
    assert answer.status_code == 400
    assert answer.json()["error"] == "expected exactly one of the inputs 'encoded' and 'image', came both"


def test_a_request_of_several_images_is_answered_row_by_row(triton, files):
    images = np.stack([picture((0, 0, 0)), picture((1, 1, 1)), picture()])
    header = {"inputs": [{"name": IMAGE, "datatype": "UINT8", "shape": images.shape, "data": images.reshape(-1).tolist()}]}
    answer = requests.post(f"{triton.http}/v2/models/{files.model}/infer", json=header, timeout=60).json()
    outputs = {item["name"]: item for item in answer["outputs"]}
    assert outputs["n_objects"]["data"] == [1, 1, 0]
    assert outputs["labels"]["shape"] == [3, 8]
    assert [outputs["labels"]["data"][row * 8] for row in range(3)] == [0, 1, -1]


def test_the_configuration_says_which_release_is_served(triton, files):
    parameters = {name: value["string_value"] for name, value in triton.config(MODEL)["parameters"].items()}
    assert json.loads(parameters["labels"]) == list(LABELS)
    assert (parameters["release"], parameters["run_id"], parameters["lakefs_commit"]) == ("1", "run1", files.run.commit)
    assert parameters["model_sha256"] == files.run.model_sha256
    assert [item["name"] for item in triton.metadata(MODEL, 1)["inputs"]] == ["encoded", "image"]


def test_frames_are_kept_with_what_was_found_but_not_those_of_tests(triton, triton_settings, repository, files):
    folder = samples_dir(triton_settings, "staging", "watched", 7)
    watched = spots_files(files.onnx, number=7, model="watched", sampling_ratio=1.0, samples=folder)
    fill(repository, watched)
    triton.load("watched")
    photo, pixels = encoded(picture((1, 1, 2)), "jpg"), picture((2, 2, 1))
    for protocol in PROTOCOLS:
        triton.predict("watched", encoded(picture((0, 3, 0))), protocol, sampled=False)
        triton.predict("watched", photo, protocol)
        triton.predict("watched", pixels, protocol)
    notes = [json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))]
    assert sorted(path.suffix for path in folder.glob("[!.]*")) == [".jpg", ".json", ".json", ".png"]
    assert {(note["release"], note["run_id"]) for note in notes} == {(7, "run7")}
    kept = {(folder / note["image"]).read_bytes(): note["objects"] for note in notes}
    expected = as_evaluated(watched, photo)
    assert kept[photo] == [
        {"label": item.label, "score": item.score, "box_xyxy_px": list(item.box_xyxy_px)} for item in expected
    ]
    triton.unload("watched")


def test_a_frame_that_cannot_be_kept_does_not_break_the_answer(triton, triton_settings, repository, files):
    blocked = triton_settings.home / "blocked"
    blocked.write_text("a file where the folder should be")
    fill(repository, spots_files(files.onnx, model="unwatched", sampling_ratio=1.0, samples=blocked / "samples"))
    triton.load("unwatched")
    assert triton.predict("unwatched", picture((1, 1, 1))) == as_evaluated(files, picture((1, 1, 1)))
    log = processes.log_file(triton_settings.home, service_name("staging")).read_text()
    assert "a frame could not be kept" in log
    triton.unload("unwatched")


def test_a_model_for_another_preprocessing_is_refused_with_the_reason(triton, triton_settings, repository, files):
    other = write_spots(triton_settings.home / "other.onnx", preprocessing_digest="0" * 64)
    fill(repository, spots_files(other, model="foreign"))
    with pytest.raises(ServingError, match="was made for pre-processing 000000000000, beside it lies"):
        triton.load("foreign")
    swapped = spots_files(other, model="swapped", run=files.run)
    fill(repository, swapped)
    with pytest.raises(ServingError, match="do not serve it"):
        triton.load("swapped")
    assert triton.versions("swapped")[1].state == "UNAVAILABLE"
    with pytest.raises(ServingError, match=r"is not served by staging: UNAVAILABLE \(.*do not serve it"):
        triton.wait_ready("swapped", 1)


@pytest.mark.usefixtures("files")
def test_the_release_that_the_switch_names_is_served_also_an_earlier_one(triton, triton_settings, repository):
    louder = write_spots(triton_settings.home / "louder.onnx", gain=0.6)
    fill(repository, spots_files(louder, number=2))
    triton.load(MODEL)
    triton.wait_ready(MODEL, 2)
    answer = triton.ask(MODEL, picture((1, 1, 0)))
    assert (answer.release, [round(item.score, 3) for item in answer.objects]) == (2, [0.588])
    switch(repository, MODEL, 1)
    triton.load(MODEL)
    triton.wait_ready(MODEL, 1)
    assert triton.ask(MODEL, picture((1, 1, 0)), "grpc").release == 1
    assert triton.versions(MODEL)[2].state in ("UNLOADING", "UNAVAILABLE")
    assert switched_to(repository, MODEL) == 1


def test_another_candidate_of_the_same_number_is_served_after_its_load(triton, triton_settings, repository, files):
    fill(repository, spots_files(files.onnx, model="candidate"))
    triton.load("candidate")
    assert [item.label for item in triton.predict("candidate", picture((1, 1, 0)))] == ["red"]
    names = ("rouge", "vert", "bleu")
    other = write_spots(triton_settings.home / "candidate.onnx", gain=0.6, labels=names)
    fill(repository, spots_files(other, model="candidate", labels=names))
    triton.load("candidate")
    triton.wait_ready("candidate", 1)
    found = triton.predict("candidate", picture((1, 1, 0)))
    assert [(item.label, round(item.score, 3)) for item in found] == [("rouge", 0.588)]
    triton.unload("candidate")


@pytest.mark.usefixtures("files")
def test_a_killed_server_comes_back_with_what_it_served(triton, triton_settings):
    home = triton_settings.home
    before = processes.living(home, service_name("staging"))
    regions = shared_memory(home)
    assert regions
    os.kill(before.pid, signal.SIGKILL)
    psutil.Process(before.pid).wait(10)
    with pytest.raises(ServiceUnavailable, match="no Triton server answers"):
        triton.versions(MODEL)
    with pytest.raises(ServiceUnavailable, match="cannot be reached"):
        triton.predict(MODEL, picture(), "grpc")
    said = []
    address = start_triton(triton_settings, find_or_install(said.append), "staging", said.append)
    assert (address.http, address.grpc) == (triton.http, triton.grpc)
    assert triton.ask(MODEL, picture((1, 1, 0))).release == 1
    left_out = [line.split(" ")[0] for line in said if "is not served by staging after the start" in line]
    assert left_out == ["foreign", "swapped"]
    assert start_triton(triton_settings, find_or_install(said.append), "staging", said.append) == address
    assert regions.isdisjoint(shared_memory(home))  # what the killed server left is gone


def test_no_answer_of_another_model_is_taken_for_one(triton, files):
    with pytest.raises(ServingError, match="unknown model: 'absent'"):
        triton.predict("absent", picture())
    body, headers = encode_request(picture(), sampled=True)
    assert requests.post(f"{triton.http}/v2/models/{files.model}/infer", body, headers=headers, timeout=60).ok


def test_a_version_directory_holds_everything_and_stays_as_it_was_filled(repository, files):
    folder = repository / MODEL / "1"
    assert ServedSpec.read(folder) == files.spec
    made_by_triton = {path for path in folder.rglob("*.pyc")}
    assert {path.name.split(".")[0] for path in made_by_triton} <= {"model"}
