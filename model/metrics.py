"""What a network answered on labelled images, and figures made from that; each says where its formula comes from."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


# The normal distribution's two-sided 95 % quantile.
Z_95: Final = 1.959963984540054
BINS: Final = 15


def softmax(logits: NDArray[np.floating[Any]], temperature: float) -> FloatArray:
    """Float64 (N, C) whose rows sum to 1: the softmax of logits (N, C) / temperature."""
    scaled = logits.astype(np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max(1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(1, keepdims=True))


@dataclass(frozen=True)
class Evaluation:
    """logits: float (N, C). labels: int (N,), the truth. temperature: what the logits are divided by."""

    logits: FloatArray
    labels: IntArray
    temperature: float = 1.0

    @cached_property
    def probabilities(self) -> FloatArray:
        """Float64 (N, C), rows sum to 1: the softmax of logits / temperature."""
        return softmax(self.logits, self.temperature)

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
        return np.asarray(self.logits.argmax(1))

    @cached_property
    def confidences(self) -> FloatArray:
        """Float (N,): the probability of each image's prediction."""
        return np.asarray(self.probabilities.max(1))

    @cached_property
    def hits(self) -> BoolArray:
        """Bool (N,): whether each prediction is right."""
        return np.asarray(self.predictions == self.labels)

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

    @cached_property
    def classes(self) -> "list[ClassFigures]":
        """The figures of each class."""
        return class_figures(confusion_matrix(self.labels, self.predictions, self.logits.shape[1]))

    def macro_f1(self) -> float:
        """Mean of 2 TP / (2 TP + FP + FN) over the classes that occur or are predicted."""
        return macro(self.classes).f1


def confusion_matrix(labels: IntArray, predictions: IntArray, classes: int) -> IntArray:
    """Int (classes, classes): images by truth (row) and prediction (column)."""
    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (labels, predictions), 1)
    return matrix


@dataclass(frozen=True)
class ClassFigures:
    """One class: its images, how often it was predicted, and what is right of both.

    precision: TP / predicted, None when it was never predicted. recall: TP / n, None without images.
    f1: 2 TP / (n + predicted), None when it neither occurs nor was predicted.
    """

    n: int
    predicted: int
    hits: int

    @property
    def precision(self) -> float | None:
        return self.hits / self.predicted if self.predicted else None

    @property
    def recall(self) -> float | None:
        return self.hits / self.n if self.n else None

    @property
    def f1(self) -> float | None:
        return 2 * self.hits / (self.n + self.predicted) if self.n + self.predicted else None


def class_figures(matrix: IntArray) -> list[ClassFigures]:
    """The figures of each class of a confusion matrix."""
    return [ClassFigures(int(matrix[k].sum()), int(matrix[:, k].sum()), int(matrix[k, k])) for k in range(len(matrix))]


@dataclass(frozen=True)
class Macro:
    """Means over the classes that occur or are predicted; a share of nothing (0 / 0) counts as 0 there."""

    precision: float
    recall: float
    f1: float


def macro(figures: list[ClassFigures]) -> Macro:
    """Precision, recall and F1, each the plain mean over the classes that occur or are predicted."""
    known = [(each.precision or 0.0, each.recall or 0.0, each.f1 or 0.0) for each in figures if each.n + each.predicted]
    return Macro(*(sum(shares) / len(known) for shares in zip(*known, strict=True)))


def wilson_interval(hits: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """The score interval of a share hits / n (Wilson 1927, J. Am. Stat. Assoc. 22, 209-212); n at least 1."""
    share, square = hits / n, z * z
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = z / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True)
class Bin:
    """The images whose confidence lies in (low, high]: their number, mean confidence and accuracy (None without)."""

    low: float
    high: float
    n: int
    confidence: float | None
    accuracy: float | None


def reliability(confidences: FloatArray, hits: BoolArray, bins: int = BINS) -> list[Bin]:
    """The bins of a reliability diagram, of equal width over (0, 1].

    confidences: float (N,), the probabilities of the predictions. hits: bool (N,), whether those are right.
    """
    edges = np.linspace(0, 1, bins + 1)
    numbers = np.searchsorted(edges[1:-1], confidences, side="left")
    diagram = []
    for number in range(bins):
        inside = numbers == number
        means = [float(values[inside].mean()) if inside.any() else None for values in (confidences, hits)]
        diagram.append(Bin(float(edges[number]), float(edges[number + 1]), int(inside.sum()), *means))
    return diagram


def calibration_error(bins: list[Bin]) -> float:
    """Expected calibration error: the mean over the images of |accuracy - confidence| of their bin.

    Naeini et al. 2015; with 15 bins, as here, Guo et al. 2017, "On Calibration of Modern Neural Networks", eq. 3.
    """
    total = sum(one.n for one in bins)
    filled = ((one.n, one.accuracy, one.confidence) for one in bins)
    gaps = (n * abs(hit - sure) for n, hit, sure in filled if hit is not None and sure is not None)
    return sum(gaps) / total


def brier_score(probabilities: FloatArray, labels: IntArray) -> float:
    """Mean over the images of the squared distance to the truth, summed over the classes: 0 is best, 2 worst.

    Brier 1950, Mon. Weather Rev. 78, 1-3, eq. 2. probabilities: float (N, C). labels: int (N,).
    """
    own = probabilities[np.arange(len(labels)), labels]
    return float(((probabilities**2).sum(1) - own**2 + (1 - own) ** 2).mean())
