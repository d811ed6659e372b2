"""From the registry to two real Triton servers: staged, promoted, rolled back and restored, with samples out of lakeFS."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.triton_environment import find_or_install
from infra.triton_server import STAGES, start_triton, stop_triton
from lakegate.canonical import sha256_file
from lakegate.catalog import load_model
from lakegate.declarations import ModelDeclaration
from lakegate.errors import BadInput, GateFailed, SetupProblem, Unattested
from lakegate.lifecycle import serving
from lakegate.registry import releases, runs
from lakegate.registry.documents import Decision, Pointer, Release, ReleaseRequest, RunReference
from lakegate.registry.store import ensure_registry, write_pointer
from lakegate.settings import Settings
from tests.lifecycle.conftest import Workshop
from tests.serving.spots import write_spots
from tests.squares import declare_model, write_squares

pytestmark = pytest.mark.services
LABELS = ("bright", "dark", "other")
"""Of red, green and blue, as ``write_spots`` sees them: a bright square is bright in all, and the first label wins."""


@pytest.fixture(scope="module")
def triton_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A state folder with a server for each stage; the settings name their addresses."""
    settings = Settings(home=tmp_path_factory.mktemp("triton-home"), threads=1)
    try:
        environment = find_or_install(print)
    except SetupProblem as problem:
        pytest.skip(str(problem))
    try:
        for stage in STAGES:
            address = start_triton(settings, environment, stage, print)
            setattr(settings, f"triton_{stage}_http", address.http)
            setattr(settings, f"triton_{stage}_grpc", address.grpc)
        yield settings
    finally:
        for stage in STAGES:
            stop_triton(settings.home, stage)


class Served:
    """A model of a dataset that has v1, runs whose files are planted, and the servers."""

    def __init__(self, workshop: Workshop, triton_home: Settings) -> None:
        self.workshop, self.client = workshop, workshop.client
        addresses = {name: getattr(triton_home, name) for name in Settings.model_fields if name.startswith("triton_")}
        self.settings = workshop.settings.model_copy(update={"home": triton_home.home, **addresses})
        self.trusting(workshop.settings)
        workshop.publish(write_squares(workshop.folder / "one", range(6)), "v1")
        self.model = f"finder-{workshop.dataset[-8:]}"
        declare_model(workshop.checkout, self.model, [workshop.dataset])
        ensure_registry(self.client)
        self.write_case("square", f"{workshop.dataset}@v1/square-1")

    def trusting(self, settings: Settings) -> None:
        """Let the other state folder trust this publisher's key."""
        (self.settings.home / "keys").mkdir(exist_ok=True)
        for key in (settings.home / "keys").glob("*.pub"):
            (self.settings.home / "keys" / key.name).write_bytes(key.read_bytes())

    @property
    def declaration(self) -> ModelDeclaration:
        return load_model(self.settings, self.model)

    def write_case(self, name: str, sample: str) -> Path:
        path = self.settings.models_dir / self.model / "functional" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"sample": sample, "expect": {"counts": {"bright": {"min": 1}}}, "why": "one is labelled"}))
        return path

    def run(self, name: str, labels: tuple[str, str, str] = LABELS, gain: float = 1.0) -> RunReference:
        """Commit a run whose model finds bright cells."""
        onnx = write_spots(self.workshop.folder / f"{name}.onnx", gain, labels)
        files = {runs.ONNX: onnx, runs.DECLARATION: self.declaration.model_dump_json().encode()}
        commit = runs.commit_run(self.client, self.model, name, files, "planted")
        return RunReference(run_id=name, commit=commit, model_sha256=sha256_file(onnx))

    def request(self, number: int, run: RunReference) -> ReleaseRequest:
        unread = ("declaration_digest", "code_commit", "verdict_sentence", "comparison", "evidence_digest")
        return ReleaseRequest.model_validate(
            {
                **dict.fromkeys(unread, "x"),
                "model": self.model,
                "release": number,
                "candidate": run.model_dump(),
                "replaces": number - 1,
                "baseline": None,
                "versions": (f"{self.workshop.dataset}@v1",),
                "content_digests": ("x",),
                "operating": self.declaration.operating.model_dump(),
                "verdict": "pass",
                "requested_by": "ada",
            }
        )

    def release(self, number: int, run: RunReference) -> str:
        """Stage, serve in production, write the pointer: the order of a release."""
        request = self.request(number, run)
        serving.stage_candidate(self.client, self.settings, self.declaration, number, run)
        releases.propose(self.client, request)
        served = serving.serve_release(self.client, self.settings, self.model, number, run, request.operating)
        self.point(request)
        return served

    def point(self, request: ReleaseRequest) -> None:
        """Write release and pointer as a promotion does; who may decide is tested elsewhere."""
        decision = Decision(request_digest=request.digest, decision="approve", approver="grace", reason="x", decided_at="x")
        release = Release(
            model=self.model, number=request.release, run=request.candidate, request=request, decision=decision
        )
        pointer = Pointer(
            model=self.model,
            release=request.release,
            run=request.candidate,
            request_digest=request.digest,
            previous=request.replaces,
            kind="promotion",
            written_by="grace",
            written_at="x",
        )
        write_pointer(self.client, "production", pointer, release)

    def answering(self, stage: str = "production") -> int:
        stand = serving.find_stand(self.settings, "production" if stage == "production" else "staging")
        assert stand is not None
        image = serving.ready_cases(self.client, self.settings, self.files)[0].image
        return stand.server.ask(self.model, image, "grpc", False).release

    @property
    def files(self) -> serving.ModelFiles:
        release = releases.in_production(self.client, self.model)
        assert release is not None
        operating = release.request.operating
        return serving.model_files(self.client, self.settings, "staging", self.model, 1, release.run, operating)


@pytest.fixture
def served(workshop: Workshop, triton_home: Settings) -> Served:
    return Served(workshop, triton_home)


def test_staged_promoted_and_rolled_back_within_a_minute_with_functional_tests(served: Served) -> None:
    first, second = served.run("first"), served.run("second")
    sentence = served.release(1, first)
    assert f"release 1 of {served.model} answers on production" in sentence and "2 passed" in sentence
    served.release(2, second)
    assert served.answering() == 2

    started = time.monotonic()
    pointer, sentence = serving.roll_back(served.client, served.settings, served.model, 1, "grace")
    assert time.monotonic() - started < 60
    assert (pointer.release, pointer.previous, pointer.kind) == (1, 2, "roll-back")
    assert "of 2 functional requests 2 passed" in sentence and served.answering() == 1
    assert serving.roll_back(served.client, served.settings, served.model, 1, "grace")[0] == pointer


def test_a_candidate_that_fails_its_functional_tests_reaches_neither_stage(served: Served) -> None:
    served.release(1, served.run("first"))
    blind = served.run("blind", gain=0.01)
    with pytest.raises(GateFailed, match=r"0 objects of bright were found.* Release 1 is served again"):
        serving.stage_candidate(served.client, served.settings, served.declaration, 2, blind)
    operating = served.declaration.operating
    with pytest.raises(GateFailed, match="Release 1 is served again"):
        serving.serve_release(served.client, served.settings, served.model, 2, blind, operating)
    assert (served.answering("staging"), served.answering()) == (1, 1)


def test_a_changed_interface_is_a_gate_unless_model_toml_gives_a_reason(served: Served) -> None:
    served.release(1, served.run("first"))
    other = served.run("other", labels=("bright", "light", "other"))
    with pytest.raises(GateFailed, match=r"labels were .*'dark'.*, now \['bright', 'light'"):
        serving.stage_candidate(served.client, served.settings, served.declaration, 2, other)
    accepting = {"serving": served.declaration.serving.model_copy(update={"accept_interface_change": "clients moved"})}
    declaration = served.declaration.model_copy(update=accepting)
    staged = serving.stage_candidate(served.client, served.settings, declaration, 2, other)
    assert "Accepted in model.toml: clients moved" in staged.served
    assert {item.outcome for item in staged.functional} == {"pass"}


def test_a_server_is_brought_to_what_the_registry_says(served: Served) -> None:
    first, second = served.run("first"), served.run("second")
    served.release(1, first)
    operating = served.declaration.operating
    serving.serve_release(served.client, served.settings, served.model, 2, second, operating)  # and killed before the pointer
    assert served.answering() == 2
    sentences = serving.restore_stage(served.client, served.settings, "production")
    assert f"release 1 of {served.model} is served by production again" in sentences and served.answering() == 1


def test_a_case_of_an_unattested_or_missing_sample_is_refused_by_name(served: Served) -> None:
    client, dataset = served.client, served.workshop.dataset
    run = served.run("first")
    path = served.write_case("square", f"{dataset}@v1/square-99")
    with pytest.raises(BadInput, match=r"case 'square' of .*@v1 has no sample 'square-99'"):
        serving.stage_candidate(client, served.settings, served.declaration, 1, run)
    client.create_branch(dataset, "by-hand", "main")
    client.upload(dataset, "by-hand", "annotations/square-0.json", client.read(dataset, "main", "annotations/square-1.json"))
    client.commit(dataset, "by-hand", "labels swapped by hand", {})
    path.write_text(path.read_text().replace("@v1/square-99", "@by-hand/square-1"))
    with pytest.raises(Unattested):
        serving.stage_candidate(client, served.settings, served.declaration, 1, run)


def test_a_stack_without_triton_says_that_nothing_is_served(served: Served) -> None:
    run = served.run("first")
    bare = served.workshop.settings
    staged = serving.stage_candidate(served.client, bare, served.declaration, 1, run)
    assert staged == serving.StagedCandidate((), serving.NO_SERVER)
    operating = served.declaration.operating
    assert serving.serve_release(served.client, bare, served.model, 1, run, operating) == serving.NO_SERVER
    assert serving.restore_stage(served.client, bare, "staging") == [serving.NO_SERVER]


