"""evaluation.json: every figure of one evaluation. docs/evaluation.md defines each key.

Beside the figures: learning curves, which classes were learned last, the most confident mistakes, the most confused
pairs.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from contract.errors import ArtifactError
from model.artifact import Artifact
from model.metrics import Evaluation, IntArray, brier_score, class_figures, confusion_matrix, macro, wilson_interval
from train.evaluation.calibration import calibration_report


def evaluation_report(
    evaluation: Evaluation,
    files: Sequence[str],
    classes: Sequence[str],
    labels: Sequence[str],
    split: str = "test",
    history: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """All figures of one evaluation, JSON-ready.

    files: the images' names, in the evaluation's order. classes, labels: the folders' names and those for people.
    split: train, valid or test. history: the epochs of the network's training, if known.
    """
    matrix = confusion_matrix(evaluation.labels, evaluation.predictions, len(classes))
    return {
        "split": split,
        **headline(evaluation, matrix),
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


def headline(evaluation: Evaluation, matrix: IntArray) -> dict[str, Any]:
    """The figures over all images, JSON-ready. matrix: the evaluation's confusion matrix."""
    means = macro(class_figures(matrix))
    return {
        "n": evaluation.n,
        "loss": evaluation.loss,
        "accuracy": evaluation.accuracy,
        "accuracy_interval": list(wilson_interval(int(evaluation.hits.sum()), evaluation.n)),
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
    """The reports' facts about a network: architecture, image_size, best_epoch, training_job_name."""
    return describe_model(artifact.architecture, artifact.preprocess.image_size, artifact.provenance)


def describe_model(architecture: str, image_size: int, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The same from its parts. provenance: the manifest's; missing values become None."""
    best_epoch, job = provenance.get("best_epoch"), provenance.get("training_job_name")
    return {
        "architecture": architecture,
        "image_size": image_size,
        "best_epoch": best_epoch if type(best_epoch) is int else None,
        "training_job_name": job if isinstance(job, str) else None,
    }


HISTORY: Final = "history.json"
SLOWEST: Final = 20
# A class counts as learned from the epoch from which on at least this share of its validation images is right.
LEARNED: Final = 0.5
_CLASSES: Final = "validation_class_accuracy"
_SIZE_LIMIT: Final = 256 * 1024 * 1024
_LARGEST: Final = 1e300

Epochs = Sequence[Mapping[str, Any]]


def read_history(artifact: Path) -> list[dict[str, Any]]:
    """The epochs in the artifact's history.json, none without that file. Raises ArtifactError for a broken one."""
    file = artifact / HISTORY
    if not file.is_file():
        return []
    fault = f"{file} is no history that train wrote; copy the artifact's folder again, or remove that file"
    if file.stat().st_size > _SIZE_LIMIT:
        raise ArtifactError(fault)
    try:
        epochs = json.loads(file.read_bytes())["epochs"]
        whole = all(_is_number(epoch["epoch"]) and isinstance(epoch.get(_CLASSES, []), list) for epoch in epochs)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ArtifactError(fault) from None
    if not isinstance(epochs, list) or not whole:
        raise ArtifactError(fault)
    return epochs


def learning_report(history: Epochs, classes: Sequence[str], labels: Sequence[str]) -> dict[str, Any] | None:
    """Learning curves and the slowest-learned classes, JSON-ready; None without a history.

    history: dicts, one an epoch, with numbers by name and validation_class_accuracy (a share for each class, None
    without validation images).
    """
    if not history:
        return None
    curves = [{name: value for name, value in epoch.items() if _is_number(value)} for epoch in history]
    rows = []
    for number, (name, label) in enumerate(zip(classes, labels, strict=True)):
        curve = _class_curve(history, number)
        if curve:
            rows.append({"class": name, "label": label, **_speed(curve, history), "validation_accuracy": curve})
    # Sorting is stable: equal classes stay in the classes' order.
    rows.sort(key=lambda row: -row["area_over_curve"])
    return {"epochs": curves, "learned_threshold": LEARNED, "slowest_classes": rows[:SLOWEST]}


def _class_curve(history: Epochs, number: int) -> list[float]:
    """The class's validation accuracy, epoch by epoch; empty when it has no validation images."""
    curve = []
    for epoch in history:
        shares = epoch.get(_CLASSES, [])
        if number >= len(shares) or not _is_number(shares[number]):
            return []
        curve.append(float(shares[number]))
    return curve


def _speed(curve: Sequence[float], history: Epochs) -> dict[str, Any]:
    """area_over_curve: mean over the epochs of 1 - accuracy, from 0 (right from the first) to 1 (never right).

    learned_epoch: the first epoch from which on, up to the last, the accuracy is at least LEARNED; None if never.
    """
    learned = None
    for place in range(len(curve) - 1, -1, -1):
        if curve[place] < LEARNED:
            break
        learned = int(history[place]["epoch"])
    return {"area_over_curve": sum(1 - share for share in curve) / len(curve), "learned_epoch": learned}


def _is_number(value: object) -> bool:
    # JSON knows integers that no float holds, and Python's reads NaN and infinity: none of them passes.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST


MISTAKES: Final = 100
PAIRS: Final = 50
EXAMPLES: Final = 6


def confident_mistakes(
    evaluation: Evaluation, files: Sequence[str], labels: Sequence[str], limit: int = MISTAKES
) -> list[dict[str, Any]]:
    """The wrong answers, the most probable first (by file name among equals), `limit` at most: JSON-ready.

    files: the images' names, in the evaluation's order. labels: the classes' names for people.
    """
    rows = sorted(_wrong(evaluation), key=lambda row: (-evaluation.confidences[row], files[row]))
    return [
        {
            "file": files[row],
            "true_index": int(evaluation.labels[row]),
            "true_label": labels[evaluation.labels[row]],
            "index": int(evaluation.predictions[row]),
            "label": labels[evaluation.predictions[row]],
            "probability": float(evaluation.confidences[row]),
            "true_probability": float(evaluation.probabilities[row, evaluation.labels[row]]),
        }
        for row in rows[:limit]
    ]


def confused_pairs(
    evaluation: Evaluation, matrix: IntArray, files: Sequence[str], labels: Sequence[str], limit: int = PAIRS
) -> list[dict[str, Any]]:
    """Pairs of classes that were confused, the most frequent first, `limit` at most: JSON-ready.

    matrix: the evaluation's confusion matrix. `count` adds both directions; of these, the more frequent comes first.
    `files` are the EXAMPLES most confident ones of a direction.
    """
    both = np.triu(matrix + matrix.T, 1)
    pairs = sorted(zip(*np.nonzero(both), strict=True), key=lambda pair: (-both[pair], pair))
    examples: dict[tuple[int, int], list[int]] = {}
    for row in _wrong(evaluation):
        examples.setdefault((int(evaluation.labels[row]), int(evaluation.predictions[row])), []).append(row)

    def direction(truth: int, prediction: int) -> dict[str, Any]:
        rows = examples.get((truth, prediction), [])
        rows = sorted(rows, key=lambda row: (-evaluation.confidences[row], files[row]))
        return {
            "true_index": truth,
            "true_label": labels[truth],
            "index": prediction,
            "label": labels[prediction],
            "count": int(matrix[truth, prediction]),
            "of": int(matrix[truth].sum()),
            "files": [files[row] for row in rows[:EXAMPLES]],
        }

    rows = []
    for one, other in pairs[:limit]:
        a, b = int(one), int(other)
        if matrix[b, a] > matrix[a, b]:
            a, b = b, a
        directions = [direction(a, b), direction(b, a)]
        rows.append({"labels": [labels[a], labels[b]], "count": int(both[one, other]), "directions": directions})
    return rows


def _wrong(evaluation: Evaluation) -> list[int]:
    return [int(row) for row in np.flatnonzero(~evaluation.hits)]
