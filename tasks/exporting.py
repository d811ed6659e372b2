"""How a run is exported: once, with parity checked before anything is committed."""

from prefect import get_run_logger

from lakegate.lake.client import LakeClient
from lakegate.lifecycle import export_run
from lakegate.lifecycle.export_run import ExportedRun
from tasks.artifacts import artifact_key, show_table
from tasks.running import settings_for, step


@step
def export_onnx(model: str, run: str) -> ExportedRun:
    """Export to ONNX and compare with the trained network over the parity grid."""
    settings = settings_for("")
    return export_run.export(LakeClient(settings), settings, model, run, get_run_logger().info)


def show_parity(exported: ExportedRun) -> str:
    """Leave the parity grid on the run; return the digest of model.onnx."""
    show_table(artifact_key("parity", exported.model), exported.parity_rows(), exported.sentence())
    return exported.reference.model_sha256
