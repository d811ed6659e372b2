"""Start from the weights of an earlier run: what fits is taken, what does not stays random and is named."""

from torch import nn

from lakegate.errors import TrainingFailed
from lakegate.training.checkpoints import load_tensors
from lakegate.training.job import StartingWeights


def load_start(network: nn.Module, start: StartingWeights, labels: tuple[str, ...]) -> list[str]:
    """Copy all tensors of the same name and shape into ``network``; return notes on what was left out.

    Args:
        labels: what the network will learn, in class order.

    Raises:
        TrainingFailed: nothing fits, so the run has another architecture.
        UnsafeModelFile, BrokenModelFile: the file is no table of tensors.
    """
    found, wanted = load_tensors(start.path), network.state_dict()
    fitting = {name: tensor for name, tensor in found.items() if name in wanted and tensor.shape == wanted[name].shape}
    if not any(tensor.ndim > 1 for tensor in fitting.values()):
        raise TrainingFailed(
            f"[architecture] init: no layer of run {start.run_id} has the name and the shape of one of this network; "
            "name a run of the same architecture, or init = \"random\""
        )
    network.load_state_dict(fitting, strict=False)
    notes = [f"started from the weights of run {start.run_id} ({len(fitting)} of {len(wanted)} tensors)"]
    if left := _layers(wanted.keys() - fitting.keys()):
        notes.append(f"left random, since run {start.run_id} has them in another shape or not at all: {', '.join(left)}")
    if unused := _layers(found.keys() - wanted.keys()):
        notes.append(f"not taken from run {start.run_id}, since this network has no such layers: {', '.join(unused)}")
    if start.labels != labels:
        notes.append(f"run {start.run_id} had learnt the labels {list(start.labels)}, in this order")
    return notes


def _layers(names: "set[str]") -> list[str]:
    return sorted({name.rpartition(".")[0] or name for name in names})
