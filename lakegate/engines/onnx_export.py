"""From trained weights to one ONNX file that computes the same, shown on real images over batches and sizes."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lakegate.canonical import sha256_file
from lakegate.declarations import ModelDeclaration, ModelTask, OperatingTable
from lakegate.engines.onnx_session import INPUT_NAME, OUTPUTS_OF_TASK, STRIDE_PX, OnnxModel
from lakegate.engines.parity import ParityGrid, ParityRow
from lakegate.errors import BadInput, BrokenModelFile, ParityFailed
from lakegate.imaging import PREPROCESSING_DIGEST, FloatArray, read_image, to_input
from lakegate.task_types.registry import task_type

if TYPE_CHECKING:
    from torch import nn

MIN_SIDE_PX = 64
MAX_SIDE_PX = 2048
RESERVED_KEYS = frozenset(
    {"task", "labels", "input_px", "preprocessing_digest", "postprocessing_digest", "architecture", "opset"}
)

Size = tuple[int, int]


@dataclass(frozen=True)
class OnnxExport:
    """The exported file and how it was checked."""

    path: Path
    sha256: str
    size_bytes: int
    opset: int
    parity: ParityGrid


def export_onnx(
    model_pt: Path,
    declaration: ModelDeclaration,
    labels: Sequence[str],
    out: Path,
    provenance: Mapping[str, str],
    images: Iterable[Path],
    threads: int = 1,
    task: ModelTask = "detection",
) -> OnnxExport:
    """Export the weights of ``model_pt`` and compare the file with torch on real images; ``out`` appears only if they agree.

    Args:
        model_pt: a state_dict as the training wrote it.
        declaration: names the architecture, input size, batches and ``parity_atol`` (boxes in px, scores and probabilities).
        labels: in class order.
        out: the ONNX file to write; batch, height and width are free (sides: multiples of 32 from 64).
        provenance: words for the file's metadata: dataset commits, code commit, run id, …
        images: image files for the comparison; as many as the largest batch are used, fewer are repeated.
        task: what the network predicts; names the outputs.

    Raises:
        ParityFailed: a difference is above ``parity_atol``, or an axis is frozen.
        BadInput: no images, or provenance uses a reserved key.
        BrokenModelFile, UnsafeModelFile: ``model_pt`` is damaged, of another network, or holds code.
    """
    import torch

    taken = sorted(RESERVED_KEYS & set(provenance))
    if taken:
        raise BadInput(f"provenance uses the reserved keys {', '.join(taken)}; rename them")
    pictures = [read_image(path) for path in islice(images, declaration.export.batch[2])]
    if not pictures:
        raise BadInput("expected at least one real image to compare the exported model on, came none; give some of the dataset")
    network = load_network(model_pt, declaration, labels, task)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    aside = out.with_name(f".{out.name}.part")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        opset = _write(network, declaration, labels, provenance, aside, task)
        exported = OnnxModel(aside, threads)
        parity = compare(network, exported, declaration, pictures)
        if not parity.passed:
            raise ParityFailed(
                f"{out.name} does not compute what {model_pt} does (at most {parity.atol:g} is allowed): "
                f"{'; '.join(parity.failures)}; look for shapes that the network branches on, or raise [export] parity_atol"
            )
        aside.replace(out)
    finally:
        torch.set_num_threads(before)
        aside.unlink(missing_ok=True)
    return OnnxExport(out, sha256_file(out), out.stat().st_size, opset, parity)


def load_network(
    model_pt: Path, declaration: ModelDeclaration, labels: Sequence[str], task: ModelTask = "detection"
) -> "nn.Module":
    """Build the declared network and load ``model_pt`` into it, in eval mode."""
    from lakegate.training.architectures import build
    from lakegate.training.checkpoints import load_tensors

    architecture = declaration.architecture
    network = build(architecture.name, len(labels), architecture.input_px, task)
    try:
        network.load_state_dict(load_tensors(model_pt))
    except RuntimeError as error:
        raise BrokenModelFile(
            f"{model_pt}: the weights are not of '{architecture.name}' with {len(labels)} labels ({error}); "
            "export with the declaration that the run was trained with"
        ) from error
    return network.eval()


def grid_sizes(input_px: Size) -> list[Size]:
    """Return the sizes (height, width) to compare at: declared, the smallest, and off-square by one stride."""
    height, width = input_px
    off_square = (height + STRIDE_PX, max(width - STRIDE_PX, MIN_SIDE_PX))
    return list(dict.fromkeys([input_px, (MIN_SIDE_PX, MIN_SIDE_PX), off_square]))


def grid_batches(batch: tuple[int, int, int]) -> list[int]:
    """Return the batch sizes to compare at: 1, 2 and the declared ones."""
    return sorted({1, 2, *batch})


def compare(
    network: "nn.Module", exported: OnnxModel, declaration: ModelDeclaration, pictures: Sequence[Any]
) -> ParityGrid:
    """Compare raw outputs, before NMS. Torch sees each image alone, so a slot that depends on its neighbours shows.

    ``pictures``: uint8 RGB images of any size, one per slot, repeated where the batch is larger.
    """
    atol = declaration.export.parity_atol
    rows = []
    batches = grid_batches(declaration.export.batch)
    for size in grid_sizes(declaration.architecture.input_px):
        inputs = np.stack([to_input(picture, size).pixels for picture in pictures])
        expected = [_run_torch(network, inputs[index : index + 1]) for index in range(len(inputs))]
        for batch in batches:
            slots = [index % len(inputs) for index in range(batch)]
            came = exported.infer(inputs[slots])
            off = {
                name: np.array([_difference(array[slot], expected[index][number]) for slot, index in enumerate(slots)])
                for number, (name, array) in enumerate(zip(exported.output_names, came, strict=True))
            }
            row = _row(batch, size, off, atol)
            rows.append(row)
    return ParityGrid(atol=atol, n_images=len(pictures), rows=tuple(rows))


def _row(batch: int, size: Size, off: Mapping[str, npt.NDArray[np.float64]], atol: float) -> ParityRow:
    """Sum up the differences of each slot, (batch,) per output; boxes are an output of detectors only."""
    by_slot = np.max(list(off.values()), axis=0)
    return ParityRow(
        batch=batch,
        height_px=size[0],
        width_px=size[1],
        max_abs_boxes_px=float(off["boxes"].max()) if "boxes" in off else None,
        max_abs_scores=max(float(array.max()) for name, array in off.items() if name != "boxes"),
        worst_slot=int(by_slot.argmax()),
        passed=bool(by_slot.max() <= atol),
    )


def _run_torch(network: "nn.Module", images_NCHW: FloatArray) -> list[FloatArray]:
    """Return the outputs for one image, as the ONNX file names them."""
    import torch

    with torch.inference_mode():
        found = network(torch.from_numpy(images_NCHW))
    return [output[0].numpy() for output in (found if isinstance(found, tuple) else (found,))]


def _difference(came: FloatArray, expected: FloatArray) -> float:
    """Return the largest absolute difference; 1e9 for other shapes or values that are not finite (JSON has no infinity)."""
    if came.shape != expected.shape:
        return 1e9
    largest = float(np.abs(came - expected).max(initial=0.0))
    return largest if math.isfinite(largest) else 1e9


def _write(
    network: "nn.Module",
    declaration: ModelDeclaration,
    labels: Sequence[str],
    provenance: Mapping[str, str],
    path: Path,
    task: ModelTask,
) -> int:
    """Write the ONNX file with weights and metadata inside; return the opset that torch chose."""
    import onnx
    import torch
    from torch.export import Dim

    input_px = declaration.architecture.input_px
    batch = Dim("batch", min=1, max=max(declaration.export.batch[2], 64))
    height, width = (
        STRIDE_PX * Dim(name, min=MIN_SIDE_PX // STRIDE_PX, max=max(MAX_SIDE_PX, *input_px) // STRIDE_PX)
        for name in ("h32", "w32")
    )
    # Batch 2 and unequal sides as the example: the exporter may freeze an axis whose example is 1 or equals another one.
    example = torch.zeros(2, 3, input_px[0], input_px[1] + STRIDE_PX)
    program = torch.onnx.export(
        network,
        (example,),
        dynamo=True,
        dynamic_shapes=({0: batch, 2: height, 3: width},),
        input_names=[INPUT_NAME],
        output_names=list(OUTPUTS_OF_TASK[task]),
        verbose=False,
    )
    if program is None:
        raise ParityFailed("torch exported nothing; expected a program")
    program.save(str(path), external_data=False)
    model = onnx.load(str(path))
    opset = next(int(item.version) for item in model.opset_import if item.domain in ("", "ai.onnx"))
    _strip_build_paths(model)
    _stamp(model, declaration, labels, provenance, opset, task)
    _check_axes(model)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())
    return opset


def _strip_build_paths(model: Any) -> None:
    """Drop the stack traces that the exporter leaves on each node: they name files of this machine."""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]


def _stamp(
    model: Any,
    declaration: ModelDeclaration,
    labels: Sequence[str],
    provenance: Mapping[str, str],
    opset: int,
    task: ModelTask,
) -> None:
    """Write labels, sizes, digests and provenance into the file; do it again after every transformation of the file."""
    content = {
        **{key: str(value) for key, value in provenance.items()},
        "task": task,
        "labels": json.dumps(list(labels)),
        "input_px": json.dumps(list(declaration.architecture.input_px)),
        "preprocessing_digest": PREPROCESSING_DIGEST,
        "postprocessing_digest": task_type(task).processing_digest(OperatingTable()),
        "architecture": declaration.architecture.name,
        "opset": str(opset),
    }
    del model.metadata_props[:]
    for key in sorted(content):
        entry = model.metadata_props.add()
        entry.key, entry.value = key, content[key]


def _check_axes(model: Any) -> None:
    """Raise ``ParityFailed`` where batch, height or width became a fixed number."""
    dimensions = model.graph.input[0].type.tensor_type.shape.dim
    frozen = [name for name, index in (("batch", 0), ("height", 2), ("width", 3)) if not dimensions[index].dim_param]
    if frozen:
        raise ParityFailed(
            f"the exporter fixed the axes {', '.join(frozen)}; expected them free: the network uses their values as numbers"
        )
