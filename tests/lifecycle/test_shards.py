"""Missing predictions computed in shards: by several processes, on several hosts, killed, damaged; the result is the same."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lakegate.errors import BadInput, SetupProblem
from lakegate.evaluation.comparing import compare
from lakegate.evaluation.gate import judge as judge_gate
from lakegate.evaluation.matrix import Measured
from lakegate.evaluation.prediction_cache import PredictionCache
from lakegate.evaluation.report import evidence_digest
from lakegate.lifecycle import comparison, export_run, training_run
from lakegate.lifecycle.comparison import ComparisonPlan
from lakegate.lifecycle.comparison_inputs import open_inputs
from lakegate.lifecycle.shard_plan import ShardPlan, plan_shards, publish_plan
from lakegate.lifecycle.shard_work import collect, compute_shard
from lakegate.settings import Settings
from lakegate.shared_store import SharedStore, open_store
from tests.lifecycle.conftest import Workshop
from tests.lifecycle.test_shared_runs import environment, other_host
from tests.object_store import with_bucket
from tests.squares import declare_model, make_checkout, write_squares

pytestmark = pytest.mark.services
SHARD_IMAGES = 5
KILLED_AFTER = 3
KILLED = """
import os, signal, sys
from lakegate.evaluation import predictions
from lakegate.lake.client import LakeClient
from lakegate.lifecycle.shard_work import compute_shard
from lakegate.settings import Settings

def kill(done, _):
    if done == {after}:
        os.kill(os.getpid(), signal.SIGKILL)

predictions.WRITTEN_AT_ONCE = 1
settings = Settings.load()
compute_shard(LakeClient(settings), settings, sys.argv[1], sys.argv[2], int(sys.argv[3]), kill)
"""


@dataclass(frozen=True)
class Pair:
    """A candidate and a baseline, trained and exported; nothing is predicted yet."""

    workshop: Workshop
    plan: ComparisonPlan

    def host(self, home: Path, shared: Settings | None = None) -> Settings:
        """Return settings of a machine with an empty state folder."""
        return other_host(shared or self.workshop.settings, home)

    def shards(self, settings: Settings) -> ShardPlan:
        """Plan the shards as the flow does, and put the plan where workers find it."""
        planned = plan_shards(self.workshop.client, settings, self.plan, self.workshop.lines.append)
        publish_plan(settings, open_store(settings), planned)
        return planned

    def computes(self, settings: Settings, planned: ShardPlan, number: int) -> tuple[int, int]:
        """Compute a shard; return how many predictions were computed, and how many were there."""
        work = compute_shard(self.workshop.client, settings, self.plan.key, planned.digest, number)
        return work.n_inferred, work.n_cached

    def judges(self, settings: Settings) -> tuple[str, Measured]:
        """Return the digest of the evidence, and what it cost."""
        inputs = open_inputs(self.workshop.client, settings, self.plan)
        matrix = compare(*inputs.models, inputs.judged, inputs.before, settings, inputs.further, n_latency_images=0)
        assert {cell.name for cell in matrix.cells} >= {"old_data", "diff", "superseded", "first"}
        return evidence_digest(matrix, judge_gate(self.plan.declaration.rules, matrix)), matrix.measured


@pytest.fixture(scope="module")
def pair(lakefs_stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Trained on v1 and on v2, which lacks five images of v1, has one that is relabelled, and ten that are new."""
    workshop = Workshop(tmp_path_factory.mktemp("shards"), lakefs_stack.model_copy())
    model, further = f"finder-{workshop.dataset[-8:]}", f"{workshop.dataset}-c"
    make_checkout(workshop.checkout, [workshop.dataset, further], limits="")
    declare_model(workshop.checkout, model, [workshop.dataset], '"map.all.min" = 0.0', [further])
    with (workshop.checkout / "models" / model / "model.toml").open("a") as file:
        file.write(f"[resources]\nshard_images = {SHARD_IMAGES}\n")
    workshop.publish(write_squares(workshop.folder / "further", range(16), seed=3), "v1", further)
    trained = []
    for version, numbers, unfinished in (("v1", range(30), [12]), ("v2", range(8, 40), [])):
        workshop.publish(write_squares(workshop.folder / version, numbers, unfinished), version)
        plan = training_run.plan_run(workshop.client, workshop.settings, model, [f"{workshop.dataset}@{version}"])
        training_run.fit_run(workshop.client, workshop.settings, plan, "", workshop.lines.append)
        training_run.commit(workshop.client, workshop.settings, plan)
        export_run.export(workshop.client, workshop.settings, model, plan.run_id, workshop.lines.append)
        trained.append(plan.run_id)
    return Pair(workshop, comparison.plan_comparison(workshop.client, workshop.settings, model, trained[1], trained[0], []))


def store_of(settings: Settings) -> SharedStore:
    store = open_store(settings)
    assert store is not None
    return store


def test_what_shards_computed_is_not_computed_again_and_the_evidence_is_the_same(pair: Pair, tmp_path: Path) -> None:
    digest, alone = pair.judges(pair.host(tmp_path / "alone"))
    assert alone.baseline is not None and alone.candidate.n_sessions == 1

    settings = pair.host(tmp_path / "split")
    planned = pair.shards(settings)
    assert all(shard.n_images <= SHARD_IMAGES for shard in planned.shards) and len(planned.shards) > 2
    done = [pair.computes(settings, planned, number + 1) for number in range(len(planned.shards))]
    assert sum(n_inferred for n_inferred, _ in done) == alone.candidate.n_inferred + alone.baseline.n_inferred
    collect(settings, planned, pair.workshop.lines.append)

    again, split = pair.judges(settings)
    assert split.baseline is not None and again == digest
    for side, before in ((split.candidate, alone.candidate), (split.baseline, alone.baseline)):
        assert (side.n_inferred, side.n_sessions) == (0, 0)  # no session of ONNX Runtime was even opened
        assert side.n_cached == before.n_inferred + before.n_cached
    assert pair.shards(settings).shards == ()


def test_a_killed_shard_goes_on_where_it_was(pair: Pair, tmp_path: Path) -> None:
    settings = pair.host(tmp_path / "home")
    planned = pair.shards(settings)
    words = [pair.plan.key, planned.digest, "1"]
    script = KILLED.format(after=KILLED_AFTER)
    killed = subprocess.run([sys.executable, "-c", script, *words], env=environment(settings), capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    n_all = planned.shards[0].n_predictions
    assert pair.computes(settings, planned, 1) == (n_all - KILLED_AFTER, KILLED_AFTER)
    assert pair.computes(settings, planned, 1) == (0, n_all)
    left = pair.shards(settings)
    assert sum(shard.n_predictions for shard in left.shards) == sum(shard.n_predictions for shard in planned.shards[1:])


def test_two_that_compute_the_same_shard_at_once_do_no_harm(pair: Pair, tmp_path: Path) -> None:
    settings = pair.host(tmp_path / "home")
    planned = pair.shards(settings)
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda number: pair.computes(settings, planned, number), (1, 1)))
    assert all(sum(counts) == planned.shards[0].n_predictions for counts in done)
    assert sum(shard.n_images for shard in pair.shards(settings).shards) == sum(s.n_images for s in planned.shards[1:])


def test_other_hosts_hand_their_shards_over_through_the_store_and_what_is_damaged_does_not_count(
    pair: Pair, tmp_path: Path
) -> None:
    shared = with_bucket(pair.workshop.settings)
    compares, works = pair.host(tmp_path / "compares", shared), pair.host(tmp_path / "works", shared)
    planned, store = pair.shards(compares), store_of(shared)
    for number in (1, 2):
        assert pair.computes(works, planned, number)[0] == planned.shards[number - 1].n_predictions
    handed_over = [name for name in store.names(planned.prefix) if name.endswith(".sqlite")]
    assert len(handed_over) == 4  # two shards of two models
    bad = tmp_path / "bad"
    store.get(handed_over[0], bad)
    bad.write_bytes(bad.read_bytes()[:-100] + bytes(100))
    store.put(handed_over[0], bad)

    pair.workshop.lines.clear()
    collect(compares, planned, pair.workshop.lines.append)
    assert [line for line in pair.workshop.lines if f"{handed_over[0]} are damaged" in line]
    assert store.names(planned.prefix) == []
    digest, cost = pair.judges(compares)
    assert cost.baseline is not None
    n_here = sum(len(shard.missing[side]) for shard in planned.shards[2:] for side in (0, 1))
    damaged = [len(shard.missing[side]) for shard in planned.shards[:2] for side in (0, 1)]
    assert cost.candidate.n_inferred + cost.baseline.n_inferred - n_here in damaged
    assert digest == pair.judges(pair.host(tmp_path / "alone"))[0]


def test_what_a_killed_comparison_left_in_the_store_is_taken_in_by_the_next_one(pair: Pair, tmp_path: Path) -> None:
    shared = pair.workshop.settings.model_copy(update={"results_store": str(tmp_path / "mounted")})
    planned = pair.shards(pair.host(tmp_path / "killed", shared))
    pair.computes(pair.host(tmp_path / "works", shared), planned, 2)
    again = pair.shards(pair.host(tmp_path / "again", shared))
    assert sum(shard.n_predictions for shard in again.shards) == sum(
        shard.n_predictions for number, shard in enumerate(planned.shards) if number != 1
    )


def test_a_machine_that_shares_nothing_or_computes_something_else_is_told_what_to_do(pair: Pair, tmp_path: Path) -> None:
    compares = pair.host(tmp_path / "compares")
    planned = pair.shards(compares)
    with pytest.raises(SetupProblem, match=r"LAKEGATE_RESULTS_STORE is empty.*same store on all machines"):
        pair.computes(pair.host(tmp_path / "works"), planned, 1)
    with pytest.raises(BadInput, match=r"expected a shard from 1 to \d+, came 99"):
        pair.computes(compares, planned, 99)
    other = planned.sides[0].model_copy(update={"key": replace(planned.sides[0].key, runtime="onnxruntime 1.0.0")})
    changed = planned.model_copy(update={"sides": (other, *planned.sides[1:])})
    publish_plan(compares, None, changed)
    with pytest.raises(SetupProblem, match=r"other predictions.*onnxruntime 1\.0\.0.*requirements\.lock"):
        pair.computes(compares, changed, 1)
    assert PredictionCache(compares.cache_dir, other.key).read(planned.shards[0].missing[0]) == {}
