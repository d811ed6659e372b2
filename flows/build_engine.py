"""Build a TensorRT engine of an exported run, on the kind of GPU that it is for."""

from prefect import flow

from tasks import building


@flow(name="build-engine", flow_run_name="{model} {run} {precision} for {compute_capability}", persist_result=False)
def build_engine(model: str, run: str, compute_capability: str, precision: str = "fp16") -> str:
    """Add an engine to the run, compared with model.onnx for every batch size.

    Args:
        model: Name of a folder in models/, for example blood-cells.
        run: Id of the run, as `lakegate model log` lists it; it must be exported.
        compute_capability: Of the GPU that will serve, for example 8.6; this run must be in its pool, gpu-cc86.
        precision: fp32, fp16 or int8.
    """
    record = building.build_engine(model, run, compute_capability, precision)
    return building.show_engine(record)
