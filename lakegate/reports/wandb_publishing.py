"""Publish kept reports through W&B's GraphQL: the same report becomes one view, however often it is sent."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import requests

from lakegate.errors import SetupProblem, WandbUnavailable
from lakegate.reports.wandb_report import (
    KeptReport,
    PublishedReport,
    keep_published,
    read_published,
    report_spec,
    reports_folder,
)
from lakegate.settings import Settings

TIMEOUT_S = 20.0
LOCK = ".publishing"
VIEWER = "query Viewer { viewer { entity } }"
PROJECT = "query Project($project: String!, $entity: String!) { project(name: $project, entityName: $entity) { id } }"
CREATE_PROJECT = """mutation CreateProject($entity: String, $project: String!) {
  upsertModel(input: {entityName: $entity, name: $project}) { model { id } } }"""
FIND_VIEW = """query ProjectViews($project: String!, $entity: String!, $name: String) {
  project(name: $project, entityName: $entity) {
    allViews(viewType: "runs", viewName: $name, first: 50) { edges { node { id name } } } } }"""
SEND_VIEW = """mutation upsertView($id: ID, $entity: String, $project: String, $name: String, $title: String,
    $description: String, $spec: String!) {
  upsertView(input: {id: $id, entityName: $entity, projectName: $project, name: $name, displayName: $title,
    description: $description, type: "runs", createdUsing: WANDB_SDK, spec: $spec}) { view { id } inserted } }"""


@dataclass(frozen=True)
class WandbServer:
    """A W&B server and who asks it; ``entity`` is the user or team that reports go to, "" for the key's own."""

    address: str
    key: str
    entity: str = ""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "WandbServer":
        """Read WANDB_API_KEY, WANDB_BASE_URL (W&B's own server by default) and WANDB_ENTITY.

        Raises:
            SetupProblem: there is no key.
        """
        import wandb

        key = environment.get("WANDB_API_KEY", "")
        if not key:
            raise SetupProblem("publishing needs a key of W&B, and WANDB_API_KEY is empty; set it and publish again")
        address = environment.get("WANDB_BASE_URL") or str(wandb.Settings().base_url)
        return cls(address.rstrip("/"), key, environment.get("WANDB_ENTITY", ""))

    @property
    def pages(self) -> str:
        """Where its pages are."""
        from wandb.util import api_to_app_url

        return str(api_to_app_url(self.address))

    def ask(self, query: str, **variables: str | None) -> dict[str, Any]:
        """Return the data of one GraphQL request.

        Raises:
            WandbUnavailable: no answer in time, or one that refuses.
        """
        body = {"query": query, "variables": variables}
        try:
            answer = requests.post(f"{self.address}/graphql", json=body, auth=("api", self.key), timeout=TIMEOUT_S)
            content = answer.json()
        except requests.RequestException as error:
            raise WandbUnavailable(f"{self.address} gave no answer of GraphQL ({type(error).__name__}: {error})") from error
        data = content.get("data") if isinstance(content, dict) else None
        if not answer.ok or not isinstance(data, dict) or content.get("errors"):
            raise WandbUnavailable(f"{self.address} refused (status {answer.status_code}): {json.dumps(content)[:300]}")
        return data

    def find(self, query: str, *path: str, **variables: str | None) -> Any:
        """Return what the answer to ``query`` holds at ``path``; ``None`` where it holds nothing there."""
        found: Any = self.ask(query, **variables)
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return found


def publish_report(settings: Settings, report: KeptReport, server: WandbServer) -> tuple[PublishedReport, bool]:
    """Publish one report, and return where it is and whether it was sent now.

    A report whose publication is noted with the same content is not sent. One that reached the server without a note (a kill,
    a lost answer) is found there by its name and replaced.

    Raises:
        WandbUnavailable: the server did not confirm it; the report stays kept.
    """
    with _alone(settings):
        entity = server.entity or server.find(VIEWER, "viewer", "entity")
        if not entity:
            raise WandbUnavailable(f"{server.address} does not know the key of WANDB_API_KEY; set a valid one")
        noted = read_published(settings, report)
        if noted is not None and _says(noted) == (server.address, entity, report.content_digest):
            return noted, False
        view_id = _send(server, entity, report)
        url = f"{_project_url(server, entity, report)}/reports/{quote(report.title.replace(' ', '-'), safe='')}--{view_id}"
        published = PublishedReport(
            server=server.address, entity=entity, view_id=view_id, url=url, content_digest=report.content_digest
        )
        keep_published(settings, report, published)
        return published, True


def _says(noted: PublishedReport) -> tuple[str, str, str]:
    return noted.server, noted.entity, noted.content_digest


def _send(server: WandbServer, entity: str, report: KeptReport) -> str:
    where = {"entity": entity, "project": report.model}
    if server.find(PROJECT, "project", **where) is None:
        server.ask(CREATE_PROJECT, **where)
    edges = server.find(FIND_VIEW, "project", "allViews", "edges", name=report.view_name, **where) or []
    same = [edge["node"]["id"] for edge in edges if edge["node"]["name"] == report.view_name]
    run_url = f"{_project_url(server, entity, report)}/runs/{report.wandb_run}" if report.wandb_run else ""
    spec = json.dumps(report_spec(report, run_url), sort_keys=True)
    content = {"name": report.view_name, "title": report.title, "description": report.sentence, "spec": spec}
    view_id = server.find(SEND_VIEW, "upsertView", "view", "id", id=same[0] if same else None, **where, **content)
    if not isinstance(view_id, str):
        raise WandbUnavailable(f"{server.address} did not confirm the report {report.title}; publish it again")
    return view_id


def _project_url(server: WandbServer, entity: str, report: KeptReport) -> str:
    return f"{server.pages}/{quote(entity)}/{quote(report.model)}"


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Two publishers at once would both find no view and create two."""
    folder = reports_folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
