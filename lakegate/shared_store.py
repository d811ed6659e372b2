"""The store that workers on several hosts share: a folder that all of them mount, or a prefix of an S3 bucket."""

import shutil
import stat
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from lakegate.canonical import exact_json, sha256_bytes
from lakegate.errors import BadInput, ServiceRefused, ServiceUnavailable, SetupProblem
from lakegate.settings import S3_SECRET_FILE, Settings

S3 = "s3://"
TRIES = 4
FETCHES_AT_ONCE = 10  # boto3 keeps so many connections
CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 120
BUSY_STATUS = 500


class SharedStore(Protocol):
    """Objects by name; an object is there whole or not at all."""

    def put(self, name: str, path: Path) -> None:
        """Store the bytes of a file, in place of what has that name."""

    def get(self, name: str, path: Path) -> bool:
        """Write an object to ``path``, aside and renamed; False where there is no such object."""

    def names(self, prefix: str) -> list[str]:
        """Return the names that begin with ``prefix``, sorted."""

    def delete(self, name: str) -> None:
        """Remove an object; one that is not there is fine."""


def open_store(settings: Settings) -> SharedStore | None:
    """Return the store of ``results_store``; ``None`` where the setting is empty: this machine shares nothing.

    Raises:
        BadInput: the setting is neither an absolute folder nor ``s3://bucket`` or ``s3://bucket/prefix``.
        SetupProblem: the file with the credentials can be read by others.
    """
    address = settings.results_store
    if not address:
        return None
    if address.startswith(S3):
        bucket, prefix = split_address(address)
        return S3Store(s3_client(settings), bucket, prefix)
    if not Path(address).is_absolute():
        raise BadInput(f"LAKEGATE_RESULTS_STORE={address}: expected an absolute folder, or s3://bucket/prefix")
    return FolderStore(Path(address))


def split_address(address: str) -> tuple[str, str]:
    """Split ``s3://bucket/prefix``; the prefix may be empty and has no slash at its ends.

    >>> split_address("s3://results/main/lakegate/")
    ('results', 'main/lakegate')
    """
    bucket, _, prefix = address.removeprefix(S3).partition("/")
    if not address.startswith(S3) or not bucket:
        raise BadInput(f"'{address}' is no S3 address; expected s3://bucket or s3://bucket/prefix")
    return bucket, prefix.strip("/")


class FolderStore:
    """A folder that all hosts mount."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, name: str, path: Path) -> None:
        """Store the bytes of a file."""
        with self._asking(f"write {name}"):
            target = self._root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy(path, target)

    def get(self, name: str, path: Path) -> bool:
        """Write an object to ``path``; False where there is none."""
        try:
            with self._asking(f"read {name}"):
                _copy(self._root / name, path)
        except FileNotFoundError:
            return False
        return True

    def names(self, prefix: str) -> list[str]:
        """Return the names that begin with ``prefix``, sorted."""
        with self._asking(f"list {prefix}"):
            files = [path for path in self._root.rglob("*") if path.is_file() and not path.name.startswith(".")]
        found = [str(PurePosixPath(path.relative_to(self._root))) for path in files]
        return sorted(name for name in found if name.startswith(prefix))

    def delete(self, name: str) -> None:
        """Remove an object, if it is there."""
        with self._asking(f"delete {name}"):
            (self._root / name).unlink(missing_ok=True)

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ServiceUnavailable(f"{self._root}: cannot {what}: {error}; is the shared folder mounted?") from error


class S3Store:
    """A prefix of a bucket; ``client`` is boto3's."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client, self._bucket = client, bucket
        self._prefix = f"{prefix}/" if prefix else ""

    def put(self, name: str, path: Path) -> None:
        """Store the bytes of a file."""
        with self._asking(f"write {name}"):
            self._client.upload_file(str(path), self._bucket, self._prefix + name)

    def get(self, name: str, path: Path) -> bool:
        """Write an object to ``path``; False where there is none."""
        aside = _aside(path)
        try:
            with self._asking(f"read {name}"):
                self._client.download_file(self._bucket, self._prefix + name, str(aside))
            aside.replace(path)
        except FileNotFoundError:
            return False
        finally:
            aside.unlink(missing_ok=True)
        return True

    def names(self, prefix: str) -> list[str]:
        """Return the names that begin with ``prefix``, sorted."""
        return sorted(key for key, _ in self.listing(prefix))

    def listing(self, prefix: str) -> list[tuple[str, str]]:
        """Return (name, ETag and size) of what begins with ``prefix``; an ETag changes with the bytes."""
        with self._asking(f"list {prefix}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix + prefix)
            rows = [row for page in pages for row in page.get("Contents", [])]
        return [(row["Key"].removeprefix(self._prefix), f"{row['ETag']} {row['Size']}") for row in rows]

    def delete(self, name: str) -> None:
        """Remove an object, if it is there."""
        with self._asking(f"delete {name}"):
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + name)

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """Translate boto3's errors; an object that is not there is ``FileNotFoundError``."""
        from boto3.exceptions import S3UploadFailedError  # type: ignore[import-untyped]
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError  # type: ignore[import-untyped]

        where = f"{S3}{self._bucket}/{self._prefix}"
        try:
            yield
        except NoCredentialsError as error:
            raise SetupProblem(
                f"{where}: no credentials; set LAKEGATE_S3_ACCESS_KEY_ID and LAKEGATE_S3_SECRET_ACCESS_KEY, or write them "
                f"to <home>/{S3_SECRET_FILE} (mode 0600)"
            ) from error
        except ClientError as error:
            status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            code = error.response.get("Error", {}).get("Code", "")
            if code in ("404", "NoSuchKey"):
                raise FileNotFoundError(what) from error
            refused = ServiceUnavailable if status >= BUSY_STATUS else ServiceRefused
            raise refused(f"{where}: cannot {what}: {error}; look at the address and the key") from error
        except S3UploadFailedError as error:
            raise ServiceRefused(f"{where}: cannot {what}: {error}; look at the address and the key") from error
        except BotoCoreError as error:
            raise ServiceUnavailable(f"{where}: cannot {what}: {error}; look at LAKEGATE_S3_ENDPOINT_URL") from error


def fetch_prefix(settings: Settings, address: str) -> Path:
    """Return a local copy of everything below ``s3://bucket/prefix``; fetched once per state of the prefix.

    The copy is made aside and renamed, so a killed fetch leaves no half export.

    Raises:
        BadInput: nothing lies there, or a name would lead out of the folder.
    """
    bucket, prefix = split_address(address)
    store = S3Store(s3_client(settings), bucket, prefix)
    listing = [(name, state) for name, state in store.listing("") if name and not name.endswith("/")]
    if not listing:
        raise BadInput(f"{address} holds no file; expected an annotation export below it")
    for name, _ in listing:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\\" in name:
            raise BadInput(f"{address}: '{name}' would lead out of the folder; it was not fetched")
    digest = sha256_bytes(exact_json([address, settings.s3_endpoint_url, sorted(listing)]))
    folder = settings.cache_dir / "sources" / digest[:16]
    if not folder.is_dir():
        _fetch_all(store, [name for name, _ in listing], folder)
    return folder


def _fetch_all(store: SharedStore, names: Sequence[str], folder: Path) -> None:
    aside = _aside(folder)

    def fetch(name: str) -> None:
        target = aside / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not store.get(name, target):
            raise BadInput(f"'{name}' was removed while the export was fetched; try again")

    try:
        with ThreadPoolExecutor(FETCHES_AT_ONCE) as pool:
            list(pool.map(fetch, names))
        with suppress(OSError):  # another process was quicker with the same export
            aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    if not folder.is_dir():
        raise BadInput(f"{folder} could not be made; is there a file of that name?")


def s3_client(settings: Settings) -> Any:
    """Return boto3's S3 client for ``s3_endpoint_url`` (empty: Amazon's own), with path-style addresses.

    Without a key of Lakegate's own, boto3 looks where it always does (``AWS_*``, ``~/.aws``, the role of the machine).
    """
    import boto3  # type: ignore[import-untyped]
    from botocore.config import Config  # type: ignore[import-untyped]

    _require_private(settings.home / S3_SECRET_FILE)
    return boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint_url or None,
        aws_access_key_id=settings.s3_access_key_id or None,
        aws_secret_access_key=settings.s3_secret_access_key.get_secret_value() or None,
        region_name=settings.s3_region,
        config=Config(connect_timeout=CONNECT_TIMEOUT_S, read_timeout=READ_TIMEOUT_S, **client_options()),
    )


def client_options() -> dict[str, Any]:
    """Return what S3 servers other than Amazon's need: path-style addresses, checksums only where they are required."""
    return {
        "s3": {"addressing_style": "path"},
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
        "retries": {"mode": "standard", "total_max_attempts": TRIES},
    }


def _require_private(path: Path) -> None:
    if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise SetupProblem(f"{path} holds a secret and can be read by others; run: chmod 600 {path}")


def _copy(source: Path, target: Path) -> None:
    aside = _aside(target)
    try:
        shutil.copyfile(source, aside)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
