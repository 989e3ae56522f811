"""Optimizer, learning-rate schedule, and the moving average of a network's weights."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

import model._compiler  # noqa: F401 - before the first step
from contract.hyperparameters import Hyperparameters


def build_optimizer(network: nn.Module, hyperparameters: Hyperparameters) -> Optimizer:
    """Over the parameters that require gradients now; biases and BatchNorm are not decayed.

    A pretrained backbone has `backbone_lr_ratio` of the learning rate. The first group is the head's.
    """
    named = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    ratio = hyperparameters.backbone_lr_ratio if hyperparameters.pretrained != "none" else 1.0
    groups: list[dict[str, Any]] = []
    for backbone in (False, True):
        own = [p for name, p in named if name.startswith("backbone.") == backbone]
        lr = hyperparameters.lr * (ratio if backbone else 1.0)
        for decayed in (True, False):
            params = [p for p in own if (p.ndim > 1) == decayed]
            if params:
                decay = hyperparameters.weight_decay if decayed else 0.0
                groups.append({"params": params, "lr": lr, "weight_decay": decay})
    match hyperparameters.optimizer:
        case "adamw":
            return torch.optim.AdamW(groups, lr=hyperparameters.lr)
        case "adam":
            return torch.optim.Adam(groups, lr=hyperparameters.lr)
        case "sgd":
            return torch.optim.SGD(groups, lr=hyperparameters.lr, momentum=0.9, nesterov=True)
        case other:
            raise ValueError(f"no such optimizer: {other}")


def build_schedule(optimizer: Optimizer, total: int, warmup_ratio: float, shape: str) -> LambdaLR:
    """Stepped after every batch: linear warm-up over a share of all `total` steps, then by `shape` (cosine: to 0)."""
    warmup = round(total * warmup_ratio)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if shape == "constant":
            return 1.0
        return 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))

    return LambdaLR(optimizer, factor)


class WeightAverage(AveragedModel):
    """Exponential moving average of weights and BatchNorm statistics (Polyak and Juditsky 1992); `module` has them.

    `decay` is approached from below, min(decay, (1 + t) / (10 + t)) after t steps, so that a short training is not
    an average with its random beginning (as in TensorFlow's ExponentialMovingAverage and timm's ModelEma).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__(network, multi_avg_fn=self._average, use_buffers=True)
        self.decay, self.steps = decay, 0

    def update_parameters(self, model: nn.Module) -> None:
        """Take in the weights after an optimizer step."""
        super().update_parameters(model)
        self.steps += 1

    def resume(self, state: Mapping[str, Tensor], steps: int) -> None:
        """Continue an average of so many steps. state: its state dict."""
        self.load_state_dict(state)
        self.steps = steps

    def _average(self, averaged: Sequence[Tensor], current: Sequence[Tensor], _steps: Tensor | int) -> None:
        # Counted here: reading the library's own counter would wait for the GPU.
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for mean, new in zip(averaged, current, strict=True):
            if mean.is_floating_point():
                mean.lerp_(new, 1.0 - decay)
            else:
                mean.copy_(new)
