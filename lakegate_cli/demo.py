"""The main job on real images, from two exports to a released model: what `make demo` runs."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from infra.release_triggers import apply_release_triggers
from lakegate.demo_export import DemoExports, make_demo_exports
from lakegate.errors import RegistryError, VersionNotFound
from lakegate.lake.client import LakeClient
from lakegate.lifecycle import comparison, release
from lakegate.lifecycle.release_page import release_page_url
from lakegate.lifecycle.watch import newest_report
from lakegate.registry import releases
from lakegate.registry.decisions import DecisionWords
from lakegate.registry.store import EVIDENCE, REPOSITORY
from lakegate.settings import Settings
from lakegate_cli.approvals import DEMO_APPROVER, decide, demo_code
from lakegate_cli.data_commands import version_rows
from lakegate_cli.demo_traffic import ask_production
from lakegate_cli.event_runs import release_runs, start_release, training_is_over, wait_for_event_run
from lakegate_cli.flow_runs import FlowRunFailed, follow_release, follow_run, run_flow

Approve = Literal["demo", "manual"]
Say = Callable[[str], None]
WAIT_POLL_S = 2.0


@dataclass
class DemoResult:
    """What the table at the end and ``demo.json`` say."""

    images: str = ""
    stages: list[dict[str, Any]] = field(default_factory=list)
    candidate: dict[str, float | None] = field(default_factory=dict)
    verdict: str = "not judged"
    sentence: str = ""
    images_inferred: dict[str, int] = field(default_factory=dict)
    total_seconds: float = 0.0
    look_at: dict[str, str] = field(default_factory=dict)
    production: str = ""

    def save(self, settings: Settings) -> Path:
        """Write ``demo.json`` into the state folder."""
        path = settings.home / "demo.json"
        path.write_text(json.dumps(self.__dict__, indent=1) + "\n")
        return path


class Demo:
    """The stages in order; each one reuses what an earlier demo left."""

    def __init__(self, settings: Settings, approve: Approve, say: Say) -> None:
        self.settings = settings
        self.client = LakeClient(settings)
        self.approve = approve
        self.say = say
        self.exports: DemoExports = make_demo_exports(settings)
        self._judged_key: str | None = None
        self._is_new: dict[str, bool] = {}  # by version: this demo made the tag
        self._release_run = ""
        self.result = DemoResult(images=self.exports.words)

    @property
    def name(self) -> str:
        return self.exports.name

    def run(self) -> DemoResult:
        """Run all stages; a failed gate ends the demo with its report, as it would end a release."""
        started = time.monotonic()
        try:
            self._first_release()
            self._second_release()
            self._stage("roll back to release 1 and forward again", self._roll_back_and_forward)
            self._stage("ask production for predictions", lambda: ask_production(self.settings, self.name, "v2"))
            self._stage("watch production", self._watch)
        except FlowRunFailed as error:
            self.result.sentence = str(error)
        finally:
            self._read_verdict()
            self.result.total_seconds = round(time.monotonic() - started, 1)
            self._links()
        return self.result

    def _first_release(self) -> None:
        self._stage("publish v1", lambda: self._publish("v1", "the state before the labelling was finished"))
        self._release(1, "v1", "there is nothing to compare with yet; the absolute gates pass")

    def _second_release(self) -> None:
        self._stage("publish v2", lambda: self._publish("v2", "all images, labelling finished"))
        self._stage("diff v1 to v2", self._diff)
        self._release(2, "v2", "no worse on old data, better labels on the diff")

    def _stage(self, name: str, action: Callable[[], str]) -> None:
        self.say(f"\n── {name}")
        started = time.monotonic()
        outcome = "failed"
        try:
            outcome = action()
        finally:
            seconds = round(time.monotonic() - started, 1)
            self.result.stages.append({"name": name, "seconds": seconds, "outcome": outcome})
        self.say(f"   {outcome} ({seconds:.1f} s)")

    def _flow(self, deployment: str, parameters: dict[str, Any]) -> str:
        run = run_flow(self.settings, deployment, parameters, False, self.say)
        self.result.look_at[f"Prefect run: {deployment.split('/')[0]}"] = run.url
        return run.state

    def _publish(self, version: str, message: str) -> str:
        apply_release_triggers(self.settings, self.say, remove=False)  # also where the model was declared after `up`
        self._is_new[version] = version not in self._tags()
        report = self.settings.reports_dir / self.name / f"validation-{version}.html"  # written after the tag
        is_found = report.is_file() and not self._is_new[version]
        if not is_found:
            self._run_publication(version, message)
        row = next(row for row in version_rows(self.settings, self.name) if row["version"] == version)
        words = f"{self.name}@{version}: {row['samples']} samples, commit {row['commit']}"
        return f"found, published by an earlier demo: {words}" if is_found else words

    def _run_publication(self, version: str, message: str) -> None:
        self._flow(
            "publish-dataset/cpu",
            {
                "dataset": self.name,
                "source": str(self.exports.folders[version]),
                "version": version,
                "message": message,
                "requested_by": self.settings.user,
            },
        )

    def _tags(self) -> dict[str, str]:
        return self.client.tags(self.name) if self.name in self.client.repositories() else {}

    def _diff(self) -> str:
        from lakegate.lake.diff import diff_versions
        from lakegate.lake.local import open_version
        from lakegate.lake.versions import pin
        from lakegate.lifecycle.diff_words import describe_diff

        old, new = (
            open_version(self.client, self.settings, pin(self.client, f"{self.name}@{tag}")) for tag in ("v1", "v2")
        )
        return describe_diff(diff_versions(old, new), f"{self.name}@v1", f"{self.name}@v2")

    def _is_released(self, number: int) -> bool:
        try:
            return number in releases.release_numbers(self.client, self.name)
        except VersionNotFound:
            return False

    def _release(self, number: int, version: str, reason: str) -> None:
        reference = f"{self.name}@{version}"
        if self._is_released(number):
            self._stage(f"release {number}", lambda: "found: released by an earlier demo")
            return
        self._stage(f"start release {number} by the tag {version}", lambda: self._start(version))
        self._stage(f"train on {version}", lambda: self._train(reference))
        self._stage(f"export, compare, stage release {number}", lambda: self._propose(reference))
        self._stage(f"approve release {number}", lambda: self._approve(reason))

    def _start(self, version: str) -> str:
        """Find the release that the tag started; one that an earlier demo left unfinished is gone on with, or started again."""
        reference = f"{self.name}@{version}"
        if self._is_new[version]:
            started = wait_for_event_run(self.settings, self.name, reference)
            words = f"started by the event of the tag {version}, automation '{started.automation}'"
        else:
            going_on = [run for run in release_runs(self.settings, self.name, reference) if run.is_under_way]
            started = going_on[0] if going_on else start_release(self.settings, self.name, reference)
            words = "found: an earlier demo left it" if going_on else "by hand: the event of this tag came in an earlier demo"
        self._release_run = started.id
        url = f"{self.settings.prefect_api_url.removesuffix('/api')}/runs/flow-run/{started.id}"
        self.result.look_at[f"Prefect run: release-model on {version}"] = url
        self.say(f"   {url}")
        return words

    def _train(self, reference: str) -> str:
        over = training_is_over(self._release_run)
        followed = follow_run(self.settings, self._release_run, self.say, from_start=True, until=over)
        self._release_run = follow_release(self.settings, followed, self.say).id
        plan = release.plan_release(self.client, self.settings, self.name, reference, None)
        return f"run {plan.training.run_id} on {reference}"

    def _propose(self, reference: str) -> str:
        try:
            follow_run(self.settings, self._release_run, self.say)
        finally:
            self._judged_key = self._comparison_under_way(reference)
        request = releases.open_request(self.client, self.name)
        return f"{request.verdict}: {request.verdict_sentence}"

    def _approve(self, reason: str) -> str:
        request = releases.open_request(self.client, self.name)
        if self.approve == "manual":
            return self._wait_for_person(request.release)
        self.say(
            f"   the demo plays the approver '{DEMO_APPROVER}' and makes the one-time code itself, from a secret that only a "
            "person's phone should hold; `make demo APPROVE=manual` waits for you"
        )
        words = DecisionWords("approve", DEMO_APPROVER, reason, demo_code(self.settings, self.name))
        return decide(self.settings, self.name, words, self.say)

    def _wait_for_person(self, number: int) -> str:
        self.say(
            f"   waiting for you: lakegate model approve {self.name} --by NAME --reason TEXT, or the form of the suspended "
            f"run in the Prefect UI (NAME other than {self.settings.user}, named in deployments/roles.toml, and enrolled "
            "with `lakegate approver add NAME`)"
        )
        while not self._is_released(number):
            decision = releases.find_decision(self.client, releases.open_request(self.client, self.name))
            if decision is not None and decision.decision == "reject":
                raise RegistryError(f"release {number} was rejected by {decision.approver}: {decision.reason}")
            time.sleep(WAIT_POLL_S)
        return f"release {number} is in production"

    def _roll_back_and_forward(self) -> str:
        for number in (1, 2):
            parameters = {"model": self.name, "release": number, "requested_by": self.settings.user}
            self._flow("roll-back-model/control", parameters)
        standing = releases.in_production(self.client, self.name)
        return f"release {standing.number if standing else 'none'} is in production again"

    def _watch(self) -> str:
        parameters = {"model": self.name, "window_days": 1}
        self._flow("watch-production/cpu", parameters)
        report = newest_report(self.client, self.settings, self.name)
        self.result.look_at["drift report"] = report.page.url
        return f"{report.facts.outcome.upper()}: {report.facts.sentence}"

    def _read_verdict(self) -> None:
        stored = self._newest_comparison()
        if stored is None:
            return
        matrix = json.loads(self.client.read(REPOSITORY, EVIDENCE, f"comparisons/{stored.key}/matrix.json"))
        self.result.verdict = stored.verdict
        self.result.look_at["regression matrix"] = f"{self.settings.reports_url}/{stored.page_name}"
        self.result.sentence = stored.sentence
        cell = next(item for item in matrix["cells"] if item["name"] == "all")
        self.result.candidate = {name: cell["candidate"][name][""] for name in ("map50", "map")}
        for row in ("candidate", "baseline"):
            if matrix["measured"].get(row):
                self.result.images_inferred[row] = matrix["measured"][row]["n_inferred"]

    def _newest_comparison(self) -> comparison.StoredComparison | None:
        key = self._judged_key or self._key_of_release(2) or self._key_of_release(1)
        return None if key is None else comparison.find_comparison(self.client, key)

    def _comparison_under_way(self, version: str) -> str | None:
        """Return the key of the comparison that a release of ``version`` makes; ``None`` where it did not come so far."""
        plan = release.plan_release(self.client, self.settings, self.name, version, None)
        if not release.is_exported(self.client, plan):
            return None
        return release.plan_comparison(self.client, self.settings, plan).key

    def _key_of_release(self, number: int) -> str | None:
        return releases.read_release(self.client, self.name, number).request.comparison if self._is_released(number) else None

    def _links(self) -> None:
        for version in ("v1", "v2"):
            name = f"validation of {self.name}@{version}"
            self.result.look_at[name] = f"{self.settings.reports_url}/{self.name}/validation-{version}.html"
        for number in (1, 2):
            if self._is_released(number):
                request = releases.read_release(self.client, self.name, number).request
                self.result.look_at[f"page of release {number}"] = release_page_url(self.settings, request)
        self.result.look_at["Triton in production"] = self.settings.triton_production_http or "none on this machine"
        self.result.look_at["lakeFS branch"] = f"lakefs://{self.name}/main ({self.settings.lakefs_endpoint})"
        self.result.look_at["W&B folder"] = str(self.settings.home / "wandb")
        standing = releases.in_production(self.client, self.name) if self._is_released(1) else None
        self.result.production = f"release {standing.number}" if standing is not None else "none"
