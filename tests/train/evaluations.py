"""Small evaluations, and the report of one, for tests that need no network."""

from typing import Any

import numpy as np

from model.metrics import Evaluation
from train.evaluation.document import evaluation_report


def evaluation(probabilities: list[list[float]], labels: list[int]) -> Evaluation:
    return Evaluation(np.log(np.maximum(probabilities, 1e-30)), np.array(labels))


def of_predictions(predictions: list[int], labels: list[int], classes: int) -> Evaluation:
    return evaluation(np.eye(classes)[predictions].tolist(), labels)


def random_evaluation(n: int, classes: int, seed: int = 0) -> Evaluation:
    """Right more often than not, and now and then surely wrong."""
    random = np.random.default_rng(seed)
    labels = np.sort(random.integers(0, classes, n))
    logits = random.normal(0, 1.5, (n, classes))
    logits[np.arange(n), labels] += 3
    return Evaluation(logits, labels)


MODEL = {"architecture": "resnet18", "image_size": 32, "best_epoch": 2, "training_job_name": "job-7"}


def whole_report(result: Evaluation, files: list[str], labels: list[str], **more: Any) -> dict[str, Any]:
    """A report with the facts that the commands add to it."""
    report = evaluation_report(result, files, labels, labels, **more)
    return {**report, "artifact": "0123456789ab", "model": MODEL, "data": "/data/test", "skipped": [], "notes": []}
