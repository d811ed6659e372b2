"""The real Python bindings of TensorRT 10 and 11 (1.3 MB each), over libraries of nine functions that do nothing.

``python -m tests.engines.bindings`` fetches them once into the cache; no test downloads anything.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

MAJORS = (10, 11)
HERE = Path(__file__).parent
LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")
FETCH_LIMIT_S = 120


def cached(major: int) -> Path:
    """Where the bindings of the locked version lie for this Python, whether they are there or not."""
    root = Path(os.environ.get("LAKEGATE_CACHE") or Path.home() / ".cache" / "lakegate")
    digest = hashlib.sha256(_lock(major).read_bytes()).hexdigest()[:12]
    return root / f"tensorrt-bindings-{digest}-py{sys.version_info.major}.{sys.version_info.minor}"


def _lock(major: int) -> Path:
    return HERE / f"tensorrt{major}.lock"


def fetch(major: int) -> str:
    """Install the locked wheel, hash checked, aside, and rename it; return a line on how it stands."""
    target = cached(major)
    version = _lock(major).read_text().split("==")[1].split()[0]
    if target.is_dir():
        return f"TensorRT {version} bindings: cached"
    uv = Path(sys.executable).with_name("uv")
    aside = target.with_name(f".{target.name}-{os.getpid()}")
    words = ["pip", "install", "--quiet", "--python", sys.executable, "--no-deps", "--require-hashes"]
    words += ["--target", str(aside), "--requirement", str(_lock(major))]
    try:
        subprocess.run([str(uv), *words], check=True, capture_output=True, text=True, timeout=FETCH_LIMIT_S)
        aside.replace(target)
    except (OSError, subprocess.SubprocessError) as error:
        reason = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1:]
        return f"TensorRT {version} bindings: not to be had ({''.join(reason)}); their tests will be skipped"
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return f"TensorRT {version} bindings: fetched"


def compile_stand_ins(folder: Path, major: int) -> Path:
    """Compile the three libraries that the bindings load; needs gcc."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in LIBRARIES:
        file = f"lib{name}.so.{major}"
        words = ["-shared", "-fPIC", f"-Wl,-soname,{file}", "-o", str(folder / file), str(HERE / "tensorrt_libraries.c")]
        subprocess.run(["gcc", *words], check=True)
    return folder


if __name__ == "__main__":
    for number in MAJORS:
        print(fetch(number))
