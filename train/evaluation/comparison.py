"""Two networks on the same images: is the difference between them more than chance?"""

import math
from collections.abc import Sequence
from typing import Any, Final

from contract.errors import DataError
from model.artifact import Artifact
from model.metrics import Z_95, Evaluation, confusion_matrix
from train.evaluation.calibration import expected_calibration_error
from train.evaluation.document import headline

SIGNIFICANT: Final = 0.05
_COMPARED: Final = ("accuracy", "accuracy_interval", "top5_accuracy", "macro_f1", "loss", "brier_score")


def column_order(artifact: Artifact, baseline: Artifact) -> list[int]:
    """For each class of `artifact` its place among the baseline's, matched by name.

    Raises DataError that names the differences when the two don't know the same classes.
    """
    ours, theirs = set(artifact.classes), set(baseline.classes)
    if ours != theirs:
        parts = [
            f"only the {who} has {_some(sorted(names))}"
            for who, names in (("artifact", ours - theirs), ("baseline", theirs - ours))
            if names
        ]
        raise DataError(
            f"the two artifacts know different classes: {'; '.join(parts)}; compare artifacts trained on the same ones"
        )
    place = {name: number for number, name in enumerate(baseline.classes)}
    return [place[name] for name in artifact.classes]


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


def mcnemar(fixed: int, broken: int) -> float:
    """The exact McNemar test's p: how often chance alone divides the fixed + broken images at least so unevenly.

    Two-sided binomial test of `fixed` against 1/2, of McNemar 1947 (Psychometrika 12, 153-157) in its exact form.
    """
    total = fixed + broken
    # As integers: 1 / 2**total would underflow. `ways` is how many of 2**total outcomes have k on the one side.
    tail = ways = 1
    for k in range(min(fixed, broken)):
        ways = ways * (total - k) // (k + 1)
        tail += ways
    return min(1.0, 2 * tail / (1 << total))


def paired_interval(fixed: int, broken: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """95 % interval of the difference of two accuracies on the same n images.

    Agresti and Min 2005 (Statistics in Medicine 24, 729-740): the Wald interval for matched proportions after half
    an image is added to each of the four cells (both right, both wrong, fixed, broken).
    """
    total, difference = n + 2, fixed - broken
    centre = difference / total
    half = z * math.sqrt(fixed + broken + 1 - difference**2 / total) / total
    return max(-1.0, centre - half), min(1.0, centre + half)


def comparison_report(
    new: Evaluation, old: Evaluation, files: Sequence[str], classes: Sequence[str], labels: Sequence[str]
) -> dict[str, Any]:
    """What changed from `old` (the baseline) to `new`: JSON-ready.

    Both have the same images and classes in the same order. files, classes, labels: as in `evaluation_report`.
    """
    fixed, broken = new.hits & ~old.hits, old.hits & ~new.hits
    counts = (int(fixed.sum()), int(broken.sum()))
    difference = (counts[0] - counts[1]) / new.n
    p, interval = mcnemar(*counts), paired_interval(*counts, new.n)
    return {
        "n": new.n,
        "verdict": verdict(new.accuracy, old.accuracy, interval, p),
        "artifact": _figures(new),
        "baseline": _figures(old),
        "difference": difference,
        "difference_interval": list(interval),
        "mcnemar": {
            "both_right": int((new.hits & old.hits).sum()),
            "both_wrong": int((~new.hits & ~old.hits).sum()),
            "fixed": counts[0],
            "broken": counts[1],
            "p_value": p,
        },
        "classes": list(classes),
        "labels": list(labels),
        "per_class": _changes(new, old, classes, labels),
        "fixed": _moved(new, old, fixed.nonzero()[0].tolist(), files, labels),
        "broken": _moved(new, old, broken.nonzero()[0].tolist(), files, labels),
    }


def verdict(new: float, old: float, interval: Sequence[float], p: float) -> str:
    """One plain sentence. new, old: accuracies. interval: of their difference. p: of the McNemar test."""
    chance = f"p = {p:.2g}" if p >= 0.001 else "p < 0.001"
    facts = (
        f"accuracy {100 * new:.1f} % against the baseline's {100 * old:.1f} %, "
        f"difference {100 * (new - old):+.1f} points "
        f"(95 % interval {100 * interval[0]:+.1f} to {100 * interval[1]:+.1f})"
    )
    if p >= SIGNIFICANT:
        return f"no evidence of a difference ({chance}): {facts}"
    return f"the artifact is {'better' if new > old else 'worse'} than the baseline ({chance}): {facts}"


def _figures(evaluation: Evaluation) -> dict[str, Any]:
    matrix = confusion_matrix(evaluation.labels, evaluation.predictions, evaluation.logits.shape[1])
    figures = headline(evaluation, matrix)
    return {
        **{name: figures[name] for name in _COMPARED},
        "ece": expected_calibration_error(evaluation),
        "temperature": evaluation.temperature,
    }


def _changes(new: Evaluation, old: Evaluation, classes: Sequence[str], labels: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for number, (name, label) in enumerate(zip(classes, labels, strict=True)):
        own = new.labels == number
        n, now, before = int(own.sum()), int(new.hits[own].sum()), int(old.hits[own].sum())
        rows.append(
            {
                "class": name,
                "label": label,
                "n": n,
                "recall": now / n if n else None,
                "baseline_recall": before / n if n else None,
                "change": (now - before) / n if n else None,
                "fixed": int((new.hits & ~old.hits)[own].sum()),
                "broken": int((old.hits & ~new.hits)[own].sum()),
            }
        )
    return rows


def _moved(
    new: Evaluation, old: Evaluation, rows: Sequence[int], files: Sequence[str], labels: Sequence[str]
) -> list[dict[str, Any]]:
    """The files, the most confident differences first."""
    order = sorted(rows, key=lambda row: (-new.confidences[row] - old.confidences[row], files[row]))
    return [
        {
            "file": files[row],
            "true_label": labels[new.labels[row]],
            "label": labels[new.predictions[row]],
            "probability": float(new.confidences[row]),
            "baseline_label": labels[old.predictions[row]],
            "baseline_probability": float(old.confidences[row]),
        }
        for row in order
    ]
