from lakegate.evaluation.comparing import compare
from lakegate.evaluation.tables import main_metrics, metric_rows
from lakegate.evaluation.unruled import worse_without_a_rule
from lakegate.gate_rules import Rule
from tests.evaluation.planted import World, found, object_at


def test_what_got_worse_where_no_rule_looks_is_named_as_the_matrix_shows_it(world: World) -> None:
    """The candidate misses the object of every other image, and nothing else differs."""
    version = world.version({number: [object_at(0)] for number in range(40)}, slices={"few": 'name < "s0003"'})
    baseline = world.model("old", {number: [found(0)] for number in range(40)})
    candidate = world.model("new", {number: [found(0)] if number % 2 else [] for number in range(40)})
    matrix = compare(candidate, baseline, version, None, world.settings, n_latency_images=0)
    named = worse_without_a_rule(matrix, [])
    assert "recall on all test samples (1.000 → 0.500)" in named
    assert not [words for words in named if words.startswith("precision")], "what it shows is right"
    assert sorted(words.split(" (")[0] for words in named) == sorted(
        f"{row.name} on {cell.words}"
        for cell in matrix.cells
        for row in metric_rows([cell])
        if row.entries[0].change_words == "worse" and row.entries[0].difference_interval
    )
    rules = [Rule(metric, cell.name, "", "max", 1.0) for cell in matrix.cells for metric in main_metrics([cell])]
    ruled = [item for item in rules if item.metric == "recall" and item.cell == "all"]
    assert len(worse_without_a_rule(matrix, ruled)) == len(named) - 1
    assert worse_without_a_rule(matrix, rules) == ()
