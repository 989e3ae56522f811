"""A network's answers to labelled images."""

from typing import Protocol

import torch
from torch import Tensor, nn

from model.metrics import Evaluation
from train.loader import Batches


class Watcher(Protocol):
    """Who looks at each batch of an evaluation."""

    def validation_batch_start(self, network: nn.Module, inputs: Tensor, labels: Tensor) -> None: ...

    def validation_batch_end(self, logits: Tensor, labels: Tensor) -> None: ...


@torch.inference_mode()
def evaluate(network: nn.Module, batches: Batches, device: torch.device, watcher: Watcher | None = None) -> Evaluation:
    """Run the network, in evaluation mode, over all of the batches' images, or features, in order."""
    network.eval()
    logits, labels = [], []
    for images, truth in batches.epoch(0):
        inputs = images.to(device, non_blocking=True)
        if watcher is not None:
            watcher.validation_batch_start(network, inputs, truth)
        answer = network(inputs)
        if watcher is not None:
            watcher.validation_batch_end(answer, truth)
        logits.append(answer.double().cpu())
        labels.append(truth)
    return Evaluation(torch.cat(logits).numpy(), torch.cat(labels).numpy())
