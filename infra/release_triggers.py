"""What starts releases by itself, applied from the declarations: a new version (by automation) and cron lines (by schedule)."""

from collections.abc import Callable
from typing import Any

from infra.prefect_api import PrefectApi
from lakegate.canonical import exact_json, sha256_bytes
from lakegate.catalog import load_model, model_names, split_reference
from lakegate.declarations import ModelDeclaration
from lakegate.errors import BadInput
from lakegate.settings import Settings

VERSION_EVENT = "lakegate.version.tagged"
RELEASE = "release-model/control"
SLUG = "retrain-"
Say = Callable[[str], None]


def apply_release_triggers(settings: Settings, say: Say, *, remove: bool) -> None:
    """Bring automations and schedules of release-model to what ``models/*/model.toml`` say; safe to repeat.

    A model whose declaration is broken keeps what it had, and is named. With ``remove``, what belongs to models that are no
    longer declared goes; give it only where this checkout is the one that declares the models of this Prefect server.

    Raises:
        SetupProblem: the Prefect server does not answer, or refuses.
    """
    api = PrefectApi(settings.prefect_api_url)
    deployment = api.get(f"deployments/name/{RELEASE}")
    if deployment is None:
        return
    models, broken = _declared(settings, say)
    _apply_automations(api, deployment["id"], models, broken, remove)
    _apply_schedules(api, deployment["id"], models, broken, remove)


def followers_of(settings: Settings, dataset: str) -> list[str]:
    """Return the models that a new version of the dataset starts a release of; a broken declaration starts none."""
    models, _ = _declared(settings, lambda _: None)
    return [name for name, declaration in models.items() if dataset in _followed(declaration)]


def _followed(declaration: ModelDeclaration) -> list[str]:
    if not declaration.schedule.on_new_version:
        return []
    return list(dict.fromkeys(split_reference(item)[0] for item in declaration.data.train))


def automation_name(model: str, dataset: str) -> str:
    """Return the name by which the automation is recognised."""
    return f"{_prefix(model)}{dataset}"


def version_automation(model: str, dataset: str, deployment_id: str) -> dict[str, Any]:
    """Return the automation that starts a release of ``model`` on each new version of ``dataset``."""
    content: dict[str, Any] = {
        "name": automation_name(model, dataset),
        "trigger": {
            "type": "event",
            "posture": "Reactive",
            "match": {"prefect.resource.id": f"lakegate.dataset.{dataset}"},
            "expect": [VERSION_EVENT],
            "threshold": 1,
            "within": 0,
        },
        "actions": [
            {
                "type": "run-deployment",
                "source": "selected",
                "deployment_id": deployment_id,
                "parameters": {
                    "model": model,
                    "version": {
                        "__prefect_kind": "jinja",
                        "template": "{{ event.payload.dataset }}@{{ event.payload.version }}",
                    },
                    "requested_by": "",
                },
            }
        ],
    }
    digest = sha256_bytes(exact_json(content))[:12]
    return {**content, "enabled": True, "description": f"Set up by Lakegate from models/{model}/model.toml ({digest})."}


def _prefix(model: str) -> str:
    return f"Lakegate: release {model} on a new version of "


def _declared(settings: Settings, say: Say) -> tuple[dict[str, ModelDeclaration], list[str]]:
    models, broken = {}, []
    for name in model_names(settings):
        try:
            models[name] = load_model(settings, name)
        except BadInput as error:
            say(f"nothing new starts releases of {name} before its declaration is repaired: {error}")
            broken.append(name)
    return models, broken


def _apply_automations(
    api: PrefectApi, deployment_id: str, models: dict[str, ModelDeclaration], broken: list[str], remove: bool
) -> None:
    wanted = {
        automation_name(model, dataset): version_automation(model, dataset, deployment_id)
        for model, declaration in models.items()
        for dataset in _followed(declaration)
    }
    present = [row for row in api.every("automations/filter", {}) if row["name"].startswith("Lakegate: release ")]
    kept: set[str] = set()
    for row in present:
        name = row["name"]
        new = wanted.get(name)
        if new is not None and name not in kept:
            kept.add(name)
            if row["description"] != new["description"]:
                api.change("PUT", f"automations/{row['id']}", {**new, "enabled": row["enabled"]})
        elif _may_go(name, [_prefix(model) for model in models], [_prefix(model) for model in broken], remove):
            api.delete(f"automations/{row['id']}")
    for name in wanted.keys() - kept:
        api.post("automations/", wanted[name])


def _apply_schedules(
    api: PrefectApi, deployment_id: str, models: dict[str, ModelDeclaration], broken: list[str], remove: bool
) -> None:
    path = f"deployments/{deployment_id}/schedules"
    wanted: dict[str, dict[str, Any]] = {
        f"{SLUG}{model}": {
            "schedule": {"cron": declaration.schedule.retrain, "timezone": "UTC"},
            "parameters": {"model": model},
            "slug": f"{SLUG}{model}",
        }
        for model, declaration in models.items()
        if declaration.schedule.retrain
    }
    ours = [row for row in api.get(path) or [] if (row["slug"] or "").startswith(SLUG)]
    for row in ours:
        slug = row["slug"]
        new = wanted.pop(slug, None)
        if new is None:
            if _may_go(f"{slug} ", [f"{SLUG}{model} " for model in models], [f"{SLUG}{model} " for model in broken], remove):
                api.delete(f"{path}/{row['id']}")
        elif (row["schedule"].get("cron"), row["parameters"]) != (new["schedule"]["cron"], new["parameters"]):
            api.change("PATCH", f"{path}/{row['id']}", {name: new[name] for name in ("schedule", "parameters")})
    if wanted:
        api.post(path, list(wanted.values()))


def _may_go(name: str, of_declared: list[str], of_broken: list[str], remove: bool) -> bool:
    """Tell whether something that nothing asks for any longer is to be removed."""
    if name.startswith(tuple(of_broken)):
        return False
    return remove or name.startswith(tuple(of_declared))
