"""Optimizer and learning-rate schedule."""

import math

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from train.config import Hyperparameters


def build_optimizer(network: nn.Module, hyperparameters: Hyperparameters) -> Optimizer:
    """Over the parameters that require gradients; biases and BatchNorm are not decayed."""
    trained = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": hyperparameters.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    match hyperparameters.optimizer:
        case "adamw":
            return torch.optim.AdamW(groups, lr=hyperparameters.lr)
        case "adam":
            return torch.optim.Adam(groups, lr=hyperparameters.lr)
        case "sgd":
            return torch.optim.SGD(groups, lr=hyperparameters.lr, momentum=0.9, nesterov=True)
        case other:
            raise ValueError(f"no such optimizer: {other}")


def build_schedule(optimizer: Optimizer, steps_per_epoch: int, epochs: int) -> LambdaLR:
    """Stepped after every batch: linear warm-up (an epoch or a tenth of all steps), then cosine to 0."""
    total = steps_per_epoch * epochs
    warmup = max(1, min(steps_per_epoch, total // 10))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))

    return LambdaLR(optimizer, factor)
