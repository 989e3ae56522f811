"""Which images and which classes to look at: the most confident mistakes and the most confused pairs."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from model.metrics import Evaluation, IntArray

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
    """Pairs of classes taken for each other, the most often confused first, `limit` at most: JSON-ready.

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

    found = []
    for one, other in pairs[:limit]:
        a, b = int(one), int(other)
        if matrix[b, a] > matrix[a, b]:
            a, b = b, a
        directions = [direction(a, b), direction(b, a)]
        found.append({"labels": [labels[a], labels[b]], "count": int(both[one, other]), "directions": directions})
    return found


def _wrong(evaluation: Evaluation) -> list[int]:
    return [int(row) for row in np.flatnonzero(~evaluation.hits)]
