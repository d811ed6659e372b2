"""What a Triton server's refusals mean, and what to do: some of its own messages are silent about the reason.

The texts were taken from tritonserver 2.51 on a CPU. Those of the TensorRT backend come from its sources and from users'
reports; they are not verified on a GPU.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from lakegate.errors import ServingError
from lakegate.serving.config import NO_ENGINE
from lakegate.serving.contract import BACKEND_FILE, ONNX_FILE, SPEC_FILE
from lakegate.serving.server import VersionState

LOG_TAIL_BYTES = 64_000
NEEDED_FILES = (BACKEND_FILE, ONNX_FILE, SPEC_FILE)

_POLL_FAILED = re.compile(r"Poll failed for model directory '(?P<model>[^']+)': (?P<reason>.*?)\"?$")
_PLAN_VERSIONS = re.compile(r"Current (?:Version: |.*?)(?P<here>\d+)\D+Serialized (?:Engine Version: |.*?)(?P<built>\d+)")
_PLAN_LIBRARY = re.compile(r"expecting library version (?P<here>[\d.]+\d) got (?P<built>[\d.]+\d)")
_FOLDER = re.compile(r"unable to find '(?P<path>[^']+)' for model instance")
_BACKEND = re.compile(r"backend '(?P<name>[^']+)'")
_BAD_CONFIG = ("Invalid config override", "failed to read text proto", "Invalid model name", "Cannot find field")

_MEANINGS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("unable to find backend library", "unable to find shared library"),
        "This server has no backend {backend}: serve the release's ONNX file here, or use a server that has it.",
    ),
    (
        (NO_ENGINE,),
        "Release {number} has no engine for this server's GPU: its capability is none of those in cc_model_filenames. "
        "Declare it in [export] engines of model.toml and release again, or serve on a GPU that has an engine.",
    ),
    (
        ("Version tag does not match", "not compatible with this version of TensorRT", "unable to load plan file to auto"),
        "The engine of release {number} was built with another TensorRT than this server's{versions}: build it with the "
        "server's TensorRT version, and release again.",
    ),
    (("unable to find '",), "{path} is missing: roll the release out again, which fills it anew."),
    (
        ("at least one version must be available",),
        "The folder of version {number} is not there: roll the release out again, which fills it.",
    ),
    (
        _BAD_CONFIG,
        "The configuration of version {number} does not hold to Triton's: a mistake in Lakegate, or the file was edited.",
    ),
)


def check_version_folder(repository: Path, model: str, number: int) -> None:
    """Refuse a version folder that Triton would load for ever: one without its program stays LOADING, and the server
    then ignores the signal to stop.

    Raises:
        ServingError: the folder or a file in it is missing.
    """
    folder = repository / model / str(number)
    missing = [name for name in NEEDED_FILES if not (folder / name).is_file()]
    if missing:
        raise ServingError(
            f"{folder} has no {', '.join(missing)}, so version {number} of {model} was not loaded: Triton would stay LOADING "
            "for ever; remove the folder and roll out again, which fills it anew"
        )


def explain(said: str, model: str, number: int, log: Path | None = None) -> str:
    """Return why a version is not served, from Triton's own words and where these are silent from its log.

    Args:
        said: the server's error, or the reason in its index.
        log: the server's log file on this machine, if known.
    """
    if "failed to poll from model repository" in said or not said.strip():
        said = _reason_in_log(log, model) or said
    for texts, sentence in _MEANINGS:
        if any(text in said for text in texts):
            return f"{sentence.format(**_facts(said, number))} Triton says: {_one_line(said)}"
    return f"Triton says: {_one_line(said) or 'nothing'}{_look(log)}"


def explain_states(states: Mapping[int, VersionState], model: str, number: int, log: Path | None = None) -> str:
    """Return why version ``number`` is not READY, from the server's index."""
    state = states.get(number)
    if state is not None and state.state == "LOADING":
        return (
            f"version {number} of {model} is still LOADING. If its program died while it started, Triton waits for ever, and "
            "only ending the server with SIGKILL helps (`lakegate down`, then `lakegate up`, do that); what was served before "
            f"goes on being served until then{_look(log)}"
        )
    if state is None or (not state.state and not state.reason):
        words = explain("", model, number, log)
        return f"the server's index does not name version {number} of {model} with a state: {words}"
    return f"version {number} of {model} is {state.state or 'without a state'}: {explain(state.reason, model, number, log)}"


def _reason_in_log(log: Path | None, model: str) -> str:
    """Return the last reason that the server wrote about this model's folder; "" where there is none."""
    if log is None or not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    found = (match for line in reversed(lines) if (match := _POLL_FAILED.search(line)))
    return next((f"{match['reason']} (from its log)" for match in found if match["model"] == model), "")


def _look(log: Path | None) -> str:
    return "" if log is None else f"; its log is {log}"


def _one_line(said: str) -> str:
    return re.sub(r"\s+", " ", said).strip()[:600]


def _facts(said: str, number: int) -> dict[str, str]:
    """Return what the sentences below name."""
    backend = _BACKEND.search(said)
    folder = _FOLDER.search(said)
    plan = _PLAN_LIBRARY.search(said) or _PLAN_VERSIONS.search(said)
    name = backend["name"] if backend else "needed"
    return {
        "number": str(number),
        "backend": f"'{name}'{' (it runs TensorRT engines only where it has a GPU)' if name == 'tensorrt' else ''}",
        "path": folder["path"] if folder else "a file of the version",
        "versions": f" (built with {plan['built']}, the server has {plan['here']})" if plan else "",
    }
