"""What the training's history tells: learning curves, and which classes were learned last."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from contract.errors import ArtifactError

HISTORY: Final = "history.json"
SLOWEST: Final = 20
# From the epoch on from which at least this share of a class's validation images is right, it counts as learned.
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
        whole = all(_is_number(each["epoch"]) and isinstance(each.get(_CLASSES, []), list) for each in epochs)
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
    found = []
    for number, (name, label) in enumerate(zip(classes, labels, strict=True)):
        curve = _class_curve(history, number)
        if curve:
            found.append({"class": name, "label": label, **_speed(curve, history), "validation_accuracy": curve})
    # Sorting keeps the order of equals, which is the classes' own.
    found.sort(key=lambda each: -each["area_over_curve"])
    return {"epochs": curves, "learned_threshold": LEARNED, "slowest_classes": found[:SLOWEST]}


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
