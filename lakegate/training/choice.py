"""Which epoch's weights are kept, and when a training stops early: both follow from the history alone."""

from collections.abc import Mapping, Sequence

SCORE = "val_loss"
History = Sequence[Mapping[str, float]]


def best_epoch(history: History) -> int:
    """Return the epoch, from 1, with the lowest validation loss, the first of equals; the last where none was measured.

    >>> best_epoch([{"val_loss": 2.0}, {"val_loss": 1.0}, {"val_loss": 1.0}])
    2
    """
    scores = [row[SCORE] for row in history if SCORE in row]
    return scores.index(min(scores)) + 1 if scores else len(history)


def is_stopped(history: History, patience: int) -> bool:
    """True where the validation loss did not fall below its lowest for ``patience`` epochs; 0 never stops."""
    return 0 < patience <= len(history) - best_epoch(history)


def choice_words(history: History, n_epochs: int, patience: int, validated_on: str) -> str:
    """Say which epoch's weights were kept and why.

    Args:
        n_epochs: that were declared.
        validated_on: such as "12 samples of split val"; empty where nothing was validated.
    """
    chosen, n_run = best_epoch(history), len(history)
    if not validated_on:
        return f"the last of {n_run} epochs; no validation loss was measured"
    words = f"epoch {chosen} of {n_run}, the lowest loss on {validated_on} ({history[chosen - 1][SCORE]:.4g})"
    if n_run < n_epochs and is_stopped(history, patience):
        words += f"; stopped before epoch {n_epochs}: it did not fall for {patience} epochs"
    return words
