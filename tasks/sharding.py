"""How missing predictions are computed by several workers: shards as child runs, and whatever nobody takes is done here."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from prefect import Flow, get_run_logger, runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.states import Cancelled

from lakegate.lake.client import LakeClient
from lakegate.lifecycle import comparison, shard_plan, shard_work
from lakegate.lifecycle.comparison import ComparisonPlan
from lakegate.lifecycle.shard_plan import ShardPlan
from lakegate.lifecycle.shard_work import ShardWork
from lakegate.shared_store import open_store
from tasks.artifacts import artifact_key, show_table
from tasks.pools import least_busy, live_pools
from tasks.running import CHILD_POLL_S, COMMIT_TAG, settings_for, step

NOBODY_TAKES_IT_S = 10.0  # a worker looks for work every 2 s, so all slots are taken
NEVER_BEGINS_S = 120.0  # a worker took it, and died before the run began
HERE = "computed here"


@dataclass
class Child:
    """One shard that a child run computes; ``since_s`` is when it was last seen in another state."""

    pool: str
    run: FlowRun
    since_s: float = field(default_factory=time.monotonic)

    def is_taken(self, run: FlowRun) -> bool:
        """Note the state; False once this run may take the shard back, since nobody computes it."""
        if run.state_type != self.run.state_type:
            self.since_s = time.monotonic()
        self.run = run
        waited_s = time.monotonic() - self.since_s
        if run.state is None or run.state.is_scheduled():
            return waited_s < NOBODY_TAKES_IT_S
        return not run.state.is_pending() or waited_s < NEVER_BEGINS_S


@step
def compute_shard(comparison_key: str, plan: str, number: int) -> ShardWork:
    """Compute what is missing of one shard; predictions that are in the cache stay."""
    settings = settings_for("")
    work = shard_work.compute_shard(LakeClient(settings), settings, comparison_key, plan, number)
    get_run_logger().info("shard %d: %s", number, work.sentence)
    return work


@step
def plan_shards(plan: ComparisonPlan) -> ShardPlan | None:
    """Cut what is missing into shards, and put the plan where workers find it; None where one shard would be all."""
    settings, logger = settings_for(""), get_run_logger()
    client = LakeClient(settings)
    if comparison.find_comparison(client, plan.key) is not None:
        return None
    planned = shard_plan.plan_shards(client, settings, plan, logger.info)
    if len(planned.shards) < 2:
        return None
    shard_plan.publish_plan(settings, open_store(settings), planned)
    return planned


@step
def collect(planned: ShardPlan) -> None:
    """Take in what workers on other machines computed, and tidy up."""
    shard_work.collect(settings_for(""), planned, get_run_logger().info)


def predict_in_shards(child: Flow[..., Any], plan: ComparisonPlan) -> None:
    """Have missing predictions computed by several workers where there are many; what they leave, the comparison computes.

    This run computes shards too: the last one, those that failed, and those that no worker takes. So it ends also where
    its own slot is the only one. Outside a deployment nothing is split.

    Args:
        child: the flow predict_shard.
        plan: of the comparison.
    """
    if not runtime.deployment.id or (planned := plan_shards(plan)) is None:
        return
    children = _start(child, plan, planned)
    rows = _follow(planned, children)
    collect(planned)
    n_here = sum(row["where"].startswith(HERE) for row in rows)
    words = f"{len(planned.shards)} shards of the missing predictions: {len(rows) - n_here} on work pools, {n_here} in this run"
    get_run_logger().info(words)
    show_table(artifact_key("shards", plan.model), rows, words)


def _start(child: Flow[..., Any], plan: ComparisonPlan, planned: ShardPlan) -> dict[int, Child]:
    """Start a child run for each shard but the last, in the pools with the fewest waiting runs."""
    pools = live_pools(plan.declaration.resources, child.name)
    n_shards, n_images = len(planned.shards), sum(shard.n_images for shard in planned.shards)
    places = ", ".join(pool.name for pool in pools)
    who = f"over this run and {places}" if pools else "that this run computes: no live worker serves a pool that fits"
    get_run_logger().info("%d images lack predictions: split into %d shards %s", n_images, n_shards, who)
    children: dict[int, Child] = {}
    for number in range(1, n_shards) if pools else ():
        pool = least_busy(pools)
        pools = [replace(item, n_waiting=item.n_waiting + 1) if item is pool else item for item in pools]
        parameters = {"model": plan.model, "comparison": plan.key, "plan": planned.digest, "shard": number, "shards": n_shards}
        run: FlowRun = run_deployment(  # type: ignore[assignment]
            f"{child.name}/{pool.name}",
            parameters=parameters,
            idempotency_key=f"{runtime.flow_run.id}:{runtime.flow_run.run_count}:{planned.digest}:{number}",
            timeout=0,
            tags=[tag for tag in runtime.flow_run.tags if tag.startswith(COMMIT_TAG)],
        )
        children[number] = Child(pool.name, run)
    return children


def _follow(planned: ShardPlan, children: dict[int, Child]) -> list[dict[str, Any]]:
    """Compute here what no child computes, until all shards are done; return a row for each."""
    todo = {number: HERE for number in range(1, len(planned.shards) + 1) if number not in children}
    rows: dict[int, dict[str, Any]] = {}
    while todo or children:
        if todo:
            number, where = todo.popitem()
            started_s = time.monotonic()
            compute_shard(planned.comparison, planned.digest, number)
            rows[number] = _row(planned, number, where, time.monotonic() - started_s)
        for number, run in reversed(_runs(children).items()):  # workers take the first ones first
            pool = children[number].pool
            if run.state is not None and run.state.is_completed():
                rows[number] = _row(planned, number, pool, run.total_run_time.total_seconds())
            elif run.state is not None and run.state.is_final():
                todo[number] = f"{HERE}: '{run.name}' in {pool} ended as {run.state.name}"
            elif not todo and not children[number].is_taken(run):
                _cancel(run)
                todo[number] = f"{HERE}: no worker of {pool} took it"
            else:
                continue
            del children[number]
            if number in todo:
                get_run_logger().warning("shard %d is %s", number, todo[number])
        if children and not todo:
            time.sleep(CHILD_POLL_S)
    return [rows[number] for number in sorted(rows)]


def _runs(children: Mapping[int, Child]) -> dict[int, FlowRun]:
    with get_client(sync_client=True) as client:
        return {number: client.read_flow_run(UUID(str(child.run.id))) for number, child in children.items()}


def _cancel(run: FlowRun) -> None:
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.id, Cancelled(message="compare-models computes this shard itself: no worker took it"))


def _row(planned: ShardPlan, number: int, where: str, seconds: float) -> dict[str, Any]:
    shard = planned.shards[number - 1]
    return {
        "shard": number,
        "where": where,
        "images": shard.n_images,
        "predictions": shard.n_predictions,
        "seconds": round(seconds, 1),
    }
