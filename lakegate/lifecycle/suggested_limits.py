"""``lakegate data suggest``: limits for ``[quality]``, from a version as it lies in lakeFS."""

from lakegate.lake.client import LakeClient
from lakegate.lake.local import open_version
from lakegate.lake.versions import newest_attested, pin
from lakegate.quality.suggesting import suggest_quality
from lakegate.quality.validation import validate
from lakegate.settings import Settings


def suggest_limits(settings: Settings, dataset: str, ref: str = "") -> str:
    """Return a ``[quality]`` table as TOML, proposed from ``dataset@ref``; without a ref from the newest attested version.

    Raises:
        VersionNotFound, Unattested, BadInput: there is no such version, or it cannot be read.
    """
    client = LakeClient(settings)
    version = pin(client, f"{dataset}@{ref}") if ref else newest_attested(client, settings, dataset)
    local = open_version(client, settings, version)
    images = {name: image.path for name, image in local.images.items()}
    digests = {name: image.sha256 for name, image in local.images.items()}
    result = validate(local.samples, images, local.declaration, (), settings, known_sha256=digests)
    return f"# {version.reference}\n{suggest_quality(local.samples, result, local.declaration)}"
