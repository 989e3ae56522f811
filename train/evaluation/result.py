"""What a network answered on labelled images, and the figures every epoch needs."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from model.metrics import BoolArray, FloatArray, IntArray
from train.batches import Batches


@dataclass(frozen=True)
class Evaluation:
    """logits: float (N, C). labels: int (N,), the truth. temperature: what the logits are divided by."""

    logits: FloatArray
    labels: IntArray
    temperature: float = 1.0

    @cached_property
    def probabilities(self) -> FloatArray:
        """Float (N, C), rows sum to 1: the softmax of logits / temperature, in float64."""
        scaled = self.logits / self.temperature
        raised = np.exp(scaled - scaled.max(1, keepdims=True))
        return np.asarray(raised / raised.sum(1, keepdims=True))

    @cached_property
    def loss(self) -> float:
        """Mean cross entropy per image, in nats."""
        scaled = self.logits / self.temperature
        top = scaled.max(1)
        total = top + np.log(np.exp(scaled - top[:, None]).sum(1))
        return float((total - scaled[np.arange(self.n), self.labels]).mean())

    @property
    def n(self) -> int:
        return len(self.labels)

    @cached_property
    def predictions(self) -> IntArray:
        best: IntArray = self.logits.argmax(1)
        return best

    @cached_property
    def confidences(self) -> FloatArray:
        """Float (N,): the probability of each image's prediction."""
        best: FloatArray = self.probabilities.max(1)
        return best

    @cached_property
    def hits(self) -> BoolArray:
        """Bool (N,): whether each prediction is right."""
        right: BoolArray = self.predictions == self.labels
        return right

    @property
    def accuracy(self) -> float:
        return float(self.hits.mean())

    def top_accuracy(self, k: int) -> float:
        """Share of images whose true class is among the k most probable; 1 when there are at most k classes.

        A true class counts by the number of classes strictly more probable, so ties are no errors.
        """
        own = self.logits[np.arange(self.n), self.labels]
        better = (self.logits > own[:, None]).sum(1)
        return float((better < k).mean())

    def class_accuracy(self) -> list[float | None]:
        """For each class the share of its images that got its label (recall); None where there is no image."""
        found = [self.hits[self.labels == label] for label in range(self.logits.shape[1])]
        return [float(each.mean()) if len(each) else None for each in found]

    def macro_f1(self) -> float:
        """Mean of 2 TP / (2 TP + FP + FN) over the classes that occur or are predicted."""
        scores = []
        for label in range(self.probabilities.shape[1]):
            hit, true = self.predictions == label, self.labels == label
            denominator = int(hit.sum()) + int(true.sum())
            if denominator:
                scores.append(2.0 * int((hit & true).sum()) / denominator)
        return float(np.mean(scores))


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
