"""The loss, worked out by hand."""

import math

import pytest
import torch

from contract.hyperparameters import Hyperparameters
from train.loss import TrainingLoss, class_weights

CPU = torch.device("cpu")
# Probabilities 1/4 and 3/4, and 1/2 and 1/2.
LOGITS = torch.tensor([[0.0, math.log(3.0)], [0.0, 0.0]])


def loss(sizes: tuple[int, int] = (1, 1), labels: tuple[int, int] = (1, 0), **changes: object) -> float:
    chosen = Hyperparameters.parse({"label_smoothing": 0.0, **changes})
    return float(TrainingLoss(chosen, sizes, CPU)(LOGITS, torch.tensor(labels)))


def test_cross_entropy() -> None:
    assert loss() == pytest.approx((math.log(4 / 3) + math.log(2)) / 2)


def test_label_smoothing() -> None:
    # A fifth of the target is spread over both classes: 0.9 for the own, 0.1 for the other.
    first = 0.9 * math.log(4 / 3) + 0.1 * math.log(4)
    assert loss(label_smoothing=0.2) == pytest.approx((first + math.log(2)) / 2)


def test_class_weights_are_the_inverse_sizes() -> None:
    # 8 images: 6 and 2; 8 / (2 * 6) and 8 / (2 * 2). Their mean over the images: (6 * 2/3 + 2 * 2) / 8 = 1.
    assert class_weights([6, 2]).tolist() == pytest.approx([2 / 3, 2.0])


def test_a_weighted_loss_is_the_weighted_mean() -> None:
    expected = (2.0 * math.log(4 / 3) + 2 / 3 * math.log(2)) / (2.0 + 2 / 3)
    assert loss((6, 2), class_balance="weights") == pytest.approx(expected)


def mixed(step: int, **changes: object) -> tuple[torch.Tensor, torch.Tensor]:
    """Four images of one grey each (0, 50, 100, 150) and classes 0 to 3."""
    images = torch.arange(4, dtype=torch.uint8).mul(50).view(4, 1, 1, 1).repeat(1, 8, 8, 3)
    loss = TrainingLoss(Hyperparameters.parse(changes), [1] * 4, CPU)
    return loss.mix(images, torch.arange(4), step)


def test_nothing_is_mixed_by_default() -> None:
    images, targets = mixed(0)
    assert images.dtype == torch.uint8
    assert targets.tolist() == [0, 1, 2, 3]


def test_mixup_blends_pixels_and_targets_alike() -> None:
    images, targets = mixed(1, mixup=1.0)
    assert images.shape == (4, 8, 8, 3)
    assert targets.sum(1) == pytest.approx(torch.ones(4))
    # Each image is the mean of its grey and its neighbour's, weighted as the target says.
    greys = targets @ torch.tensor([0.0, 50.0, 100.0, 150.0])
    assert images.amin((1, 2, 3)) == pytest.approx(greys, abs=1e-3)
    assert images.amax((1, 2, 3)) == pytest.approx(greys, abs=1e-3)
    assert 0.0 < float(targets[1, 1]) < 1.0


def test_cutmix_pastes_a_box_and_weighs_by_its_area() -> None:
    for step in range(5):
        images, targets = mixed(step, cutmix=1.0)
        own = (images == torch.arange(0.0, 200.0, 50.0).view(4, 1, 1, 1)).float().mean((1, 2, 3))
        assert torch.diagonal(targets) == pytest.approx(own, abs=1e-6)


def test_mixing_draws_from_seed_and_step_alone() -> None:
    state = torch.get_rng_state()
    first = [mixed(step, mixup=1.0, cutmix=1.0)[1] for step in range(6)]
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(5)
    assert all(torch.equal(a, mixed(step, mixup=1.0, cutmix=1.0)[1]) for step, a in enumerate(first))
    assert len({tuple(each.flatten().tolist()) for each in first}) == 6
    assert not torch.equal(first[0], mixed(0, mixup=1.0, cutmix=1.0, seed=1)[1])


def test_an_image_alone_is_not_mixed() -> None:
    loss = TrainingLoss(Hyperparameters(mixup=1.0), [1, 1], CPU)
    images, targets = loss.mix(torch.zeros(1, 2, 2, 3, dtype=torch.uint8), torch.tensor([1]), 0)
    assert (images.dtype, targets.tolist()) == (torch.uint8, [1])
