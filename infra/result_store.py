"""Where Prefect keeps persisted results: this machine, a folder that all hosts mount, or S3 by blocks of prefect-aws."""

import json
import subprocess
import sys

from infra.prefect_server import client_environment
from infra.processes import service_environment
from lakegate.errors import SetupProblem
from lakegate.settings import Settings
from lakegate.shared_store import S3

CREDENTIALS, BUCKET = "lakegate-s3", "lakegate-results"
FOLDER = "prefect-results"
APPLY_TIMEOUT_S = 180
SAVE_BLOCKS = """
import json, os, sys
from prefect_aws import AwsClientParameters, AwsCredentials, S3Bucket

asked = json.load(sys.stdin)
credentials = AwsCredentials(
    aws_access_key_id=asked["key"] or None,
    aws_secret_access_key=asked["secret"] or None,
    region_name=asked["region"],
    aws_client_parameters=AwsClientParameters(endpoint_url=asked["endpoint"] or None, config=asked["config"]),
)
credentials.save(asked["credentials"], overwrite=True)
saved = AwsCredentials.load(asked["credentials"])
bucket = S3Bucket(bucket_name=asked["bucket"], bucket_folder=asked["folder"], credentials=saved)
bucket.save(asked["block"], overwrite=True)
"""


def result_environment(settings: Settings) -> dict[str, str]:
    """Return what a worker needs beside its own environment to share results and checkpoints; nothing without a store.

    The key is not among it: a worker on this machine reads the file below ``LAKEGATE_HOME``.
    """
    store = settings.results_store
    if not store:
        return {}
    shared = {"LAKEGATE_RESULTS_STORE": store, "LAKEGATE_S3_ENDPOINT_URL": settings.s3_endpoint_url}
    if store.startswith(S3):
        block = {"PREFECT_DEFAULT_RESULT_STORAGE_BLOCK": f"s3-bucket/{BUCKET}"}
        return {**shared, **block, "LAKEGATE_S3_REGION": settings.s3_region}
    return {**shared, "PREFECT_LOCAL_STORAGE_PATH": f"{store.rstrip('/')}/{FOLDER}"}


def apply_result_store(settings: Settings) -> None:
    """Save the blocks ``aws-credentials/lakegate-s3`` and ``s3-bucket/lakegate-results``; the same again changes nothing.

    Nothing is done for a folder, or without a store.

    Raises:
        SetupProblem: Prefect did not take the blocks.
    """
    if not settings.results_store.startswith(S3):
        return
    from lakegate.shared_store import client_options, split_address

    bucket, prefix = split_address(settings.results_store)
    asked = {
        "key": settings.s3_access_key_id,
        "secret": settings.s3_secret_access_key.get_secret_value(),
        "region": settings.s3_region,
        "endpoint": settings.s3_endpoint_url,
        "config": client_options(),
        "credentials": CREDENTIALS,
        "bucket": bucket,
        "folder": f"{prefix}/{FOLDER}" if prefix else FOLDER,
        "block": BUCKET,
    }
    environment = service_environment(settings.home, client_environment(settings.home, settings.prefect_api_url))
    command = [sys.executable, "-c", SAVE_BLOCKS]  # the key goes through the pipe: never in a command line or a file
    try:
        subprocess.run(
            command, input=json.dumps(asked), env=environment, capture_output=True, text=True,
            timeout=APPLY_TIMEOUT_S, check=True,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        raise SetupProblem(
            f"Prefect did not take the result store {settings.results_store}: {error.stderr.strip()[-500:]}; "
            "look at LAKEGATE_RESULTS_STORE and LAKEGATE_S3_ENDPOINT_URL, then run `lakegate up` again"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise SetupProblem(f"Prefect took longer than {APPLY_TIMEOUT_S} s for the blocks of the result store") from error
