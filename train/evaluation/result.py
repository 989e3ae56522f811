"""A network's predictions for labelled images."""

from typing import Protocol

import torch
from torch import Tensor, nn

from model.metrics import Evaluation
from train.loader import Batches


class ValidationObserver(Protocol):
    """Called with each batch of an evaluation."""

    def validation_batch_start(self, network: nn.Module, inputs: Tensor, labels: Tensor) -> None: ...

    def validation_batch_end(self, logits: Tensor, labels: Tensor) -> None: ...


@torch.inference_mode()
def evaluate(
    network: nn.Module, batches: Batches, device: torch.device, observer: ValidationObserver | None = None
) -> Evaluation:
    """Run the network, in evaluation mode, over all of the batches' images, or features, in order."""
    network.eval()
    logits, labels = [], []
    for images, truth in batches.epoch(0):
        inputs = images.to(device, non_blocking=True)
        if observer is not None:
            observer.validation_batch_start(network, inputs, truth)
        output = network(inputs)
        if observer is not None:
            observer.validation_batch_end(output, truth)
        logits.append(output.double().cpu())
        labels.append(truth)
    return Evaluation(torch.cat(logits).numpy(), torch.cat(labels).numpy())
