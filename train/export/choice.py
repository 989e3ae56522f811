"""Which form serves by default."""

from fractions import Fraction
from typing import Final

from model.forms import OPENVINO, OPENVINO_INT8

MAX_LOSS_POINTS: Final = Fraction(1, 2)  # percentage points of validation accuracy


def points_lost(reference: int, correct: int, n: int) -> Fraction:
    """Percentage points of accuracy that `correct` right answers of `n` are below `reference` right ones; exact."""
    return Fraction(100 * (reference - correct), n)


def may_replace(reference: int, correct: int, n: int) -> bool:
    """Whether a form with `correct` right answers of `n` is good enough beside torch's network with `reference`.

    Counts, not accuracies: a loss of exactly half a point is allowed, and 0.905 - 0.9 is above 0.005 in floats.
    """
    return points_lost(reference, correct, n) <= MAX_LOSS_POINTS


def choose_default(reference: int, int8: int | None, n: int) -> str:
    """The form to serve: int8 unless it loses too much or isn't there (None)."""
    return OPENVINO_INT8 if int8 is not None and may_replace(reference, int8, n) else OPENVINO
