"""great-expectations judges the metrics table by the limits of ``[quality]``."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lakegate.errors import LakegateError
from lakegate.quality.rules import Limit

if TYPE_CHECKING:
    import pandas as pd


def judge_metrics(metrics: "pd.DataFrame", limits: Sequence[Limit]) -> dict[str, list[str]]:
    """Return the ids of the samples that break each limit, in the table's order.

    Args:
        metrics: one row per measured image, with ``sample_id`` and the columns that the limits name.
        limits: of the declaration; without limits great-expectations (6 s to import) is not loaded.
    """
    if not limits or metrics.empty:
        return {limit.rule: [] for limit in limits}
    result = _batch(metrics).validate(
        _suite(limits),
        result_format={
            "result_format": "COMPLETE",
            "unexpected_index_column_names": ["sample_id"],
            "exclude_unexpected_values": True,
        },
    )
    failed: dict[str, list[str]] = {}
    for item in result.results:
        rule = item.expectation_config.meta["rule"]
        if item.exception_info and item.exception_info.get("raised_exception"):
            raise LakegateError(f"[quality] {rule} could not be judged: {item.exception_info.get('exception_message')}")
        failed[rule] = _ids(item.result.get("unexpected_index_list"))
        if not item.success and not failed[rule]:
            raise LakegateError(f"[quality] {rule} failed without naming a sample; great-expectations said {item.result}")
    return failed


def _batch(metrics: "pd.DataFrame") -> Any:
    gx = _great_expectations()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("metrics").add_dataframe_asset("images")
    return asset.add_batch_definition_whole_dataframe("all").get_batch(batch_parameters={"dataframe": metrics})


def _suite(limits: Sequence[Limit]) -> Any:
    gx = _great_expectations()
    return gx.ExpectationSuite(
        name="quality",
        expectations=[
            gx.expectations.ExpectColumnValuesToBeBetween(
                column=limit.column, min_value=limit.lowest, max_value=limit.highest, meta={"rule": limit.rule}
            )
            for limit in limits
        ],
    )


def _ids(found: Any) -> list[str]:
    """Read the failing ids: with ``exclude_unexpected_values`` it is one dict of lists, else a list of dicts."""
    ids: list[str] = []
    for entry in found or []:
        value = entry["sample_id"]
        ids.extend(str(item) for item in value) if isinstance(value, list) else ids.append(str(value))
    return ids


def _great_expectations() -> Any:
    os.environ["GX_ANALYTICS_ENABLED"] = "False"  # versions that report to their makers heed it
    os.environ.setdefault("TQDM_DISABLE", "1")
    import great_expectations as gx

    return gx
