"""Predictions on their way from one state folder to another, through the shared store: checked before one of them counts."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from lakegate.canonical import sha256_file
from lakegate.evaluation.prediction_cache import PredictionCache, PredictionKey
from lakegate.lifecycle.comparison import Say
from lakegate.settings import Settings
from lakegate.shared_store import SharedStore

ROWS = ".sqlite"
KEY_LETTERS = 32


def share(settings: Settings, store: SharedStore, prefix: str, key: PredictionKey, images_sha256: Sequence[str]) -> None:
    """Put the predictions that the cache has of these images into the store, as one object ``<key>-<SHA-256>.sqlite``."""
    rows = PredictionCache(settings.cache_dir, key).read(images_sha256)
    if not rows:
        return
    with _folder(settings) as folder:
        copy = PredictionCache(Path(folder), key)
        copy.write(rows)
        store.put(f"{prefix}{key.digest[:KEY_LETTERS]}-{sha256_file(copy.path)}{ROWS}", copy.path)


def take_in(
    settings: Settings, store: SharedStore, prefix: str, wanted: Mapping[PredictionKey, Sequence[str]], say: Say
) -> None:
    """Write what the store has below ``prefix`` into the cache: of each key the wanted images, by SHA-256.

    An object that is not what its name says is left out and said; so is a row that is not whole.
    """
    keys = {key.digest[:KEY_LETTERS]: key for key in wanted}
    for name in store.names(prefix):
        digits, _, content = name.removeprefix(prefix).removesuffix(ROWS).partition("-")
        if digits not in keys:
            continue  # a plan, or another model's
        with _folder(settings) as folder:
            copy = PredictionCache(Path(folder), keys[digits])
            copy.path.parent.mkdir(parents=True)
            if not store.get(name, copy.path):
                continue  # taken in and removed by another process of this comparison
            if sha256_file(copy.path) != content:
                say(f"the shared predictions {name} are damaged; they are computed again here")
                continue
            PredictionCache(settings.cache_dir, keys[digits]).write(copy.read(wanted[keys[digits]]))


def _folder(settings: Settings) -> "tempfile.TemporaryDirectory[str]":
    settings.cache_dir.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix=".shared-predictions-", dir=settings.cache_dir)
