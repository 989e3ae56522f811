"""Optimizer and learning-rate schedule."""

import math
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

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
