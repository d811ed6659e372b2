import pytest

from lakegate.training.choice import best_epoch, choice_words, is_stopped


def history(*scores):
    return [{"loss": 1.0, "val_loss": score} for score in scores]


def test_the_lowest_validation_loss_is_the_best_and_of_equals_the_first():
    assert best_epoch(history(3.0, 1.0, 2.0, 1.0)) == 2


def test_without_a_validation_loss_the_last_epoch_is_kept():
    assert best_epoch([{"loss": 1.0}, {"loss": 2.0}]) == 2
    assert not is_stopped([{"loss": 1.0}] * 9, patience=1)
    assert choice_words([{"loss": 1.0}] * 9, 9, 0, "") == "the last of 9 epochs; no validation loss was measured"


@pytest.mark.parametrize(
    ("scores", "patience", "stops"),
    [
        ((3.0, 1.0, 2.0), 2, False),
        ((3.0, 1.0, 2.0, 1.0), 2, True),
        ((3.0, 2.0, 1.0), 1, False),
        ((1.0, 2.0, 3.0, 4.0), 0, False),
        ((), 1, False),
    ],
)
def test_a_training_stops_after_so_many_epochs_without_a_lower_loss(scores, patience, stops):
    assert is_stopped(history(*scores), patience) == stops


def test_the_words_name_epoch_score_data_and_why_it_ended():
    words = choice_words(history(3.0, 1.0, 2.0, 2.0), 20, 2, "12 samples of split val")
    assert words == (
        "epoch 2 of 4, the lowest loss on 12 samples of split val (1); "
        "stopped before epoch 20: it did not fall for 2 epochs"
    )
    assert "stopped" not in choice_words(history(3.0, 1.0, 2.0, 2.0), 4, 2, "12 samples of split val")
