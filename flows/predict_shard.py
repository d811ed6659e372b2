"""Compute one shard of the predictions that a comparison lacks."""

from prefect import flow

from tasks import sharding


@flow(name="predict-shard", flow_run_name="{model} shard {shard} of {shards}", persist_result=False)
def predict_shard(model: str, comparison: str, plan: str, shard: int, shards: int) -> str:
    """Started by compare-models, which fills everything in; run again, it computes what is still missing.

    Args:
        model: Name of a folder in models/, for example blood-cells.
        comparison: Key of the comparison that lacks predictions.
        plan: Digest of the plan that says which predictions each shard computes.
        shard: Which shard of the plan, from 1.
        shards: How many shards the plan has.
    """
    del model, shards  # they name this flow run
    return sharding.compute_shard(comparison, plan, shard).sentence
