"""What changes when nothing but the seed does: the floor below which a difference between two models says nothing."""

from dataclasses import dataclass

from lakegate.gate_rules import CELL_ALL, CELL_OLD


@dataclass(frozen=True)
class NoiseInCell:
    """Negative flips between two seeds in one column: one count for each pair of runs and each direction."""

    name: str
    n_units: int
    n_flips: tuple[int, ...]

    @property
    def largest(self) -> int:
        """The most flips of a pair."""
        return max(self.n_flips, default=0)

    @property
    def words(self) -> str:
        """From the fewest to the most flips of a pair: ``4 to 7``."""
        fewest = min(self.n_flips, default=0)
        return f"{fewest} to {self.largest}" if fewest < self.largest else str(fewest)


@dataclass(frozen=True)
class SeedNoise:
    """One recipe trained again with other seeds, each compared with the run that stands for the recipe.

    ``largest_change``: metric -> the largest difference of a pair, over all test samples.
    """

    model: str
    run: str
    recipe: str  # digest of what shapes the run, without its seed
    versions: tuple[str, ...]
    seeds: tuple[int, ...]
    runs: tuple[str, ...]
    unit: str  # what flips are counted in
    cells: tuple[NoiseInCell, ...]
    largest_change: dict[str, float]

    def in_cell(self, name: str) -> NoiseInCell | None:
        """Return the noise in a column; old data of the recipe's own version is all of it."""
        wanted = CELL_ALL if name == CELL_OLD else name
        return next((cell for cell in self.cells if cell.name == wanted), None)

    def words(self, name: str) -> str:
        """Say how many units flip by the seed alone in a column, or on all test samples where that is not known; "" for none.

        >>> SeedNoise("m", "r", "", (), (1,), ("s",), "object", (NoiseInCell("all", 40, (1, 2)),), {}).words("all")
        '1 to 2 of 40 objects flip by the seed alone'
        """
        found = self.in_cell(name)
        where = "" if found is not None else " on all test samples"
        found = found or self.in_cell(CELL_ALL)
        if found is None or not found.n_units:
            return ""
        return f"{found.words} of {found.n_units} {self.unit}s flip by the seed alone{where}"
