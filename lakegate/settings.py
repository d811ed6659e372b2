"""Where things are and who is asking: from ``LAKEGATE_*`` variables, else from the state folder that ``lakegate up`` wrote."""

import getpass
import json
import os
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from lakegate.errors import SetupProblem

STACK_FILE = "stack.json"
LAKEFS_SECRET_FILE = "secrets/lakefs.json"
S3_SECRET_FILE = "secrets/s3.json"
SIGNING_KEY_FILE = "secrets/publisher.ed25519"
TRITON_ADDRESSES = ("triton_staging_http", "triton_staging_grpc", "triton_production_http", "triton_production_grpc")
ADDRESSES = ("lakefs_endpoint", "prefect_api_url", "reports_url", *TRITON_ADDRESSES)
"""Settings that ``stack.json`` fills where the environment says nothing."""


def find_checkout(start: Path | None = None) -> Path:
    """Return the nearest folder at or above ``start`` with ``datasets/`` and ``models/``; else ``start`` itself."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "datasets").is_dir() and (folder / "models").is_dir():
            return folder
    return here


class Settings(BaseSettings):
    """Settings of one process. Build it with :meth:`load`, which also reads the state folder."""

    model_config = SettingsConfigDict(env_prefix="LAKEGATE_", extra="ignore")

    checkout: Path = Field(default_factory=find_checkout, description="folder that holds datasets/ and models/")
    home: Path = Field(default=Path(".lakegate"), description="state folder; relative to the checkout")
    user: str = Field(default="", description="who is asking; a claimed name, not authenticated")
    lakefs_endpoint: str = ""
    lakefs_access_key_id: str = ""
    lakefs_secret_access_key: SecretStr = SecretStr("")
    lakefs_port: int = Field(default=8000, description="port that `lakegate up` gives lakeFS; 0 picks a free one")
    prefect_api_url: str = ""
    prefect_port: int = Field(default=4200, description="port that `lakegate up` gives Prefect; 0 picks a free one")
    reports_url: str = ""
    reports_port: int = Field(default=4280, description="port that `lakegate up` gives the pages; 0 picks a free one")
    results_store: str = Field(default="", description="what hosts share: a folder or s3://bucket/prefix; empty: nothing")
    s3_endpoint_url: str = Field(default="", description="S3 server of results_store and of s3:// sources; empty: Amazon's")
    s3_region: str = "us-east-1"
    s3_access_key_id: str = ""
    s3_secret_access_key: SecretStr = SecretStr("")
    triton: bool = Field(default=True, description="whether `lakegate up` starts the two Triton servers")
    triton_staging_http: str = Field(default="", description="http://host:port of the staging server; empty: there is none")
    triton_staging_grpc: str = Field(default="", description="host:port of the staging server")
    triton_production_http: str = Field(default="", description="http://host:port of the production server")
    triton_production_grpc: str = Field(default="", description="host:port of the production server")
    samples: Path | None = Field(default=None, description="folder with the sample images; default ../shared/data")
    connections: int = Field(default=32, ge=1, le=128, description="parallel keep-alive connections to lakeFS")
    cache_gib: float = Field(default=100.0, gt=0, description="limit of the cache of fetched objects; least used go")
    threads: int = Field(default_factory=lambda: min(os.cpu_count() or 1, 8), ge=1, description="compute threads")
    allow_dirty_release: bool = Field(default=False, description="for trials; the release then says 'not committed'")
    pool: str = Field(default="", description="work pool that this process works for; set by its worker")
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="where trainings compute; auto: by the pool")
    wandb_mode: Literal["auto", "offline", "online", "disabled"] = "auto"

    @classmethod
    def load(cls) -> "Settings":
        """Read the environment, then fill what is missing from ``stack.json`` and the secret file."""
        settings = cls()
        settings.checkout = settings.checkout.resolve()
        settings.home = (settings.checkout / settings.home).resolve()
        stack = _read_json(settings.home / STACK_FILE)
        secret = _read_json(settings.home / LAKEFS_SECRET_FILE)
        for name in ADDRESSES:
            setattr(settings, name, getattr(settings, name) or stack.get(name, ""))
        if not settings.lakefs_access_key_id:
            settings.lakefs_access_key_id = secret.get("access_key_id", "")
            settings.lakefs_secret_access_key = SecretStr(secret.get("secret_access_key", ""))
        if not settings.s3_access_key_id:
            s3 = _read_json(settings.home / S3_SECRET_FILE)
            settings.s3_access_key_id = s3.get("access_key_id", "")
            settings.s3_secret_access_key = SecretStr(s3.get("secret_access_key", ""))
        settings.user = settings.user or _account()
        settings.samples = (settings.samples or settings.checkout.parent / "shared" / "data").resolve()
        return settings

    @property
    def datasets_dir(self) -> Path:
        return self.checkout / "datasets"

    @property
    def models_dir(self) -> Path:
        return self.checkout / "models"

    @property
    def cache_dir(self) -> Path:
        """Disposable: everything in it can be fetched or computed again."""
        return self.home / "cache"

    @property
    def reports_dir(self) -> Path:
        """Pages for people, served by `lakegate up`; the evidence itself is kept in lakeFS by digest."""
        return self.home / "reports"

    @property
    def trusted_key_dirs(self) -> tuple[Path, Path]:
        """Folders of public keys (``*.pub``) whose attestations count: the team's, and this machine's own."""
        return self.checkout / "deployments" / "keys", self.home / "keys"

    def require_lakefs(self) -> None:
        """Raise :class:`SetupProblem` when it is not known where lakeFS is."""
        if not self.lakefs_endpoint or not self.lakefs_access_key_id:
            raise SetupProblem(
                f"no lakeFS server is known: {self.home / STACK_FILE} and LAKEGATE_LAKEFS_ENDPOINT are both empty; "
                "start one with `lakegate up`, or set LAKEGATE_LAKEFS_ENDPOINT, _ACCESS_KEY_ID and _SECRET_ACCESS_KEY"
            )


def _account() -> str:
    """Return the name of the operating system's account; a container may have none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def _read_json(path: Path) -> dict[str, str]:
    try:
        text = path.read_text()
    except FileNotFoundError:
        return {}
    try:
        content = json.loads(text)
    except ValueError as error:
        raise SetupProblem(f"{path} is not JSON ({error}); run `lakegate up` to write it anew") from error
    if not isinstance(content, dict):
        raise SetupProblem(f"{path} holds no table of settings; run `lakegate up` to write it anew")
    return {str(key): str(value) for key, value in content.items() if value is not None}
