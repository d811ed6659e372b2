"""Make docs/pictures/matrix-*.webp: three verdicts on the scikit-learn sample, from models that are really trained.

``python -m tests.matrix_pictures docs/pictures``: some minutes on two cores. The baseline is trained on digits@v1 as declared,
the candidate on digits@v2; the failing one stops after few epochs. The third asks of the good candidate
that it loses next to nothing on a slice: so few images cannot say that.
"""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import tests.environment  # noqa: F401  first: it sets variables that numpy reads when imported
from infra.doctor import find_chromium
from lakegate.canonical import sha256_bytes, sha256_file
from lakegate.catalog import parse_dataset, parse_model
from lakegate.demo_sample import make_digits_export
from lakegate.engines.onnx_export import export_onnx
from lakegate.engines.onnx_session import OnnxModel
from lakegate.evaluation.comparing import compare
from lakegate.evaluation.gate import judge
from lakegate.evaluation.matrix import Matrix
from lakegate.evaluation.predictions import ModelUnderTest
from lakegate.evaluation.report import render_matrix_html
from lakegate.formats.importing import import_export
from lakegate.gate_rules import parse_rule
from lakegate.lake.local_version import DatasetVersion, LocalImage, LocalVersion
from lakegate.samples import Annotation
from lakegate.settings import Settings
from lakegate.training.job import TrainingJob
from lakegate.training.loop import fit

ROOT = Path(__file__).resolve().parents[1]
SIZE_PX = (1100, 1500)
FEW_EPOCHS = 3


@dataclass(frozen=True)
class Workshop:
    """Where the models and the cache lie."""

    folder: Path
    settings: Settings

    def version(self, tag: Literal["v1", "v2"]) -> LocalVersion:
        """Read the digits of one version as a publication would."""
        declaration = parse_dataset("digits", (ROOT / "datasets" / "digits" / "dataset.toml").read_text())
        found = import_export(make_digits_export(self.folder / tag, tag), None, declaration)
        bad = {problem.sample_id for problem in found.problems}
        bad |= {item.sample.id for item in found.samples if not all(map(_has_area, item.sample.annotations))}
        kept = [item for item in found.samples if item.sample.id not in bad]
        images = {item.sample.id: LocalImage(item.image, sha256_file(item.image)) for item in kept}
        digest = sha256_bytes(found.source_digest.encode())
        pinned = DatasetVersion("digits", tag, digest, digest)
        return LocalVersion(pinned, declaration, tuple(item.sample for item in kept), images)

    def model(self, run_id: str, version: LocalVersion, epochs: int = 0) -> ModelUnderTest:
        """Train and export the declared model; ``epochs`` 0: as many as declared."""
        declaration = parse_model("digits", (ROOT / "models" / "digits" / "model.toml").read_text())
        training = declaration.training.model_copy(update={"epochs": epochs or declaration.training.epochs})
        declaration = declaration.model_copy(update={"training": training})
        job = TrainingJob(declaration, [version], threads=self.settings.threads)
        trained = fit(job, self.folder / run_id, lambda epoch, metrics: print(run_id, epoch, metrics, flush=True))
        images = [image.path for image in list(version.images.values())[:8]]
        out = self.folder / f"{run_id}.onnx"
        exported = export_onnx(trained.model_path, declaration, job.labels, out, {"run": run_id}, images)
        seen = frozenset(version.images[sample.id].sha256 for sample in version.samples_in(split="train"))
        digest, size = exported.sha256, exported.size_bytes
        return ModelUnderTest("digits", run_id, digest, declaration, job.labels, partial(OnnxModel, out), seen, size)


def _has_area(item: Annotation) -> bool:
    return item.bbox_xywh_px is None or min(item.bbox_xywh_px[2:]) > 0


def make_pictures(target: Path, folder: Path) -> None:
    """Write the three pictures; raises ``SystemExit`` where a verdict is not the one that its picture is about.

    Args:
        folder: for models and cache; trainings that are complete there are not made again.
    """
    shop = Workshop(folder, Settings(checkout=ROOT, home=folder / "home", threads=2))
    before, now = shop.version("v1"), shop.version("v2")
    baseline = shop.model("baseline", before)
    good, early = (
        compare(model, baseline, now, before, shop.settings)
        for model in (shop.model("candidate", now), shop.model("early", now, FEW_EPOCHS))
    )
    gate = parse_model("digits", (ROOT / "models" / "digits" / "model.toml").read_text()).gate
    cases: Mapping[str, tuple[Matrix, Mapping[str, float]]] = {
        "pass": (good, gate),
        "fail": (early, gate),
        "not enough data": (good, {"recall.all.min": 0.9, "recall.sixes.max_drop": 0.005}),
    }
    others = [outcome for outcome, case in cases.items() if make_picture(outcome, *case, folder, target) != outcome]
    if others:
        raise SystemExit(f"another verdict than wanted: {', '.join(others)}; change rules or epochs")


def make_picture(outcome: str, matrix: Matrix, rules: Mapping[str, float], folder: Path, target: Path) -> str:
    """Write one picture; returns the verdict."""
    verdict = judge([parse_rule(key, limit) for key, limit in rules.items()], matrix)
    page = folder / f"{outcome}.html"
    page.write_text(render_matrix_html(matrix, verdict))
    print(f"{outcome}: {verdict.outcome.value}: {verdict.sentence}", flush=True)
    for result in verdict.results:
        print(f"  {result.outcome.value}: {result.sentence} {result.remedy}")
    take_picture(page, target / f"matrix-{outcome.replace(' ', '-')}.webp")
    return verdict.outcome.value


def take_picture(page: Path, picture: Path) -> None:
    """Write the top of a page as WebP."""
    import cv2

    png = page.with_suffix(".png")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=4000"]
    size = f"--window-size={SIZE_PX[0]},{SIZE_PX[1]}"
    command = [str(find_chromium()), *flags, size, f"--user-data-dir={page.parent / 'profile'}", f"--screenshot={png}"]
    subprocess.run([*command, page.as_uri()], check=True, capture_output=True, timeout=120)
    shown = cv2.imread(str(png))
    assert shown is not None, png
    cv2.imwrite(str(picture), shown, [cv2.IMWRITE_WEBP_QUALITY, 60])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made_in:
        make_pictures(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else made_in))
