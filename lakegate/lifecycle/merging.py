"""Merge one branch of a dataset into another in lakeFS; where both changed one sample, its objects are merged."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from lakegate.canonical import exact_json, sha256_bytes
from lakegate.catalog import load_dataset
from lakegate.errors import BadInput, LakeError, PublishConflict, ValidationFailed
from lakegate.failpoints import reach
from lakegate.gate_rules import Outcome
from lakegate.lake.client import LakeClient
from lakegate.lake.object_merge import Side
from lakegate.lake.objects import MAIN
from lakegate.lake.ref_branch import PinnedRef, pin_ref
from lakegate.lake.versions import pin
from lakegate.lifecycle.earlier_tests import collect_earlier_tests
from lakegate.lifecycle.merge_plan import MergePlan, ThreeStates, plan_merge
from lakegate.lifecycle.ref_content import read_content
from lakegate.quality.validation import ValidationResult, count_of, validate
from lakegate.settings import Settings

SHOWN = 20
RESOLVE = re.compile(r"(?:(?P<name>.+)=)?(?P<side>ours|theirs)")
Say = Callable[[str], None]


@dataclass(frozen=True)
class MergeRequest:
    """What a person asked for. ``resolve`` names the side that decides, by sample; the key "" stands for all others."""

    dataset: str
    source: str
    into: str = MAIN
    resolve: Mapping[str, Side] = field(default_factory=dict)

    @classmethod
    def from_words(
        cls, settings: Settings, dataset: str, source: str, into: str, resolve: Sequence[str]
    ) -> "MergeRequest":
        """Check the words of a form; ``resolve`` holds ``SAMPLE=ours``, ``SAMPLE=theirs``, or a bare side for all.

        Raises:
            UnknownName, BadInput: the dataset is not declared, or a word is not usable.
        """
        load_dataset(settings, dataset)
        if source == into:
            raise BadInput(f"'{source}' cannot be merged into itself; give two branches")
        sides: dict[str, Side] = {}
        for word in resolve:
            found = RESOLVE.fullmatch(word.strip())
            if found is None:
                raise BadInput(f"'{word}' resolves nothing; expected SAMPLE=ours, SAMPLE=theirs, or for all: ours, theirs")
            sides[found["name"] or ""] = "ours" if found["side"] == "ours" else "theirs"
        return cls(dataset, source, into, sides)

    def require_main(self) -> None:
        """Raise ``BadInput`` unless the result may become a version: versions are made on main."""
        if self.into != MAIN:
            raise BadInput(f"versions are made of what is merged into main, not into '{self.into}'; leave one of the two out")


class DatasetMerge:
    """One merge under way: "ours" is the branch that is merged into, "theirs" the other. A killed step may be run again."""

    def __init__(self, client: LakeClient, settings: Settings, request: MergeRequest, say: Say) -> None:
        self.request = request
        self._client, self._settings, self._say = client, settings, say
        self._sides: tuple[PinnedRef, PinnedRef] | None = None
        self._plan: MergePlan | None = None
        self._result: ValidationResult | None = None
        self.commit = ""

    @property
    def branch(self) -> str:
        """The branch on which the merge is made: named by what is merged, so a rerun finds it."""
        ours, theirs = self._pinned
        return merge_branch(self.request, ours.commit.id, theirs.commit.id)

    def plan(self) -> None:
        """Bring together what both sides did.

        Raises:
            PublishConflict: they did different things to one object or file; lists each with both sides.
            BadInput: there is nothing to merge. LakeError: a branch holds uncommitted changes.
        """
        request, client = self.request, self._client
        ours, theirs = (pin_ref(client, request.dataset, ref) for ref in (request.into, request.source))
        if not ours.is_branch:
            raise BadInput(f"'{request.into}' is no branch of '{request.dataset}'; only into a branch can be merged")
        self._sides = ours, theirs
        base = client.merge_base(request.dataset, theirs.commit.id, ours.commit.id)
        if base == theirs.commit.id:
            raise BadInput(f"everything on '{request.source}' is in '{request.into}' already; there is nothing to merge")
        states = ThreeStates(client, self._settings, request.dataset, base, ours.commit.id, theirs.commit.id)
        self._plan = plan_merge(states, load_dataset(self._settings, request.dataset), self._settings, request.resolve)
        for line in self._plan.lines(request.into, request.source):
            self._say(line)
        conflicts = self._plan.conflicts
        if conflicts:
            more = f"\n  and {len(conflicts) - SHOWN} more" if len(conflicts) > SHOWN else ""
            raise PublishConflict(
                f"{count_of(len(conflicts), 'conflict')} between '{request.into}' (ours) and '{request.source}' (theirs); "
                "nothing was merged:" + "".join(f"\n  {item.sentence}" for item in conflicts[:SHOWN]) + more
                + "\nedit one side in lakeFS, or say which counts with --resolve SAMPLE=ours or --resolve SAMPLE=theirs"
            )  # fmt: skip

    def write(self) -> None:
        """Make the merge branch: the merged files first, then lakeFS's merge, which keeps both parents."""
        ours, theirs = self._pinned
        plan, dataset, branch = self._planned, self.request.dataset, self.branch
        metadata = {"publisher": self._settings.user}
        self._client.create_branch(dataset, branch, ours.commit.id, exist_ok=True)
        if self._client.merge_base(dataset, theirs.commit.id, branch) != theirs.commit.id:
            words = f"Merge {self.request.source} into {self.request.into}"
            self._put(plan.files, f"{words}: what both sides changed", metadata)
            reach("committed")
            self._client.merge(dataset, theirs.commit.id, branch, words, metadata, keep_ours=True)
            reach("merged")
        self.commit = self._put(plan.files, "Keep the samples that one side removed", metadata)
        self._say(f"branch {branch}: commit {self.commit[:12]}")

    def check(self) -> None:
        """Validate the merged result; raises ``ValidationFailed`` where it was to become a version and does not pass."""
        declaration = load_dataset(self._settings, self.request.dataset)
        pinned = pin(self._client, f"{self.request.dataset}@{self.commit}")
        content = read_content(self._client, self._settings, pinned, declaration)
        images = {name: image.path for name, image in content.local.images.items()}
        earlier = collect_earlier_tests(self._client, self._settings, self.request.dataset)
        samples, problems = content.local.samples, content.problems
        self._result = validate(samples, images, declaration, problems, self._settings, earlier_test=earlier)
        self._say(f"the merged result: {self._result.sentence}")
        reasons = [f"sample {item.sample_id}: {item.reason}" for item in self._result.problems[:10]]
        for reason in reasons:
            self._say(reason)
        if self._result.outcome is not Outcome.PASS and self.request.into == MAIN:
            raise ValidationFailed(
                f"{self.request.dataset}: {self._result.sentence} {'; '.join(reasons)}. Main was not touched; repair these "
                f"samples on branch '{self.branch}' in lakeFS, then publish it with "
                f"`lakegate data publish {self.request.dataset} --ref {self.branch}`"
            )

    @property
    def reference(self) -> str:
        """``dataset@branch`` that holds the result: the merge branch where it is for ``main``."""
        return f"{self.request.dataset}@{self.branch if self.request.into == MAIN else self.request.into}"

    def finish(self) -> None:
        """Merge the merge branch into a working branch; for ``main`` it stays, to be published.

        Raises:
            PublishConflict: the branch moved meanwhile and changed the same; run the merge again.
        """
        request = self.request
        if request.into == MAIN:
            self._say(f"make it a version: lakegate data publish {request.dataset} --ref {self.branch} --version NAME")
            return
        metadata = {"publisher": self._settings.user}
        words = f"Merge {self.branch} into {request.into}"
        self.commit = self._client.merge(request.dataset, self.commit, request.into, words, metadata)
        self._say(f"merged into {request.into}: commit {self.commit[:12]}")

    def summary_markdown(self) -> str:
        """Return what was merged, for the run's page."""
        lines = [f"### {self.request.dataset}: {self.request.source} → {self.request.into}", ""]
        lines += [f"- {line}" for line in self._planned.lines(self.request.into, self.request.source)]
        if self._result is not None:
            lines += ["", f"The merged result: {self._result.sentence}"]
            lines += [f"- `{item.file}`: {item.reason}" for item in self._result.problems[:SHOWN]]
        return "\n".join(lines) + "\n"

    def _put(self, files: Mapping[str, bytes | None], message: str, metadata: Mapping[str, str]) -> str:
        """Let the merge branch hold these files (``None``: not hold them) and return its commit."""
        dataset, branch = self.request.dataset, self.branch
        present = self._client.manifest(dataset, self._client.head(dataset, branch).id).by_path
        upload = {
            path: data
            for path, data in files.items()
            if data is not None and (path not in present or present[path].sha256 != sha256_bytes(data))
        }
        self._client.upload_many(dataset, branch, upload)
        self._client.delete_many(dataset, branch, [path for path, data in files.items() if data is None and path in present])
        return self._client.commit(dataset, branch, message, metadata)

    @property
    def _pinned(self) -> tuple[PinnedRef, PinnedRef]:
        if self._sides is None:
            raise LakeError("the step 'plan' comes first")
        return self._sides

    @property
    def _planned(self) -> MergePlan:
        if self._plan is None:
            raise LakeError("the step 'plan' comes first")
        return self._plan


def merge_branch(request: MergeRequest, ours: str, theirs: str) -> str:
    """Return the name of the branch on which two commits are merged."""
    made_of = [ours, theirs, dict(request.resolve)]
    return f"merge-{request.source[:40]}-{sha256_bytes(exact_json(made_of))[:12]}"
