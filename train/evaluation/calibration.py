"""Temperature scaling: the logits are divided by one number, so that probabilities match observed accuracies."""

import math
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from model.metrics import BINS, Evaluation, FloatArray, IntArray, brier_score, calibration_error, reliability

# Whatever the data say, the temperature stays between these.
LOWEST: Final = 0.05
HIGHEST: Final = 20.0
# Halvings of ln(HIGHEST / LOWEST): the last one is below 1e-15.
_HALVINGS: Final = 53


def fit_temperature(logits: FloatArray, labels: IntArray) -> float:
    """The temperature T that minimises the mean cross entropy of softmax(logits / T), from LOWEST to HIGHEST.

    logits: float (N, C), unscaled. labels: int (N,).

    The weight of one image is added, spread evenly over all images and classes. Without it, data that are all
    classified correctly would drive T to 0 and each probability to 1; with it, the mean confidence stays near
    (N + 1/C) / (N + 1). With two classes it is the half that Haldane (1956) and Anscombe (1956) add to both counts
    of a log odds.

    The cross entropy is convex in 1 / T (a log-sum-exp of linear terms, less a linear term), so its derivative has
    one sign change at most, which bisection finds. T is 1 where all logits of each row are equal.
    """
    centred = logits - logits.max(1, keepdims=True)
    own = centred[np.arange(len(labels)), labels]
    if not np.any(centred):
        return 1.0

    def slope(inverse: float) -> float:
        """N + 1 times the derivative of the mean cross entropy by 1 / T."""
        weights = np.exp(inverse * centred)
        expected = (weights * centred).sum(1) / weights.sum(1)
        return float((expected - own).sum() + (expected - centred.mean(1)).mean())

    low, high = math.log(1 / HIGHEST), math.log(1 / LOWEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if slope(math.exp(middle)) < 0:
            low = middle
        else:
            high = middle
    return min(HIGHEST, max(LOWEST, math.exp(-(low + high) / 2)))


@dataclass(frozen=True)
class Calibration:
    """A fitted temperature, and what it did to the data it was fitted on."""

    temperature: float
    n: int
    ece_before: float
    ece_after: float

    @classmethod
    def fit(cls, evaluation: Evaluation) -> "Calibration":
        """Fit on an evaluation of validation data, whose own temperature is ignored."""
        plain = replace(evaluation, temperature=1.0)
        temperature = fit_temperature(evaluation.logits, evaluation.labels)
        scaled = replace(evaluation, temperature=temperature)
        before, after = expected_calibration_error(plain), expected_calibration_error(scaled)
        return cls(temperature, evaluation.n, before, after)

    def to_dict(self) -> dict[str, Any]:
        """As the artifact's manifest holds it."""
        return {
            "temperature": self.temperature,
            "fitted_on": "validation",
            "n": self.n,
            "ece_before": self.ece_before,
            "ece_after": self.ece_after,
        }


def expected_calibration_error(evaluation: Evaluation) -> float:
    """Of the evaluation's probabilities, with 15 bins."""
    return calibration_error(reliability(evaluation.confidences, evaluation.hits))


def calibration_report(evaluation: Evaluation) -> dict[str, Any]:
    """How far the probabilities can be trusted, before and after the evaluation's temperature: JSON-ready."""
    plain = replace(evaluation, temperature=1.0)
    return {
        "temperature": evaluation.temperature,
        "bins": BINS,
        "before": _trust(plain),
        "after": _trust(evaluation),
    }


def _trust(evaluation: Evaluation) -> dict[str, Any]:
    bins = reliability(evaluation.confidences, evaluation.hits)
    return {
        "ece": calibration_error(bins),
        "negative_log_likelihood": evaluation.loss,
        "brier_score": brier_score(evaluation.probabilities, evaluation.labels),
        "mean_confidence": float(evaluation.confidences.mean()),
        "reliability": [vars(row) for row in bins],
    }
