"""What training minimises: cross entropy with label smoothing, class weights and mixed images."""

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from contract.hyperparameters import Hyperparameters
from model._torchvision import torchvision


class TrainingLoss:
    """The loss of a batch, and its mixed images. Mixing draws from (seed, step) alone."""

    def __init__(self, hyperparameters: Hyperparameters, class_sizes: Sequence[int], device: torch.device) -> None:
        """class_sizes: training images of each class."""
        self.smoothing = hyperparameters.label_smoothing
        self.seed = hyperparameters.seed
        self.weight: Tensor | None = None
        if hyperparameters.class_balance == "weights":
            self.weight = class_weights(class_sizes).to(device)
        self._mixers: list[Any] = []
        for name, alpha in (("MixUp", hyperparameters.mixup), ("CutMix", hyperparameters.cutmix)):
            if alpha:
                v2 = importlib.import_module(f"{torchvision.__name__}.transforms.v2")
                self._mixers.append(getattr(v2, name)(alpha=alpha, num_classes=len(class_sizes)))

    def mix(self, images: Tensor, labels: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Mixed images, float (N, H, W, 3), and targets (N, classes); both unchanged when nothing is mixed."""
        if not self._mixers or len(labels) < 2:
            return images, labels
        rng = np.random.default_rng((self.seed, step))
        mixer = self._mixers[rng.integers(len(self._mixers))]
        # torchvision draws from torch's global generator, which is seeded here and restored afterwards.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(rng.integers(2**62)))
            mixed, targets = mixer(images.permute(0, 3, 1, 2).float(), labels)
        return mixed.permute(0, 2, 3, 1), targets

    def divisor(self, targets: Tensor) -> Tensor:
        """What the batch's mean is divided by, (): the number of images, or the sum of their classes' weights."""
        if self.weight is not None and not targets.is_floating_point():
            return self.weight[targets].sum()
        return torch.tensor(float(len(targets)), device=targets.device)

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The batch's mean. targets: class indices (N,) or probabilities (N, classes)."""
        return cross_entropy(logits, targets, weight=self.weight, label_smoothing=self.smoothing)


def class_weights(sizes: Sequence[int]) -> Tensor:
    """Float (classes,): images / (classes * images of the class), as scikit-learn's `balanced`; their mean over all
    images is 1.
    """
    counts = torch.tensor(sizes, dtype=torch.float64)
    return (counts.sum() / (len(counts) * counts)).float()
