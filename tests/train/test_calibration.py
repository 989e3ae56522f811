"""The temperature, where its optimum is known in closed form."""

import math
from dataclasses import replace

import numpy as np
import pytest

from model.metrics import Evaluation, FloatArray, IntArray
from tests.train.evaluations import random_evaluation
from train.evaluation.calibration import (
    HIGHEST,
    LOWEST,
    Calibration,
    calibration_report,
    expected_calibration_error,
    fit_temperature,
)


def answers(right: int, n: int, logit: float, classes: int) -> Evaluation:
    """`n` answers, each with one logit above the others by `logit`; `right` of them are right."""
    logits = np.zeros((n, classes))
    logits[:, 0] = logit
    return Evaluation(logits, np.array([0] * right + [1] * (n - right)))


@pytest.mark.parametrize(
    ("right", "n", "classes"),
    [(3, 4, 2), (30, 40, 2), (15, 20, 4), (900, 1000, 133), (9, 9, 2), (40, 40, 6)],
)
def test_the_confidence_becomes_the_accuracy(right: int, n: int, classes: int) -> None:
    # All answers have the same confidence p = 1 / (1 + (C - 1) exp(-logit / T)). The cross entropy of n answers and
    # the weight of one more, spread over the classes, is least where p = (right + 1/C) / (n + 1).
    p = (right + 1 / classes) / (n + 1)
    result = answers(right, n, 3.0, classes)
    temperature = fit_temperature(result.logits, result.labels)
    assert temperature == pytest.approx(3 / math.log(p * (classes - 1) / (1 - p)))
    assert replace(result, temperature=temperature).confidences == pytest.approx(np.full(n, p))


def test_it_stays_within_its_bounds() -> None:
    # Nine of nine right with a tiny margin: 0.1 / ln 19 = 0.034 would be best.
    assert fit_temperature(*_parts(answers(9, 9, 0.1, 2))) == pytest.approx(LOWEST)
    # All wrong: the flatter, the better.
    assert fit_temperature(*_parts(answers(0, 9, 3.0, 2))) == pytest.approx(HIGHEST)
    assert (LOWEST, HIGHEST) == (0.05, 20)


def test_logits_that_tell_nothing_leave_it_at_1() -> None:
    assert fit_temperature(np.full((5, 3), 7.0), np.array([0, 1, 2, 0, 1])) == 1


def test_what_the_softmax_does_not_see_changes_nothing() -> None:
    result = random_evaluation(200, 5)
    plain = fit_temperature(result.logits, result.labels)
    shifted = result.logits + np.arange(200)[:, None]
    assert fit_temperature(shifted, result.labels) == pytest.approx(plain)
    assert fit_temperature(3 * result.logits, result.labels) == pytest.approx(3 * plain)
    assert fit_temperature(result.logits * 1e4, result.labels) == pytest.approx(HIGHEST)


def test_the_loss_is_least_there() -> None:
    result = random_evaluation(20_000, 10)
    best = fit_temperature(result.logits, result.labels)
    # Probabilities made as these are need no temperature but the ratio of the margin to the noise: 3 / 1.5^2.
    assert best == pytest.approx(1.5**2 / 3, rel=0.03)
    loss = replace(result, temperature=best).loss
    for factor in (0.9, 1.1):
        assert replace(result, temperature=best * factor).loss > loss


def test_the_manifests_record() -> None:
    result = answers(60, 80, 3.0, 2)
    calibration = Calibration.fit(replace(result, temperature=5.0))
    before = 1 / (1 + math.exp(-3))
    after = 60.5 / 81
    assert calibration.to_dict() == {
        "temperature": pytest.approx(3 / math.log(60.5 / 20.5)),
        "fitted_on": "validation",
        "n": 80,
        "ece_before": pytest.approx(before - 0.75),
        "ece_after": pytest.approx(0.75 - after),
    }


def test_the_report_tells_before_and_after() -> None:
    result = replace(answers(3, 4, 3.0, 2), temperature=2.0)
    report = calibration_report(result)
    before, after = 1 / (1 + math.exp(-3)), 1 / (1 + math.exp(-1.5))
    assert (report["temperature"], report["bins"]) == (2, 15)
    for name, p in (("before", before), ("after", after)):
        found = report[name]
        assert found["ece"] == pytest.approx(abs(p - 0.75))
        assert found["mean_confidence"] == pytest.approx(p)
        assert found["negative_log_likelihood"] == pytest.approx(-(3 * math.log(p) + math.log(1 - p)) / 4)
        assert found["brier_score"] == pytest.approx((3 * 2 * (1 - p) ** 2 + 2 * p**2) / 4)
        (full,) = [each for each in found["reliability"] if each["n"]]
        assert full == {
            "low": pytest.approx(math.floor(p * 15) / 15), "high": pytest.approx(math.ceil(p * 15) / 15),
            "n": 4, "confidence": pytest.approx(p), "accuracy": 0.75,
        }  # fmt: skip
    assert report["after"]["ece"] == expected_calibration_error(result)


def _parts(result: Evaluation) -> tuple[FloatArray, IntArray]:
    return result.logits, result.labels
