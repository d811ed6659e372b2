"""One shard of a comparison: its missing predictions are computed, and brought to where the comparison reads them."""

from collections.abc import Callable
from dataclasses import dataclass

from lakegate.engines.onnx_session import OnnxModel
from lakegate.errors import BadInput, SetupProblem
from lakegate.evaluation.predictions import ModelUnderTest, PredictionSet, predict, prediction_key
from lakegate.lake.client import LakeClient
from lakegate.lake.local import fetch_images
from lakegate.lake.local_version import LocalImage
from lakegate.lifecycle.comparison import Say
from lakegate.lifecycle.judged_file import judged_file
from lakegate.lifecycle.shard_plan import Shard, ShardPlan, ShardSide, plan_file, read_plan
from lakegate.lifecycle.shared_predictions import share, take_in
from lakegate.settings import Settings
from lakegate.shared_store import open_store

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ShardWork:
    """What one shard cost here; ``n_failed`` counts images that could not be read, for each model."""

    n_inferred: int
    n_cached: int
    n_failed: int

    @property
    def sentence(self) -> str:
        """The counts in words."""
        here = f", {self.n_cached} were here already" if self.n_cached else ""
        failed = f", {self.n_failed} images could not be read" if self.n_failed else ""
        return f"{self.n_inferred} predictions computed{here}{failed}"


def compute_shard(
    client: LakeClient,
    settings: Settings,
    comparison: str,
    plan_digest: str,
    number: int,
    progress: Progress | None = None,
) -> ShardWork:
    """Compute what is missing of one shard, and share it where the comparison runs in another state folder.

    Predictions are kept as they come: killed and run again, it goes on.

    Args:
        number: of the shard, from 1.
        progress: called with (images done, images to compute) per model.

    Raises:
        SetupProblem: this machine shares nothing with the one that compares, or would compute something else.
        BadInput: the plan is damaged, or has no such shard.
    """
    store = open_store(settings)
    plan, is_here = read_plan(settings, store, comparison, plan_digest)
    if not 1 <= number <= len(plan.shards):
        raise BadInput(f"expected a shard from 1 to {len(plan.shards)}, came {number}")
    shard = plan.shards[number - 1]
    images = _images(client, settings, plan, shard)
    found: list[PredictionSet] = []
    for side, wanted in zip(plan.sides, shard.missing, strict=True):
        model = _model(client, settings, plan.model, side)
        here = {sha256: images[sha256] for sha256 in wanted if sha256 in images}
        found.append(predict(model, here, settings, progress=progress))
        if not is_here and store is not None:
            share(settings, store, plan.prefix, side.key, wanted)
    return ShardWork(
        n_inferred=sum(item.n_inferred for item in found),
        n_cached=sum(item.n_cached for item in found),
        n_failed=sum(len(item.failed) for item in found),
    )


def _images(client: LakeClient, settings: Settings, plan: ShardPlan, shard: Shard) -> dict[str, LocalImage]:
    """Bring the shard's images onto this machine, and no others."""
    wanted = frozenset[str]().union(*shard.missing)
    images: dict[str, LocalImage] = {}
    for version in plan.versions:
        images |= fetch_images(client, settings, version, wanted - images.keys())
    return images


def _model(client: LakeClient, settings: Settings, name: str, side: ShardSide) -> ModelUnderTest:
    file = judged_file(client, settings, name, side.run, side.precision)
    model = ModelUnderTest(
        name=name,
        run_id=side.run.run_id,
        model_sha256=file.sha256,
        declaration=side.declaration,
        labels=side.labels,
        load=lambda threads: OnnxModel(file.path, threads),
        task=side.task,
    )
    key = prediction_key(model)
    if key != side.key:
        raise SetupProblem(
            f"this machine would compute other predictions of run {side.run.run_id} ({key.runtime}) than the one that compares "
            f"({side.key.runtime}); install the same commit and the packages of requirements.lock on both"
        )
    return model


def collect(settings: Settings, plan: ShardPlan, say: Say) -> None:
    """Take in what workers elsewhere shared for this plan, then remove what was only there for the shards."""
    store = open_store(settings)
    if store is not None:
        wanted = {
            side.key: [sha256 for shard in plan.shards for sha256 in shard.missing[number]]
            for number, side in enumerate(plan.sides)
        }
        take_in(settings, store, plan.prefix, wanted, say)
        for name in store.names(plan.prefix):
            store.delete(name)
    plan_file(settings, plan.digest).unlink(missing_ok=True)
