from pathlib import Path

import pytest

from infra.deployments import apply, source_digest
from infra.processes import free_port
from lakegate.errors import SetupProblem
from lakegate.settings import Settings


def test_the_digest_changes_with_a_flow_and_with_prefect_yaml_and_not_with_other_files(tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "prefect.yaml").write_text("name: x")
    (tmp_path / "flows" / "a.py").write_text("a = 1")
    first = source_digest(tmp_path)
    (tmp_path / "README.md").write_text("words")
    assert source_digest(tmp_path) == first
    (tmp_path / "flows" / "a.py").write_text("a = 2")
    second = source_digest(tmp_path)
    (tmp_path / "prefect.yaml").write_text("name: y")
    assert len({first, second, source_digest(tmp_path)}) == 3


def test_a_server_that_does_not_answer_is_named_with_what_to_do(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/api"
    with pytest.raises(SetupProblem, match=rf"{url} does not answer.*lakegate up"):
        apply(Settings(home=tmp_path, checkout=tmp_path, prefect_api_url=url))
