"""A candidate judged in the precision of an engine: what quantisation changes, before any engine is built."""

import json
from pathlib import Path
from typing import Any

import pytest

from lakegate.canonical import sha256_file
from lakegate.declarations import Precision
from lakegate.lifecycle import comparison
from lakegate.lifecycle.comparison import ComparisonPlan
from lakegate.lifecycle.judged_file import judged_file
from lakegate.lifecycle.shard_plan import plan_shards, publish_plan
from lakegate.lifecycle.shard_work import collect, compute_shard
from lakegate.registry import runs
from lakegate.registry.store import EVIDENCE, REPOSITORY
from lakegate.settings import Settings
from lakegate.shared_store import open_store
from tests.lifecycle.test_engine_run import Trained
from tests.lifecycle.test_shared_runs import other_host

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def trained(lakefs_stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    workshop = Trained(tmp_path_factory.mktemp("precision"), lakefs_stack.model_copy())
    workshop.train()
    return workshop


def plan_of(trained: Trained, precision: Precision) -> ComparisonPlan:
    """Plan to judge the run against itself."""
    versions = [f"{trained.dataset}@v1"]
    return comparison.plan_comparison(
        trained.client, trained.settings, trained.model, trained.run, trained.run, versions, precision
    )


def matrix_of(trained: Trained, plan: ComparisonPlan) -> Any:
    return json.loads(trained.client.read(REPOSITORY, EVIDENCE, f"comparisons/{plan.key}/matrix.json"))


def test_int8_is_judged_against_what_is_served_and_every_page_says_so(trained: Trained) -> None:
    plan, served = plan_of(trained, "int8"), plan_of(trained, "fp32")
    stored = comparison.judge(trained.client, trained.settings, plan, trained.lines.append)
    assert stored.sentence.startswith("In int8, on ONNX Runtime (no engine was run): ")
    matrix = matrix_of(trained, plan)
    reference = runs.reference(trained.client, trained.model, trained.run)
    assert matrix["baseline"]["model_sha256"] == reference.model_sha256 != matrix["candidate"]["model_sha256"]
    assert matrix["measured"]["candidate"]["n_inferred"] == matrix["measured"]["baseline"]["n_inferred"] > 0
    assert 0 < matrix["candidate"]["size_bytes"] != matrix["baseline"]["size_bytes"]
    page = trained.client.read(REPOSITORY, EVIDENCE, f"comparisons/{plan.key}/matrix.html").decode()
    assert "In int8, on ONNX Runtime (no engine was run): " in page
    assert "the candidate in int8 as engines are built from it" in page

    assert served.key != plan.key
    comparison.judge(trained.client, trained.settings, served, trained.lines.append)
    plain = matrix_of(trained, served)
    assert plain["candidate"]["model_sha256"] == reference.model_sha256 and "int8" not in plain["runtime"]
    assert plain["measured"]["candidate"]["n_inferred"] == 0  # known from the baseline of the comparison before


def test_a_narrowed_file_is_made_once_and_anew_where_it_is_damaged(trained: Trained) -> None:
    reference = runs.reference(trained.client, trained.model, trained.run)
    made = judged_file(trained.client, trained.settings, trained.model, reference, "int8")
    state = made.path.stat()
    again = judged_file(trained.client, trained.settings, trained.model, reference, "int8")
    assert (again, again.path.stat().st_mtime_ns) == (made, state.st_mtime_ns)
    made.path.write_bytes(made.path.read_bytes()[:-50])
    assert judged_file(trained.client, trained.settings, trained.model, reference, "int8") == made
    assert sha256_file(made.path) == made.sha256


def test_shards_on_another_host_narrow_the_network_to_the_same_bytes(trained: Trained, tmp_path: Path) -> None:
    shared = trained.settings.model_copy(update={"results_store": str(tmp_path / "mounted")})
    compares, works = (other_host(shared, tmp_path / name) for name in ("compares", "works"))
    plan = plan_of(trained, "int8")
    planned = plan_shards(trained.client, compares, plan, trained.lines.append)
    assert [side.precision for side in planned.sides] == ["int8", "fp32"]
    publish_plan(compares, open_store(compares), planned)
    work = compute_shard(trained.client, works, plan.key, planned.digest, 1)
    assert work.n_inferred == planned.shards[0].n_predictions
    collect(compares, planned, trained.lines.append)
    assert plan_shards(trained.client, compares, plan, trained.lines.append).shards == ()
