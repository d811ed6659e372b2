"""Reads what W&B really wrote for an offline run: its transaction log (LevelDB's framing, W&B's protobuf records)."""

import json
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_HEAD, _BLOCK, _RECORD = struct.Struct("<4sHB"), 32768, struct.Struct("<IHB")
_FULL, _FIRST, _LAST = 1, 2, 4


@dataclass
class OfflineRun:
    """What one log says.

    ``metrics`` are the names and x-axes of ``define_metric``; ``files`` by the name of an artifact its files by their names;
    ``exit_code`` is None without an end.
    """

    notes: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    files: dict[str, dict[str, Path]] = field(default_factory=dict)
    exit_code: int | None = None

    def shown_tables(self) -> set[str]:
        """Return what a panel finds under ``runs.summary[name]`` as a table."""
        ends = {name.removesuffix("._type") for name, value in self.summary.items() if value == "table-file"}
        return {name for name in ends if name not in self.summary}

    def table(self, name: str) -> tuple[list[list[Any]], dict[str, Path]]:
        """Return the rows of a logged table, and the files that its pictures name."""
        [files] = [files for artifact, files in self.files.items() if artifact.endswith(f"-{name}")]
        rows: list[list[Any]] = json.loads(files[f"{name}.table.json"].read_text())["data"]
        return rows, files


def read_offline(folder: Path) -> OfflineRun:
    """Read the log of a run's folder once W&B's own process has written its end."""
    [path] = folder.glob("*.wandb")
    deadline = time.monotonic() + 60
    while (found := _parse(path)).exit_code is None and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def _parse(path: Path) -> OfflineRun:
    from wandb.proto import wandb_internal_pb2

    run = OfflineRun()
    for part in _parts(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(part)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run.notes = record.run.notes
            run.config |= _items(record.run.config.update)
        elif kind == "config":
            run.config |= _items(record.config.update)
        elif kind == "history":
            run.history.append(_items(record.history.item))
        elif kind == "summary":
            run.summary |= _items(record.summary.update)
        elif kind == "metric":
            run.metrics[record.metric.name or record.metric.glob_name] = record.metric.step_metric
        elif kind == "artifact":
            contents = record.artifact.manifest.contents
            run.files[record.artifact.name] = {item.path: Path(item.local_path) for item in contents}
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
    return run


def _items(items: Any) -> dict[str, Any]:
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


def _parts(data: bytes) -> Iterator[bytes]:
    """Yield whole records; a log that is still written ends early."""
    assert _HEAD.unpack_from(data)[:2] == (b":W&B", 0xBEE1)
    place, whole = _HEAD.size, b""
    while True:
        left = _BLOCK - place % _BLOCK
        place += left if left < _RECORD.size else 0
        if place + _RECORD.size > len(data):
            return
        checksum, size, kind = _RECORD.unpack_from(data, place)
        part = data[place + _RECORD.size : place + _RECORD.size + size]
        if not kind or len(part) < size:
            return
        assert zlib.crc32(part, zlib.crc32(bytes([kind]))) == checksum
        place += _RECORD.size + size
        whole = part if kind in (_FULL, _FIRST) else whole + part
        if kind in (_FULL, _LAST):
            yield whole
