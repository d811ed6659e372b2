"""A bucket of its own on the S3 gateway of the tests' lakeFS: a repository without protected branches."""

import secrets

import requests

from lakegate.settings import Settings


def with_bucket(settings: Settings) -> Settings:
    """Return settings whose shared store is a new repository ``results-…``, over lakeFS's S3 gateway."""
    name = f"results-{secrets.token_hex(4)}"
    key, secret = settings.lakefs_access_key_id, settings.lakefs_secret_access_key
    body = {"name": name, "storage_namespace": f"local://{name}", "default_branch": "main"}
    url = f"{settings.lakefs_endpoint}/api/v1/repositories"
    requests.post(url, json=body, auth=(key, secret.get_secret_value()), timeout=30).raise_for_status()
    return settings.model_copy(
        update={
            "results_store": f"s3://{name}/main/lakegate",
            "s3_endpoint_url": settings.lakefs_endpoint,
            "s3_access_key_id": key,
            "s3_secret_access_key": secret,
        }
    )
