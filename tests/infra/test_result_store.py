"""What workers are told about the store that hosts share."""

from pathlib import Path

from infra.result_store import BUCKET, apply_result_store, result_environment
from lakegate.settings import Settings


def test_a_worker_is_told_where_results_lie_and_never_the_key(tmp_path: Path) -> None:
    assert result_environment(Settings()) == {}
    folder = result_environment(Settings(results_store="/mnt/shared"))
    assert folder["PREFECT_LOCAL_STORAGE_PATH"] == "/mnt/shared/prefect-results"
    s3 = result_environment(Settings(results_store="s3://results/main", s3_access_key_id="id", s3_secret_access_key="hidden"))
    assert s3["PREFECT_DEFAULT_RESULT_STORAGE_BLOCK"] == f"s3-bucket/{BUCKET}"
    assert s3["LAKEGATE_RESULTS_STORE"] == "s3://results/main"
    assert not {"id", "hidden"} & set(s3.values())
    apply_result_store(Settings(home=tmp_path, results_store="/mnt/shared"))  # a folder needs no block, so no server
