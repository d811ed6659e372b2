"""What was kept of a comparison is read back as it was judged."""

import json

import pytest

from lakegate.errors import RegistryError
from lakegate.evaluation.evidence import matrix_json
from lakegate.evaluation.gallery import make_gallery, worst_first
from lakegate.evaluation.stored import read_matrix
from tests.evaluation.planted import World
from tests.evaluation.test_report import judged


def test_a_kept_matrix_is_read_back_as_it_was(world: World) -> None:
    matrix, verdict = judged(world, n_latency_images=4)
    stored = read_matrix(matrix_json(matrix, verdict))
    assert (stored.cells, stored.coverage, stored.flips) == (matrix.cells, matrix.coverage, matrix.flips)
    assert (stored.rules, stored.skipped, stored.latency) == (verdict.results, verdict.skipped, matrix.measured.latency)
    assert (stored.against, stored.not_covered) == (verdict.against, verdict.not_covered) and stored.against


def test_the_worst_images_have_the_order_of_the_gallery(world: World) -> None:
    matrix, _ = judged(world)
    assert [key for key, _ in worst_first(matrix.flips)] == list(make_gallery(matrix).number_of)


@pytest.mark.parametrize("key", ["cells", "flips", "rules", "measured"])
def test_a_file_of_another_version_is_refused_by_name(world: World, key: str) -> None:
    content = json.loads(matrix_json(*judged(world)))
    del content[key]
    with pytest.raises(RegistryError, match=r"here/matrix.json is not a comparison.*compare again"):
        read_matrix(json.dumps(content).encode(), "here/matrix.json")
