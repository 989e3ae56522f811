"""The moving average of a network's weights."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class WeightAverage:
    """Exponential moving average of weights and BatchNorm statistics (Polyak and Juditsky 1992).

    `decay` is approached from below, min(decay, (1 + t) / (10 + t)) after t steps, so that a short training is not
    an average with its random beginning (as in TensorFlow's ExponentialMovingAverage and timm's ModelEma).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._decay = decay
        self._steps = 0
        self._averaged = AveragedModel(network, multi_avg_fn=self._average, use_buffers=True)

    @property
    def network(self) -> nn.Module:
        """The network with the averaged weights."""
        network: nn.Module = self._averaged.module
        return network

    @property
    def steps(self) -> int:
        """How often it was updated."""
        return self._steps

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` takes, with `steps`; the network's own names begin with `module.`."""
        state: dict[str, Any] = self._averaged.state_dict()
        return state

    def load_state_dict(self, state: Mapping[str, Tensor], steps: int) -> None:
        """Go on with an average of so many steps."""
        self._averaged.load_state_dict(state)
        self._steps = steps

    def update(self, network: nn.Module) -> None:
        """Take in the weights after an optimizer step."""
        self._averaged.update_parameters(network)
        self._steps += 1

    def _average(self, averaged: Sequence[Tensor], current: Sequence[Tensor], _steps: Tensor | int) -> None:
        # Counted here: reading the library's own counter would make a GPU's queue wait.
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        for mean, new in zip(averaged, current, strict=True):
            if mean.is_floating_point():
                mean.lerp_(new, 1.0 - decay)
            else:
                mean.copy_(new)
