"""Accuracy, top-5, macro F1 and loss, worked out by hand."""

import math
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from model.metrics import Evaluation
from model.network import Classifier
from tests.train.evaluations import evaluation, of_predictions
from train.evaluation.result import evaluate
from train.loader import Loader


def test_accuracy() -> None:
    result = of_predictions([0, 1, 2, 2], [0, 1, 2, 0], 3)
    assert result.n == 4
    assert result.accuracy == 0.75


def test_macro_f1_of_a_confusion_matrix() -> None:
    # Truth A, A, A, B, B, C; predicted A, A, B, B, C, C.
    # A: TP 2, FN 1, FP 0 -> 4/5. B: TP 1, FN 1, FP 1 -> 2/4. C: TP 1, FN 0, FP 1 -> 2/3.
    result = of_predictions([0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 2], 3)
    assert result.macro_f1() == pytest.approx((4 / 5 + 1 / 2 + 2 / 3) / 3)


def test_macro_f1_leaves_out_a_class_that_never_occurs() -> None:
    # Class 2 neither occurs nor is predicted; class 3 is predicted once and never occurs: 0.
    result = of_predictions([0, 1, 3], [0, 1, 1], 4)
    assert result.macro_f1() == pytest.approx((1 + 2 / 3 + 0) / 3)


def test_top_5_counts_strictly_more_probable_classes() -> None:
    falling = [0.3, 0.2, 0.15, 0.13, 0.12, 0.1]
    assert evaluation([falling], [4]).top_accuracy(5) == 1.0
    assert evaluation([falling], [5]).top_accuracy(5) == 0.0
    # Six equal classes: none is strictly better, so nobody is wronged.
    assert evaluation([[1 / 6] * 6] * 2, [0, 5]).top_accuracy(5) == 1.0
    # Five tie at the top, the truth is below them.
    assert evaluation([[0.19] * 5 + [0.05]], [5]).top_accuracy(5) == 0.0
    assert evaluation([falling, falling], [1, 2]).top_accuracy(2) == 0.5


def test_top_5_of_four_classes_is_1() -> None:
    assert evaluation([[0.7, 0.1, 0.1, 0.1]], [3]).top_accuracy(5) == 1.0


class Fixed(nn.Module):
    """Gives the logits log 1, log 3 for a dark image and log 3, log 1 for a light one."""

    def forward(self, images: Tensor) -> Tensor:
        light = images.float().mean((1, 2, 3)) > 127
        low, high = torch.tensor(math.log(1.0)), torch.tensor(math.log(3.0))
        return torch.stack([torch.where(light, high, low), torch.where(light, low, high)], 1)


class Batches:
    """Three images, dark, light, light, of classes 1, 0, 1, in batches of two and one."""

    def epoch(self, number: int) -> list[tuple[Tensor, Tensor]]:
        assert number == 0
        dark, light = torch.zeros(1, 2, 2, 3), torch.full((1, 2, 2, 3), 255.0)
        return [(torch.cat([dark, light]), torch.tensor([1, 0])), (light, torch.tensor([1]))]


def test_evaluate_averages_over_images_not_batches() -> None:
    network = Fixed()
    network.train()
    result = evaluate(cast("Classifier", network), cast("Loader", Batches()), torch.device("cpu"))
    assert not network.training
    # Probabilities of the truth: 3/4, 3/4, 1/4.
    assert result.loss == pytest.approx((2 * math.log(4 / 3) + math.log(4)) / 3)
    assert result.accuracy == pytest.approx(2 / 3)
    assert result.probabilities.dtype == np.float64
    assert result.probabilities == pytest.approx(np.array([[0.25, 0.75], [0.75, 0.25], [0.75, 0.25]]))


def test_a_temperature_flattens_probabilities_and_changes_no_answer() -> None:
    # Logits ln 1, ln 4, ln 9 at T = 2 are ln 1, ln 2, ln 3: 1/6, 2/6, 3/6.
    logits = np.log([[1.0, 4.0, 9.0]])
    result = Evaluation(logits, np.array([1]), temperature=2.0)
    assert result.probabilities == pytest.approx(np.array([[1 / 6, 2 / 6, 3 / 6]]))
    assert result.confidences == pytest.approx([0.5])
    assert result.loss == pytest.approx(math.log(3))
    assert result.predictions.tolist() == Evaluation(logits, np.array([1])).predictions.tolist() == [2]
