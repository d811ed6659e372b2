import pytest
import torch

from lakegate.training.losses import focal_loss, giou_loss

ONE = torch.tensor(1.0)


def test_a_sure_and_right_answer_costs_nothing_and_a_sure_and_wrong_one_much():
    classes = torch.tensor([[[[1.0, 0.0]]]])
    right, wrong = torch.tensor([[[[20.0, -20.0]]]]), torch.tensor([[[[-20.0, 20.0]]]])
    assert focal_loss(right, classes, ONE).item() == pytest.approx(0, abs=1e-6)
    assert focal_loss(wrong, classes, ONE).item() == pytest.approx(20, rel=0.01)


def test_an_easy_background_location_weighs_far_less_than_a_missed_object():
    easy = focal_loss(torch.tensor([[[[-3.0]]]]), torch.zeros(1, 1, 1, 1), ONE)
    missed = focal_loss(torch.tensor([[[[-3.0]]]]), torch.ones(1, 1, 1, 1), ONE)
    assert missed.item() > 300 * easy.item()


def test_equal_boxes_cost_nothing_and_the_background_does_not_count():
    distances = torch.full((1, 4, 1, 2), 10.0)
    targets = distances.clone()
    targets[..., 1] = 1.0
    assert giou_loss(distances, targets, torch.tensor([[[1.0, 0.0]]]), ONE).item() == pytest.approx(0)


def test_a_box_of_half_the_width_has_half_the_iou():
    targets = torch.tensor([10.0, 10.0, 10.0, 10.0]).view(1, 4, 1, 1)
    found = torch.tensor([0.0, 10.0, 10.0, 10.0]).view(1, 4, 1, 1)
    assert giou_loss(found, targets, torch.ones(1, 1, 1), ONE).item() == pytest.approx(0.5)
