"""A network's predictions for labelled images."""

import torch
from torch import nn

from model.metrics import Evaluation
from monitor.callbacks import Callbacks
from train.loader import Batches


@torch.inference_mode()
def evaluate(
    network: nn.Module, batches: Batches, device: torch.device, callbacks: Callbacks | None = None
) -> Evaluation:
    """Run the network, in evaluation mode, over all of the batches' images, or features, in order."""
    callbacks = callbacks or Callbacks([])
    network.eval()
    logits, labels = [], []
    for images, truth in batches.epoch(0):
        inputs = images.to(device, non_blocking=True)
        callbacks.validation_batch_start(network, inputs, truth)
        output = network(inputs)
        callbacks.validation_batch_end(output, truth)
        logits.append(output.double().cpu())
        labels.append(truth)
    return Evaluation(torch.cat(logits).numpy(), torch.cat(labels).numpy())
