"""What the shards of a comparison are: which predictions are missing, and who computes which of them."""

import uuid
from pathlib import Path

from pydantic import ValidationError

from lakegate.canonical import sha256_bytes
from lakegate.declarations import ModelDeclaration, ModelTask, Precision
from lakegate.errors import BadInput, SetupProblem
from lakegate.evaluation.prediction_cache import PredictionKey
from lakegate.evaluation.predictions import ModelUnderTest, prediction_key
from lakegate.evaluation.wanted_images import missing_predictions, wanted_images
from lakegate.lake.client import LakeClient
from lakegate.lake.local_version import DatasetVersion
from lakegate.lifecycle.comparison import ComparisonPlan, Say
from lakegate.lifecycle.comparison_inputs import open_inputs
from lakegate.lifecycle.judged_file import AS_SERVED
from lakegate.lifecycle.shared_predictions import take_in
from lakegate.registry.documents import Document, RunReference
from lakegate.settings import Settings
from lakegate.shared_store import SharedStore, open_store

FOLDER = "shards"


class ShardSide(Document):
    """One of the models, with all that determines its predictions."""

    run: RunReference
    declaration: ModelDeclaration
    labels: tuple[str, ...]
    task: ModelTask
    precision: Precision
    key: PredictionKey


class Shard(Document):
    """One piece of the work: for each side the SHA-256 of the images that it has no prediction on."""

    missing: tuple[tuple[str, ...], ...]

    @property
    def n_images(self) -> int:
        """How many images that are."""
        return len(set().union(*self.missing))

    @property
    def n_predictions(self) -> int:
        """How many predictions, of all sides together."""
        return sum(len(images) for images in self.missing)


class ShardPlan(Document):
    """All missing predictions of one comparison, in pieces. Its digest is its name, so that who reads it can check it."""

    model: str
    comparison: str  # key of the comparison
    sides: tuple[ShardSide, ...]
    versions: tuple[DatasetVersion, ...]  # the images are in these
    shards: tuple[Shard, ...]

    @property
    def prefix(self) -> str:
        """What begins the names of the comparison's objects in the shared store."""
        return store_prefix(self.comparison)


def store_prefix(comparison: str) -> str:
    """Return what begins the names of a comparison's objects in the shared store."""
    return f"{FOLDER}/{comparison[:32]}/"


def plan_shards(client: LakeClient, settings: Settings, plan: ComparisonPlan, say: Say) -> ShardPlan:
    """Find the missing predictions; a shard has at most ``[resources] shard_images`` images. No shard: nothing is missing.

    What an earlier try of this comparison left in the shared store is taken in first.

    Raises:
        Unattested: a version has no valid attestation.
    """
    inputs = open_inputs(client, settings, plan)
    models = [model for model in inputs.models if model is not None]
    wanted = sorted(wanted_images(models, inputs.judged, inputs.before, settings, inputs.further))
    store = open_store(settings)
    if store is not None:
        keys = [prediction_key(model) for model in models]
        take_in(settings, store, store_prefix(plan.key), {key: wanted for key in keys}, say)
    missing = [frozenset(missing_predictions(model, wanted, settings)) for model in models]
    images = [sha256 for sha256 in wanted if any(sha256 in side for side in missing)]
    n_shards = -(-len(images) // plan.declaration.resources.shard_images)
    pieces = [images[number::n_shards] for number in range(n_shards)]
    before = [] if inputs.before is None else [inputs.before.version]
    versions = [inputs.judged.version, *(item.version for item in inputs.further.values()), *before]
    judged = ((plan.candidate, plan.precision), (plan.baseline, AS_SERVED))
    runs = [(run, precision) for run, precision in judged if run is not None]
    return ShardPlan(
        model=plan.model,
        comparison=plan.key,
        sides=tuple(_side(*run, model) for run, model in zip(runs, models, strict=True)),
        versions=tuple(dict.fromkeys(versions)),
        shards=tuple(
            Shard(missing=tuple(tuple(item for item in piece if item in side) for side in missing)) for piece in pieces
        ),
    )


def _side(run: RunReference, precision: Precision, model: ModelUnderTest) -> ShardSide:
    return ShardSide(
        run=run,
        declaration=model.declaration,
        labels=model.labels,
        task=model.task,
        precision=precision,
        key=prediction_key(model),
    )


def publish_plan(settings: Settings, store: SharedStore | None, plan: ShardPlan) -> None:
    """Put the plan where the workers look for it: into this state folder, and into the shared store where there is one."""
    path = plan_file(settings, plan.digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
    aside.write_bytes(plan.to_bytes())
    aside.replace(path)
    if store is not None:
        store.put(f"{plan.prefix}{plan.digest}.json", path)


def plan_file(settings: Settings, digest: str) -> Path:
    """Return where a plan lies in this state folder."""
    return settings.cache_dir / FOLDER / f"{digest}.json"


def read_plan(settings: Settings, store: SharedStore | None, comparison: str, digest: str) -> tuple[ShardPlan, bool]:
    """Return a plan, and whether it was made in this state folder, whose cache the comparison reads itself.

    Raises:
        SetupProblem: this machine shares neither the state folder nor the store with the one that compares.
        BadInput: the plan is damaged, or of another version of Lakegate.
    """
    here = plan_file(settings, digest)
    if here.is_file():
        return _parse(here.read_bytes(), digest), True
    fetched = here.with_name(f".{here.name}.{uuid.uuid4().hex[:12]}")
    fetched.parent.mkdir(parents=True, exist_ok=True)
    try:
        if store is None or not store.get(f"{store_prefix(comparison)}{digest}.json", fetched):
            where = "LAKEGATE_RESULTS_STORE is empty" if store is None else "the store of LAKEGATE_RESULTS_STORE has it not"
            raise SetupProblem(
                f"expected the plan {digest[:12]} of comparison {comparison[:12]}; {settings.home} has it not, and {where}. "
                "Set LAKEGATE_RESULTS_STORE to the same store on all machines; a comparison that has ended needs no shard"
            )
        return _parse(fetched.read_bytes(), digest), False
    finally:
        fetched.unlink(missing_ok=True)


def _parse(data: bytes, digest: str) -> ShardPlan:
    if sha256_bytes(data) != digest:
        raise BadInput(f"the plan of shards {digest[:12]} is damaged; compare again, which writes it anew")
    try:
        return ShardPlan.model_validate_json(data)
    except ValidationError as error:
        raise BadInput(f"the plan of shards {digest[:12]} is of another version of Lakegate: {error}") from error
