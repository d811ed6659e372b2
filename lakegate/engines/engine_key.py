"""What determines an engine, and the documents that say so: an equal key is the same engine, so it is built once."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from lakegate.canonical import exact_json, sha256_bytes
from lakegate.declarations import ModelDeclaration
from lakegate.engines.calibration import CalibrationSet
from lakegate.engines.closeness import Closeness
from lakegate.engines.onnx_session import INPUT_NAME

Shape = tuple[int, int, int, int]


class Strict(BaseModel):
    """Base of the documents: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def to_bytes(self) -> bytes:
        """Serialise with sorted keys; equal documents are equal bytes."""
        return exact_json(self.model_dump(mode="json"))


class Profile(Strict):
    """Shapes (N, 3, H, W) that an engine takes, and the one that it is tuned for."""

    min: Shape
    opt: Shape
    max: Shape


class GpuDevice(Strict):
    """The GPU that an engine is built on; the driver is recorded, it is not part of the key."""

    name: str
    compute_capability: str  # "8.6"
    driver: str


class BuildOptions(Strict):
    """What the builder is told beside the network. An engine runs on every GPU of the same compute capability."""

    hardware_compatibility: Literal["SAME_COMPUTE_CAPABILITY", "NONE"] = "SAME_COMPUTE_CAPABILITY"
    workspace_bytes: int = 2 * 1024**3
    optimisation_level: int = 3
    tf32: bool = False  # float32 means float32


class EngineKey(Strict):
    """Everything that determines the plan. Run, commit and driver are not in it: they would make every key new."""

    onnx_sha256: str  # of the file after all transformations
    tensorrt: str  # all four parts of the version
    compute_capability: str
    gpu_name: str
    platform: str  # linux-x86_64
    profiles: dict[str, Profile]
    recipe: dict[str, str]
    calibration_digest: str  # "" where nothing was calibrated
    options: BuildOptions

    @property
    def digest(self) -> str:
        """SHA-256 of the key."""
        return sha256_bytes(self.to_bytes())

    @property
    def file_name(self) -> str:
        """Name of the plan in the run."""
        prefix = engine_prefix(self.compute_capability, self.recipe["precision"])
        return f"{prefix}trt{self.tensorrt}-{self.digest[:8]}.plan"


class TensorInfo(Strict):
    """An input or output of the engine as TensorRT names it."""

    name: str
    mode: str
    dtype: str
    shape: tuple[int, ...]  # -1 for a free side


class BuildReport(Strict):
    """What the build process reports beside the plan."""

    tensorrt: str
    plan_sha256: str
    plan_bytes: int
    tensors: tuple[TensorInfo, ...]
    layers: str  # the engine inspector's own JSON
    warnings: tuple[str, ...]
    duration_s: float
    closeness: Closeness | None = None


class EngineRecord(Strict):
    """The file beside the plan: what it was built from, how it was checked, and where."""

    schema_version: Literal[1] = 1
    model: str
    run_id: str
    file: str
    key: EngineKey
    device: GpuDevice
    source_sha256: str  # of the run's model.onnx
    metadata: dict[str, str]  # labels, sizes, digests, provenance: of the ONNX file that was built
    narrowing: dict[str, object]
    calibration: CalibrationSet | None
    onnx_closeness: Closeness  # of the narrowed ONNX file, on the CPU
    build: BuildReport
    built_at: str
    flow_run_id: str

    @property
    def sentence(self) -> str:
        """How closely the engine follows model.onnx."""
        checked = "it was not compared with model.onnx" if self.build.closeness is None else self.build.closeness.sentence
        return f"{self.file} ({self.build.plan_bytes / 2**20:.1f} MiB, {self.device.name}): {checked}"


def input_profiles(declaration: ModelDeclaration) -> dict[str, Profile]:
    """Return the shapes from ``[export] batch``; an engine has one height and width, those of the pre-processing."""
    height, width = declaration.architecture.input_px
    low, usual, high = declaration.export.batch
    profile = Profile(min=(low, 3, height, width), opt=(usual, 3, height, width), max=(high, 3, height, width))
    return {INPUT_NAME: profile}


def capability_tag(compute_capability: str) -> str:
    """Return the short name of a compute capability.

    >>> capability_tag("8.6")
    'cc86'
    """
    return f"cc{compute_capability.replace('.', '')}"


def engine_prefix(compute_capability: str, precision: str) -> str:
    """Return how the files of such an engine begin.

    >>> engine_prefix("8.6", "fp16")
    'engine-cc86-fp16-'
    """
    return f"engine-{capability_tag(compute_capability)}-{precision}-"
