"""The moving average of the weights, worked out by hand."""

import pytest
import torch
from torch import nn

from train.optim import WeightAverage


def network(value: float) -> nn.Module:
    holder = nn.BatchNorm1d(1)
    assert holder.running_mean is not None
    assert holder.num_batches_tracked is not None
    with torch.no_grad():
        holder.weight.fill_(value)
        holder.running_mean.fill_(10 * value)
        holder.num_batches_tracked.fill_(int(value))
    return holder


def averaged(decay: float, values: list[float]) -> dict[str, float]:
    average = WeightAverage(network(-5.0), decay)
    for value in values:
        average.update_parameters(network(value))
    return {name: float(tensor) for name, tensor in average.module.state_dict().items()}


def test_the_decay_is_approached_from_below() -> None:
    # The first value is taken whole. Then decay 2/11: 2/11 * 1 + 9/11 * 12 = 10. Then 3/12: 1/4 * 10 + 3/4 * 2 = 4.
    state = averaged(0.9, [1.0, 12.0, 2.0])
    assert state["weight"] == pytest.approx(4.0)
    assert state["running_mean"] == pytest.approx(40.0)
    assert state["num_batches_tracked"] == 2


def test_the_decay_is_never_above_the_chosen_one() -> None:
    # 0.1 is below 2/11 and 3/12: 0.1 * 1 + 0.9 * 11 = 10; 0.1 * 10 + 0.9 * 0 = 1.
    assert averaged(0.1, [1.0, 11.0, 0.0])["weight"] == pytest.approx(1.0)
