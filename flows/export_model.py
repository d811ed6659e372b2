"""Export a trained run to ONNX and check that it computes the same."""

from prefect import flow

from tasks import exporting


@flow(name="export-model", flow_run_name="{model} {run}", persist_result=False)
def export_model(model: str, run: str) -> str:
    """Add model.onnx and its parity grid to the run.

    Args:
        model: Name of a folder in models/, for example blood-cells.
        run: Id of the run, as `lakegate model log` lists it.
    """
    exported = exporting.export_onnx(model, run)
    return exporting.show_parity(exported)
