"""``lakegate model …`` and ``lakegate predict``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakegate.catalog import load_model, model_names
from lakegate.declarations import Precision
from lakegate.errors import BadInput
from lakegate.lake.client import LakeClient
from lakegate.registry import releases, runs
from lakegate.registry.decisions import Choice, DecisionWords
from lakegate.settings import Settings
from lakegate_cli.approvals import decide, with_code
from lakegate_cli.data_commands import LocalOption
from lakegate_cli.flow_runs import FinishedRun, follow_release, pool_for, run_flow
from lakegate_cli.matrix_output import EXIT_CODES, Format, print_comparison
from lakegate_cli.output import JsonOption, console, print_json, print_rows
from lakegate_cli.progress import shown_progress

if TYPE_CHECKING:
    from lakegate.detections import FoundObject

app = typer.Typer(no_args_is_help=True)
VersionsOption = Annotated[list[str] | None, typer.Option("--version", help="dataset@tag; may be given several times.")]
SeedOption = Annotated[int, typer.Option("--seed", min=-1, help="-1: the seed of model.toml.")]
ByOption = Annotated[str, typer.Option("--by", help="Your name as deployments/roles.toml has it; default: your account.")]
CodeOption = Annotated[
    str, typer.Option("--code", help="One-time code of your authenticator app; asked for, hidden, when absent.")
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, in a sentence; kept with the release.")]


def _run(deployment: str, parameters: dict[str, Any], local: bool, as_json: bool) -> FinishedRun:
    with shown_progress(as_json) as say:
        return run_flow(Settings.load(), deployment, parameters, local, say)


@app.command("init")
def init(
    model: str, dataset: Annotated[str, typer.Option("--dataset", help="Dataset to train on.")], as_json: JsonOption = False
) -> None:
    """Write models/<model>/model.toml; it trains as it is."""
    from lakegate.lifecycle.model_proposal import write_model_toml

    path = write_model_toml(Settings.load(), model, dataset)
    if as_json:
        print_json({"model": model, "declaration": str(path)})
    else:
        console().print(f"wrote {path}:\n\n{path.read_text()}\nnext: lakegate model release {model}", markup=False)


@app.command("train")
def train(
    model: str,
    version: VersionsOption = None,
    seed: SeedOption = -1,
    epochs: Annotated[int, typer.Option("--epochs", min=0, help="0: as declared in model.toml.")] = 0,
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train on attested versions; the same inputs are trained once."""
    settings = Settings.load()
    declaration = load_model(settings, model)
    parameters = {
        "model": model,
        "versions": version or [],
        "seed": seed,
        "overrides": {"epochs": epochs},
        "requested_by": settings.user,
    }
    before = _known_runs(settings, model)
    pool = "cpu" if local else pool_for(settings, declaration)
    finished = _run(f"train-model/{pool}", parameters, local, as_json)
    new = [run for run in _known_runs(settings, model) if run not in before]
    if as_json:
        print_json({"model": model, "runs": new or before, "new": bool(new), "flow_run": finished.url})
    else:
        console().print(f"runs of {model}: {', '.join(new or before)}{'' if new else ' (found, nothing to train)'}")
        console().print(f"next: lakegate model export {model} {(new or ['RUN'])[0]}", markup=False)


def _known_runs(settings: Settings, model: str) -> list[str]:
    from lakegate.errors import VersionNotFound

    try:
        return runs.list_runs(LakeClient(settings), model)
    except VersionNotFound:
        return []


@app.command("compare")
def compare(
    model: str,
    candidate: str,
    baseline: Annotated[str, typer.Argument(help="A run; production; or none.")] = "production",
    version: VersionsOption = None,
    how: Annotated[Format, typer.Option("--format", help="text; markdown for a pull request; json as --json.")] = "text",
    precision: Annotated[Precision, typer.Option(help="Of the candidate; fp16, int8: as engines are built from it.")] = "fp32",
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Judge a run against a baseline; ends with 0 for PASS, 1 for FAIL, 3 for NOT ENOUGH DATA."""
    from lakegate.lifecycle import comparison
    from lakegate.lifecycle.shown_matrix import stored_matrix

    settings = Settings.load()
    words = {"model": model, "candidate": candidate, "baseline": baseline, "precision": precision}
    how = "json" if as_json else how
    _run("compare-models/cpu", {**words, "versions": version or []}, local, how != "text")
    client = LakeClient(settings)
    plan = comparison.plan_comparison(client, settings, model, candidate, baseline, version or [], precision)
    stored = comparison.require_comparison(client, plan)
    page = comparison.save_page(client, settings, plan)
    print_comparison(stored, stored_matrix(client, plan.key), page, how)
    raise SystemExit(EXIT_CODES[stored.verdict])


@app.command("release")
def release(
    model: str,
    version: Annotated[str, typer.Option("--version", help="dataset@tag that changed; default: the newest.")] = "",
    seed: SeedOption = -1,
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train, export, compare and propose; ends waiting for somebody else's approval."""
    from lakegate.catalog import split_reference
    from lakegate.lake.versions import newest_attested

    settings = Settings.load()
    declaration = load_model(settings, model)
    if not version:
        name = split_reference(declaration.data.train[0])[0]
        version = newest_attested(LakeClient(settings), settings, name).reference
    parameters = {"model": model, "version": version, "seed": seed, "requested_by": settings.user}
    with shown_progress(as_json) as say:
        finished = follow_release(settings, run_flow(settings, "release-model/control", parameters, local, say), say)
    status = status_of(settings, model)
    page = _release_page(settings, model)
    if as_json:
        print_json({**status, "page": page, "flow_run": finished.url, "state": finished.state})
    else:
        console().print(f"release page: {page}")
        console().print(status["sentence"], markup=False)


def _release_page(settings: Settings, model: str) -> str:
    """Return where the page of what is in staging opens."""
    from lakegate.lifecycle.release_page import release_page_url

    return release_page_url(settings, releases.open_request(LakeClient(settings), model))


@app.command("approve")
def approve(
    model: str, by: ByOption = "", code: CodeOption = "", reason: ReasonOption = "", as_json: JsonOption = False
) -> None:
    """Approve what is in staging; it goes into production. Author and approver must differ."""
    _decide(model, "approve", by, code, reason, as_json)


@app.command("reject")
def reject(
    model: str, by: ByOption = "", code: CodeOption = "", reason: ReasonOption = "", as_json: JsonOption = False
) -> None:
    """Reject what is in staging; production stays as it is."""
    _decide(model, "reject", by, code, reason, as_json)


def _decide(model: str, decision: Choice, by: str, code: str, reason: str, as_json: bool) -> None:
    settings = Settings.load()
    load_model(settings, model)
    words = with_code(settings, model, DecisionWords(decision, by or settings.user, reason, code))
    with shown_progress(as_json) as say:
        sentence = decide(settings, model, words, say)
    if as_json:
        print_json({**status_of(settings, model), "decision": sentence})
    else:
        console().print(sentence, markup=False)


@app.command("roll-back")
def roll_back(model: str, number: Annotated[int, typer.Argument(metavar="RELEASE")], local: LocalOption = False,
              as_json: JsonOption = False) -> None:
    """Put another release back into production; forward again works the same way."""
    settings = Settings.load()
    parameters = {"model": model, "release": number, "requested_by": settings.user}
    _run("roll-back-model/control", parameters, local, as_json)
    status = status_of(settings, model)
    if as_json:
        print_json(status)
    else:
        console().print(status["sentence"], markup=False)


@app.command("list")
def list_models(as_json: JsonOption = False) -> None:
    """List the declared models and what is in production."""
    settings = Settings.load()
    found = [status_of(settings, name) for name in model_names(settings)]
    rows = [{key: row[key] for key in ("model", "production", "staging")} for row in found]
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, "no model is declared; make one with `lakegate model init <model> --dataset <dataset>`")


@app.command("log")
def log(model: str, as_json: JsonOption = False) -> None:
    """List the runs and releases of a model."""
    from lakegate.lifecycle.history import release_rows, run_rows

    settings = Settings.load()
    load_model(settings, model)
    client = LakeClient(settings)
    rows, released = run_rows(client, model), release_rows(client, model)
    if as_json:
        print_json({"runs": rows, "releases": released})
        return
    print_rows(rows, f"{model} has no run yet; train one with `lakegate model train {model}`")
    console().print()
    print_rows(released, f"nothing of {model} was in production yet; `lakegate model status {model}` says what waits")


@app.command("status")
def status(model: str, as_json: JsonOption = False) -> None:
    """Say what is in production and what waits for approval."""
    settings = Settings.load()
    load_model(settings, model)
    row = status_of(settings, model)
    if as_json:
        print_json(row)
    else:
        console().print(row["sentence"], markup=False)


def status_of(settings: Settings, model: str) -> dict[str, Any]:
    """Return what is in each stage, and a sentence about it."""
    from lakegate.lifecycle.history import stage_status

    return stage_status(LakeClient(settings), model)


def _corners(item: "FoundObject") -> str:
    return " ".join(f"{side:.0f}" for side in item.box_xyxy_px)


def predict(
    model: str,
    images: Annotated[list[Path], typer.Argument(help="Image files.")],
    stage: Annotated[str, typer.Option("--stage", help="production or staging.")] = "production",
    as_json: JsonOption = False,
) -> None:
    """Find objects in images with the model of a stage, as it would be served."""
    from lakegate.registry.loading import load

    if stage not in ("production", "staging"):
        raise BadInput(f"'{stage}' is no stage; expected production or staging")
    load_model(Settings.load(), model)
    detector = load(model, stage="production" if stage == "production" else "staging")
    found = {str(path): detector.predict(path) for path in images}
    if as_json:
        answers = [{"image": path, "objects": [vars(item) for item in objects]} for path, objects in found.items()]
        print_json({"model": model, "stage": stage, "release": detector.release, "images": answers})
        return
    rows = [
        {"image": path, "label": item.label, "score": round(item.score, 3), "box x1 y1 x2 y2 (px)": _corners(item)}
        for path, objects in found.items()
        for item in objects
    ]
    print_rows(rows, "")
    for path, objects in found.items():
        if not objects:
            console().print(f"{path}: no object above the threshold of release {detector.release}", markup=False)


