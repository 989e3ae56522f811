"""evaluation.json: every figure of one evaluation. docs/evaluation.md defines each key."""

from collections.abc import Mapping, Sequence
from typing import Any

from model.artifact import Artifact
from model.metrics import Evaluation, IntArray, brier_score, class_figures, confusion_matrix, macro, wilson_interval
from train.evaluation.calibration import calibration_report
from train.evaluation.findings import confident_mistakes, confused_pairs
from train.evaluation.learning import learning_report


def evaluation_report(
    evaluation: Evaluation,
    files: Sequence[str],
    classes: Sequence[str],
    labels: Sequence[str],
    split: str = "test",
    history: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Everything that one evaluation tells: JSON-ready.

    files: the images' names, in the evaluation's order. classes, labels: the folders' names and those for people.
    split: train, valid or test. history: the epochs of the network's training, if known.
    """
    matrix = confusion_matrix(evaluation.labels, evaluation.predictions, len(classes))
    return {
        "split": split,
        **_headline(evaluation, matrix),
        "classes": list(classes),
        "labels": list(labels),
        "per_class": _per_class(evaluation, matrix, classes, labels),
        "confusion_matrix": matrix.tolist(),
        "confused_pairs": confused_pairs(evaluation, matrix, files, labels),
        "mistakes_count": int((~evaluation.hits).sum()),
        "mistakes": confident_mistakes(evaluation, files, labels),
        "calibration": calibration_report(evaluation),
        "learning": learning_report(history, classes, labels),
        "predictions": _predictions(evaluation, files, labels),
    }


def _headline(evaluation: Evaluation, matrix: IntArray) -> dict[str, Any]:
    means = macro(class_figures(matrix))
    hits = int(evaluation.hits.sum())
    return {
        "n": evaluation.n,
        "loss": evaluation.loss,
        "accuracy": evaluation.accuracy,
        "accuracy_interval": list(wilson_interval(hits, evaluation.n)),
        "top5_accuracy": evaluation.top_accuracy(5),
        "macro_precision": means.precision,
        "macro_recall": means.recall,
        "macro_f1": means.f1,
        "brier_score": brier_score(evaluation.probabilities, evaluation.labels),
    }


def _per_class(
    evaluation: Evaluation, matrix: IntArray, classes: Sequence[str], labels: Sequence[str]
) -> list[dict[str, Any]]:
    rows = []
    for number, figures in enumerate(class_figures(matrix)):
        own = evaluation.confidences[evaluation.labels == number]
        rows.append(
            {
                "class": classes[number],
                "label": labels[number],
                "n": figures.n,
                "predicted": figures.predicted,
                "correct": figures.hits,
                "precision": figures.precision,
                "recall": figures.recall,
                "f1": figures.f1,
                "confidence": float(own.mean()) if len(own) else None,
            }
        )
    return rows


def _predictions(evaluation: Evaluation, files: Sequence[str], labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    rows = {}
    for row, file in enumerate(files):
        best, truth = int(evaluation.predictions[row]), int(evaluation.labels[row])
        rows[file] = {
            "label": labels[best],
            "index": best,
            "probability": float(evaluation.probabilities[row, best]),
            "true_label": labels[truth],
            "correct": best == truth,
        }
    return rows


def model_facts(artifact: Artifact) -> dict[str, Any]:
    """What the reports say of a network: architecture, image_size, best_epoch, training_job_name."""
    return describe_model(artifact.architecture, artifact.preprocess.image_size, artifact.provenance)


def describe_model(architecture: str, image_size: int, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The same from its parts. provenance: the manifest's; what isn't there is None."""
    best_epoch, job = provenance.get("best_epoch"), provenance.get("training_job_name")
    return {
        "architecture": architecture,
        "image_size": image_size,
        "best_epoch": best_epoch if type(best_epoch) is int else None,
        "training_job_name": job if isinstance(job, str) else None,
    }
