"""How good a network is on labelled images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from model.network import Classifier
from train.loader import Loader

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
    """probabilities: float (N, C), rows sum to 1. labels: int (N,), the truth. loss: mean cross entropy."""

    probabilities: FloatArray
    labels: IntArray
    loss: float

    @property
    def n(self) -> int:
        return len(self.labels)

    @property
    def predictions(self) -> IntArray:
        best: IntArray = self.probabilities.argmax(1)
        return best

    @property
    def accuracy(self) -> float:
        return float((self.predictions == self.labels).mean())

    def top_accuracy(self, k: int) -> float:
        """Share of images whose true class is among the k most probable; 1 when there are at most k classes.

        A true class counts by the number of classes strictly more probable, so ties are no errors.
        """
        own = self.probabilities[np.arange(self.n), self.labels]
        better = (self.probabilities > own[:, None]).sum(1)
        return float((better < k).mean())

    def macro_f1(self) -> float:
        """Mean of 2 TP / (2 TP + FP + FN) over the classes that occur or are predicted."""
        scores = []
        for label in range(self.probabilities.shape[1]):
            hit, true = self.predictions == label, self.labels == label
            denominator = int(hit.sum()) + int(true.sum())
            if denominator:
                scores.append(2.0 * int((hit & true).sum()) / denominator)
        return float(np.mean(scores))

    def summary(self) -> dict[str, float | int]:
        return {
            "n": self.n,
            "loss": self.loss,
            "accuracy": self.accuracy,
            "top5_accuracy": self.top_accuracy(5),
            "macro_f1": self.macro_f1(),
        }


@torch.inference_mode()
def evaluate(network: Classifier, loader: Loader, device: torch.device) -> Evaluation:
    """Run the network, in evaluation mode, over all of the loader's images in order."""
    network.eval()
    logits, labels = [], []
    for images, truth in loader.epoch(0):
        logits.append(network(images.to(device, non_blocking=True)).double().cpu())
        labels.append(truth)
    scores, truth = torch.cat(logits), torch.cat(labels)
    loss = float(cross_entropy(scores, truth))
    return Evaluation(scores.softmax(1).numpy(), truth.numpy(), loss)


def evaluation_report(
    evaluation: Evaluation, files: Sequence[str], classes: Sequence[str], labels: Sequence[str]
) -> dict[str, Any]:
    """The summary, and by file name the predicted label, its probability and the true label: JSON-ready."""
    rows = {}
    for row, file in enumerate(files):
        best = int(evaluation.predictions[row])
        truth = int(evaluation.labels[row])
        rows[file] = {
            "label": labels[best],
            "index": best,
            "probability": float(evaluation.probabilities[row, best]),
            "true_label": labels[truth],
            "correct": best == truth,
        }
    return {**evaluation.summary(), "classes": list(classes), "labels": list(labels), "predictions": rows}
