"""One exported model for all tests of this room."""

import pytest

from lakegate.engines.onnx_export import export_onnx
from tests.engines.random_model import LABELS, declare, write_weights


@pytest.fixture(scope="session")
def real_images(samples_dir):
    return sorted((samples_dir / "bccd" / "images").glob("*.jpg"))[:3]


@pytest.fixture(scope="session")
def exported(tmp_path_factory, real_images):
    folder = tmp_path_factory.mktemp("export")
    declaration = declare()
    weights = write_weights(folder / "model.pt", declaration)
    provenance = {"lakefs.commit": "c" * 64, "run": "abc"}
    return export_onnx(weights, declaration, LABELS, folder / "model.onnx", provenance, real_images, threads=2)
