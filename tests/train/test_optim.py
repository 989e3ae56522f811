"""Learning rates worked out by hand, and what is decayed."""

import math

import pytest
import torch
from torch import nn

from contract.hyperparameters import Hyperparameters
from train.optim import build_optimizer, build_schedule


def rates(steps: int, warmup_ratio: float = 0.1, shape: str = "cosine") -> list[float]:
    """The learning rate of every step and the one after the last, for lr = 1."""
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    schedule = build_schedule(optimizer, steps, warmup_ratio, shape)
    seen = [schedule.get_last_lr()[0]]
    for _ in range(steps):
        optimizer.step()
        schedule.step()
        seen.append(schedule.get_last_lr()[0])
    return [float(rate) for rate in seen]


def test_warm_up_then_cosine_to_zero() -> None:
    # 40 steps: 4 of warm-up, from 1/5; then a cosine over 36.
    seen = rates(40)
    assert seen[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert seen[4] == pytest.approx(1.0)
    assert seen[4 + 12] == pytest.approx(0.75)  # (1 + cos 60 degrees) / 2
    assert seen[4 + 18] == pytest.approx(0.5)
    assert seen[4 + 24] == pytest.approx(0.25)
    assert seen[40] == pytest.approx(0.0, abs=1e-12)
    assert len(seen) == 41


def test_a_constant_rate_after_the_warm_up() -> None:
    # A quarter of 12 steps: 3 of warm-up, from 1/4.
    assert rates(12, 0.25, "constant") == pytest.approx([0.25, 0.5, 0.75] + [1.0] * 10)


def test_without_warm_up_the_first_step_has_the_peak() -> None:
    root = math.sqrt(0.5)
    assert rates(4, 0.0) == pytest.approx([1.0, (1 + root) / 2, 0.5, (1 - root) / 2, 0.0], abs=1e-12)


def test_a_single_step() -> None:
    assert rates(1)[0] == pytest.approx(1.0)


def test_the_backbone_learns_at_its_share_of_the_rate() -> None:
    network = nn.ModuleDict({"backbone": nn.Linear(2, 3), "head": nn.Linear(3, 2)})
    optimizer = build_optimizer(network, Hyperparameters(lr=0.5, backbone_lr_ratio=0.2))
    assert [(group["lr"], [p.shape for p in group["params"]]) for group in optimizer.param_groups] == [
        (0.5, [(2, 3)]),
        (0.5, [(2,)]),
        (0.1, [(3, 2)]),
        (0.1, [(3,)]),
    ]
    # What starts at random has everything to learn.
    fresh = build_optimizer(network, Hyperparameters(lr=0.5, backbone_lr_ratio=0.2, pretrained="none"))
    assert [group["lr"] for group in fresh.param_groups] == [0.5] * 4


def test_biases_and_batchnorm_are_not_decayed() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    network[2].requires_grad_(False)
    optimizer = build_optimizer(network, Hyperparameters(weight_decay=0.3))
    decayed, plain = optimizer.param_groups
    assert ([p.shape for p in decayed["params"]], decayed["weight_decay"]) == ([(4, 3)], 0.3)
    assert ([p.shape for p in plain["params"]], plain["weight_decay"]) == ([(4,), (4,), (4,)], 0.0)


@pytest.mark.parametrize(
    ("name", "kind"), [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)]
)
def test_optimizers_by_name(name: str, kind: type) -> None:
    optimizer = build_optimizer(nn.Linear(2, 2), Hyperparameters(optimizer=name, lr=0.25))
    assert type(optimizer) is kind
    assert optimizer.param_groups[0]["lr"] == 0.25


def test_sgd_has_nesterov_momentum() -> None:
    weight = nn.Parameter(torch.tensor([[1.0]]))
    holder = nn.Linear(1, 1, bias=False)
    holder.weight = weight
    optimizer = build_optimizer(holder, Hyperparameters(optimizer="sgd", lr=0.1, weight_decay=0.0))
    # Gradient 1 twice. Step 1: v = 1, w -= 0.1 (1 + 0.9). Step 2: v = 1.9, w -= 0.1 (1 + 0.9 * 1.9).
    for _ in range(2):
        weight.grad = torch.ones_like(weight)
        optimizer.step()
    assert math.isclose(weight.item(), 1.0 - 0.19 - 0.271, abs_tol=1e-6)
