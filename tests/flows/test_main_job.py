"""The main job through the command line, on real workers: publish, train, judge, release, approve, go back."""

import json
import os
import shutil
import signal
from pathlib import Path
from typing import get_args
from uuid import UUID

import pytest
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId

from infra import prefect_server
from infra.processes import living
from lakegate.formats.registry import SourceFormat
from lakegate_cli.data_commands import version_rows
from tests.flows.conftest import Person, asked_by, publish_two
from tests.squares import write_squares

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def published(person: Person) -> Person:
    """``squares`` has v1 (with a sample without area, kept out) and v2."""
    publish_two(person, "squares")
    return person


@pytest.fixture(scope="module")
def released(published: Person) -> Person:
    """Release 1 of ``finder`` is in production, after tries that changed nothing and a restart of the Prefect server."""
    person = published
    waiting = person.gets("model", "release", "finder", "--version", "squares@v1")
    assert (waiting["production"], waiting["staging"], waiting["state"]) == (None, 1, "PAUSED")
    run_id = waiting["flow_run"].rsplit("/", 1)[1]

    code = person.code_of("ada")
    assert _fill_form(person, run_id, "ADA", code) == "PAUSED"  # asked again, with the reason
    assert "**Not accepted:** ADA asked for this release" in _form_text(person, run_id)
    _kill_prefect(person)
    assert person.types("up").code == 0
    code = person.code_of("grace")
    assert _fill_form(person, run_id, "grace", "000000" if code != "000000" else "111111") == "PAUSED"
    assert "**Not accepted:** the one-time code of grace is wrong" in _form_text(person, run_id)

    refused = person.types("model", "approve", "finder", "--by", " ada ", "--reason", "mine", LAKEGATE_CODE=code)
    assert refused.code == 1 and "author and approver must differ" in refused.err
    silent = person.types("model", "approve", "finder", "--by", "grace", "--reason", "looked at every flip")
    assert silent.code == 2 and "one-time code" in silent.err
    assert person.gets("model", "status", "finder")["production"] is None

    words = ("--by", "grace", "--reason", "looked at every flip")
    code = person.code_of("grace")  # of now: the steps above may take longer than a code lasts
    approved = person.gets("model", "approve", "finder", *words, LAKEGATE_CODE=code)
    assert approved["production"] == 1 and "approved by grace (one-time code)" in approved["decision"]
    return person


def _fill_form(person: Person, run_id: str, approver: str, code: str) -> str:
    """Resume the run as the Prefect UI does, and return the state in which it stops again; Prefect knows no code then."""
    from lakegate_cli.flow_runs import follow_run

    with asked_by(person) as client:
        form = {"decision": "approve", "approver": approver, "code": code, "reason": "better on the diff"}
        client.resume_flow_run(UUID(run_id), run_input=form)
        state = follow_run(person.settings, run_id, lambda _line: None).state
        inputs = client.filter_flow_run_input(UUID(run_id), "", 200, set())
        lines = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[UUID(run_id)])), limit=200)
        assert lines and code not in " ".join(line.message for line in lines)
        assert code not in " ".join(item.value for item in inputs)
        return state


def _approves_in_the_form(person: Person, run_id: str) -> str:
    """Approve as grace; a code may grow too old while a busy machine starts the run, and is asked for again then."""
    for _ in range(3):
        state = _fill_form(person, run_id, "grace", person.code_of("grace"))
        if state != "PAUSED" or "wrong or too old" not in _form_text(person, run_id):
            return state
    return state


def _form_text(person: Person, run_id: str) -> str:
    """Return the text above the form that the run shows now."""
    with asked_by(person) as client:
        run = client.read_flow_run(UUID(run_id))
        assert run.state is not None and run.state.state_details.run_input_keyset
        return client.read_flow_run_input(run.id, run.state.state_details.run_input_keyset["description"])


def _kill_prefect(person: Person) -> None:
    server = living(person.home, prefect_server.NAME)
    assert server is not None
    os.kill(server.pid, signal.SIGKILL)




def test_a_release_is_trained_once_and_goes_through_both_stages(released: Person) -> None:
    rows = released.gets("model", "log", "finder")
    assert len(rows["runs"]) == 1  # a flow run that was resumed three times trained nothing again
    assert [(row["release"], row["approved by"], row["in production"]) for row in rows["releases"]] == [
        (1, "grace (one-time code)", "yes")
    ]
    exported = released.gets("model", "export", "finder", rows["runs"][0]["run"])
    assert len(exported["model_sha256"]) == 64 and exported["parity"].startswith("ONNX against the trained network")
    again = released.gets("model", "train", "finder", "--version", "squares@v1", "--local")
    assert again["new"] is False


def test_a_released_model_predicts_from_the_command_line(released: Person) -> None:
    image = released.folder / "squares-one" / "JPEGImages" / "square-0.jpg"
    answer = released.gets("predict", "finder", str(image))
    assert (answer["release"], [item["image"] for item in answer["images"]]) == (1, [str(image)])
    missing = released.types("predict", "finder", str(image.with_name("absent.jpg")))
    assert missing.code == 2 and "absent.jpg" in missing.err


def test_packed_frames_go_to_a_branch_and_out_for_annotation_with_what_production_finds(released: Person) -> None:
    images = write_squares(released.folder / "frames", range(50, 54)) / "JPEGImages"
    packed = shutil.make_archive(str(released.folder / "may"), "gztar", images)
    sent = released.gets("data", "frames", "squares", "--source", packed, "--branch", "may")
    assert sent["branch"] == "annotate-may"
    target = released.folder / "to-annotate"
    words = ("data", "export", "squares", "annotate-may", "--into", str(target), "--predictions", "finder")
    assert released.gets(*words)["into"] == str(target)
    assert (target / "annotations.xml").read_text().count("<image ") == 4
    assert len(list((target / "images").iterdir())) == 4
    twice = released.types(*words, "--local")
    assert twice.code == 2 and "not an empty folder" in twice.err
    assert "Traceback" not in twice.err + twice.out


def test_where_nothing_waits_nothing_is_approved(released: Person) -> None:
    again = released.types("model", "approve", "finder", "--by", "mallory", "--reason", "me too")
    assert again.code == 1 and "nothing of finder waits for approval" in again.err
    unknown = released.types("model", "approve", "findr", "--by", "grace", "--reason", "a slip")
    assert unknown.code == 2 and "did you mean 'finder'" in unknown.err


@pytest.mark.parametrize(
    "words",
    [
        ("data", "publish", "squares", "--source", ".", "--version", "V.1"),
        ("data", "publish", "squares", "--source", ".", "--version", "v9", "--format", "cvta"),
        ("data", "publish", "squares", "--source", "./absent", "--version", "v9"),
        ("data", "diff", "sqares", "v1", "v2"),
        ("data", "export", "squares", "v1", "--into", "absent", "--where", "objects >"),
        ("model", "train", "finder", "--epochs", "-5"),
        ("predict", "findr", "image.jpg"),
    ],
    ids=" ".join,
)
def test_a_slip_in_a_command_is_told_at_once_and_without_a_traceback(person: Person, words: tuple[str, ...]) -> None:
    answer = person.types(*words)
    assert answer.code == 2, answer.err
    assert "Traceback" not in answer.err + answer.out


def test_the_form_of_the_prefect_ui_promotes_too_and_the_command_rolls_back(released: Person) -> None:
    waiting = released.gets("model", "release", "finder", "--version", "squares@v2")
    assert (waiting["production"], waiting["staging"]) == (1, 2)
    assert _approves_in_the_form(released, waiting["flow_run"].rsplit("/", 1)[1]) == "COMPLETED"
    assert released.gets("model", "status", "finder")["production"] == 2
    assert released.gets("model", "roll-back", "finder", "1", "--local")["production"] == 1
    assert len(released.gets("model", "log", "finder")["releases"]) == 2


def test_a_gate_that_fails_ends_the_release_with_its_sentence_and_moves_nothing(published: Person) -> None:
    answer = published.types("model", "release", "strict-finder", "--version", "squares@v1", "--local")
    assert answer.code == 1 and "Nothing was staged" in answer.err
    status = published.gets("model", "status", "strict-finder")
    assert (status["production"], status["staging"]) == (None, None)

    (run,) = [row["run"] for row in published.gets("model", "log", "strict-finder")["runs"]]
    words = ("model", "compare", "strict-finder", run, "none", "--version", "squares@v1", "--local", "--json")
    compared = published.types(*words)
    assert compared.code == {"fail": 1, "not enough data": 3}[compared.json["verdict"]]
    assert [rule["key"] for rule in compared.json["rules"]] and compared.json["cells"][0]["name"] == "all"


def test_a_bad_export_is_refused_with_the_file_and_the_reason(person: Person) -> None:
    source = write_squares(person.folder / "bad", range(12))
    broken = source / "JPEGImages" / "square-4.jpg"
    broken.write_bytes(broken.read_bytes()[:500])
    answer = person.types("data", "publish", "refusing", "--source", str(source), "--version", "v1")
    assert answer.code == 1
    assert "square-4.jpg" in answer.err and "main was not touched" in answer.err
    assert "Traceback" not in answer.err + answer.out
    unknown = person.types("data", "log", "sqares", "--json")
    assert (unknown.code, unknown.json["error"]) == (2, "UnknownName")


def test_a_publisher_killed_at_every_step_leaves_one_whole_version(person: Person) -> None:
    source = write_squares(person.folder / "killed", range(12))
    words = ("data", "publish", "killed", "--source", str(source), "--version", "v1", "--local")
    for failpoint in ("uploading", "committed", "attested", "merged", "tagged"):
        killed = person.types(*words, LAKEGATE_FAILPOINT=failpoint)
        assert killed.code == -9, (failpoint, killed.err)
        rows = version_rows(person.settings, "killed")
        assert [row["samples"] for row in rows] == ([12] if failpoint == "tagged" else [])
    assert person.types(*words).code == 0
    assert [(row["version"], row["samples"]) for row in person.gets("data", "log", "killed")] == [("v1", 12)]


def test_every_form_can_be_filled_without_reading_the_source(person: Person) -> None:
    import requests

    found = requests.post(f"{person.settings.prefect_api_url}/deployments/filter", json={}, timeout=30).json()
    deployments = [item for item in found if item["work_pool_name"] in ("control", "cpu")]
    assert len(deployments) == 14
    for deployment in deployments:
        schema = deployment["parameter_openapi_schema"]
        for name, field in schema["properties"].items():
            assert field.get("description") or "$ref" in json.dumps(field), (deployment["name"], name)
            assert "null" not in json.dumps(field), (deployment["name"], name)
    publish = next(item for item in deployments if "source_format" in item["parameter_openapi_schema"]["properties"])
    assert publish["parameter_openapi_schema"]["properties"]["source_format"]["enum"] == list(get_args(SourceFormat))


def test_pages_of_a_run_open_by_the_address_that_is_printed(published: Person) -> None:
    import requests

    stack = json.loads((published.home / "stack.json").read_text())
    page = requests.get(f"{stack['reports_url']}/squares/validation-v1.html", timeout=30)
    assert page.status_code == 200 and "square-3" in page.text
    assert Path(published.home / "reports" / "squares" / "validation-v1.html").is_file()


