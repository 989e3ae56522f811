"""Every figure worked out by hand, and a second opinion from scikit-learn on random data."""

import numpy as np
import pytest

from model.metrics import (
    brier_score,
    calibration_error,
    class_figures,
    confusion_matrix,
    macro,
    reliability,
    wilson_interval,
)
from tests.train.evaluations import evaluation, of_predictions, random_evaluation


def test_the_confusion_matrix_has_the_truth_in_rows() -> None:
    result = of_predictions([0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 2], 4)
    matrix = confusion_matrix(result.labels, result.predictions, 4)
    assert matrix.tolist() == [[2, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]


def test_precision_recall_and_f1_of_each_class() -> None:
    # Class 0: 2 of 2 predictions and 2 of 3 images are right. Class 3 neither occurs nor is predicted; class 4 is
    # predicted once and never occurs; class 5 occurs once and is never predicted.
    matrix = np.zeros((6, 6), dtype=np.int64)
    matrix[0, 0], matrix[0, 1], matrix[1, 1], matrix[1, 4], matrix[5, 1] = 2, 1, 3, 1, 1
    figures = class_figures(matrix)
    assert [(each.n, each.predicted, each.hits) for each in figures] == [
        (3, 2, 2), (4, 5, 3), (0, 0, 0), (0, 0, 0), (0, 1, 0), (1, 0, 0),
    ]  # fmt: skip
    assert [each.precision for each in figures] == [1, 3 / 5, None, None, 0, None]
    assert [each.recall for each in figures] == [2 / 3, 3 / 4, None, None, None, 0]
    assert [each.f1 for each in figures] == [4 / 5, 6 / 9, None, None, 0, 0]
    means = macro(figures)
    # Four classes occur or are predicted.
    assert means.precision == pytest.approx((1 + 3 / 5 + 0 + 0) / 4)
    assert means.recall == pytest.approx((2 / 3 + 3 / 4 + 0 + 0) / 4)
    assert means.f1 == pytest.approx((4 / 5 + 2 / 3) / 4)


def test_wilson_interval() -> None:
    # 8 of 10, z^2 = 3.841459: centre (0.8 + 0.192073) / 1.384146 = 0.716740; half of it
    # 1.959964 / 1.384146 * sqrt(0.016 + 0.009604) = 0.226577.
    assert wilson_interval(8, 10) == pytest.approx((0.490162, 0.943318), abs=2e-6)
    # None of n: from 0 to z^2 / (n + z^2).
    low, high = wilson_interval(0, 10)
    assert (low, high) == pytest.approx((0, 3.841459 / 13.841459), abs=1e-7)
    assert wilson_interval(10, 10) == pytest.approx((1 - high, 1))
    assert wilson_interval(1, 1)[1] == 1


def test_bins_are_closed_on_the_right() -> None:
    first, second = reliability(np.array([0.5, 0.5000001, 1.0]), np.array([True, False, True]), bins=2)
    assert (first.low, first.high, first.n, first.confidence, first.accuracy) == (0, 0.5, 1, 0.5, 1)
    assert (second.low, second.high, second.n, second.accuracy) == (0.5, 1, 2, 0.5)
    assert second.confidence == pytest.approx(0.75)


def test_calibration_error_of_four_answers() -> None:
    # (14/15, 1]: 0.95 twice, one right, gap 0.45. (8/15, 9/15]: 0.55, right, gap 0.45. (9/15, 10/15]: 0.62, gap 0.38.
    bins = reliability(np.array([0.95, 0.55, 0.95, 0.62]), np.array([True, True, False, True]))
    assert len(bins) == 15
    assert [(place, each.n) for place, each in enumerate(bins) if each.n] == [(8, 1), (9, 1), (14, 2)]
    assert bins[0].confidence is bins[0].accuracy is None
    assert calibration_error(bins) == pytest.approx((2 * 0.45 + 0.45 + 0.38) / 4)


def test_perfect_calibration_has_no_error() -> None:
    bins = reliability(np.full(4, 0.75), np.array([True, True, True, False]))
    assert calibration_error(bins) == 0


def test_brier_score() -> None:
    # (0.7, 0.2, 0.1): of the first class 0.09 + 0.04 + 0.01, of the last 0.49 + 0.04 + 0.81.
    result = evaluation([[0.7, 0.2, 0.1]] * 2, [0, 2])
    assert brier_score(result.probabilities, result.labels) == pytest.approx((0.14 + 1.34) / 2)
    wrong = np.array([[1.0, 0.0]])
    assert brier_score(wrong, np.array([1])) == 2
    assert brier_score(wrong, np.array([0])) == 0


@pytest.mark.parametrize(("n", "classes"), [(400, 7), (60, 40), (2, 3)])
def test_a_second_opinion(n: int, classes: int) -> None:
    import sklearn.metrics

    result = random_evaluation(n, classes, seed=n)
    truth, answer = result.labels, result.predictions
    matrix = confusion_matrix(truth, answer, classes)
    assert (matrix == sklearn.metrics.confusion_matrix(truth, answer, labels=range(classes))).all()
    means = macro(class_figures(matrix))
    for mine, theirs in (
        (means.precision, sklearn.metrics.precision_score),
        (means.recall, sklearn.metrics.recall_score),
        (means.f1, sklearn.metrics.f1_score),
        (result.macro_f1(), sklearn.metrics.f1_score),
    ):
        assert mine == pytest.approx(theirs(truth, answer, average="macro", zero_division=0))
    every = list(range(classes))
    assert result.loss == pytest.approx(sklearn.metrics.log_loss(truth, result.probabilities, labels=every))
    theirs = sklearn.metrics.brier_score_loss(truth, result.probabilities, labels=every, scale_by_half=False)
    assert brier_score(result.probabilities, truth) == pytest.approx(theirs)
