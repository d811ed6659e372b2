from lakegate.engines.parity import ParityGrid, ParityRow


def a_row(boxes=1e-5, passed=True):
    return ParityRow(
        batch=2, height_px=64, width_px=96, max_abs_boxes_px=boxes, max_abs_scores=1e-7, worst_slot=1, passed=passed
    )


def test_a_grid_passes_when_every_row_does_and_an_empty_one_does_not():
    assert ParityGrid(atol=1e-4, n_images=2, rows=(a_row(),)).passed
    assert not ParityGrid(atol=1e-4, n_images=2, rows=(a_row(), a_row(passed=False))).passed
    assert not ParityGrid(atol=1e-4, n_images=2, rows=()).passed


def test_a_grid_names_its_worst_difference_and_the_rows_that_fail():
    grid = ParityGrid(atol=1e-4, n_images=2, rows=(a_row(), a_row(boxes=0.5, passed=False)))
    assert grid.worst_boxes_px == 0.5
    assert grid.worst_scores == 1e-7
    assert grid.failures == ["batch 2, 64 × 96 px, slot 1: boxes differ by 0.5 px, scores by 1e-07"]


def test_a_grid_survives_the_way_to_json_and_back():
    grid = ParityGrid(atol=1e-4, n_images=2, rows=(a_row(),))
    assert ParityGrid.model_validate_json(grid.model_dump_json()) == grid
