"""Whether the best trial lies at an edge of what was searched."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Final

from contract.hyperparameters import Hyperparameters
from train.report.parameter_axes import ParameterAxis
from train.report.search_data import SearchData

_EDGE: Final = 0.05  # of a range, on its scale
_LEAST: Final = 3  # completed trials below which an edge says nothing
_BEST: Final = 5  # trials that are counted at the edge
_CHOICES: Final = 3  # numbers to choose from that have an edge


@dataclass(frozen=True)
class Edge:
    """limit: the hyperparameter may go no further. near: how many of the `of` best trials lie at this edge."""

    axis: ParameterAxis
    value: Any
    upper: bool
    limit: bool
    near: int
    of: int


def edges(data: SearchData) -> Iterator[Edge]:
    """The hyperparameters of which the best trial has an end of the range, or the largest or least choice."""
    ranked = [trial for trial in data.ranked() if trial.repeats is None]
    if data.best is None or len(ranked) < _LEAST:
        return
    best = ranked[:_BEST]
    for axis in data.axes:
        value = data.best.values.get(axis.name)
        side = _side(axis, value)
        if side is not None:
            near = sum(1 for trial in best if _side(axis, trial.values.get(axis.name)) is side)
            yield Edge(axis, value, side, _limited(axis, side), near, len(best))


def _side(axis: ParameterAxis, value: Any) -> bool | None:
    """True at the upper end, False at the lower; None between them."""
    if axis.kind == "categorical":
        numbers = [each for each in axis.choices if _is_number(each)]
        if len(numbers) < max(_CHOICES, len(axis.choices)) or not _is_number(value):
            return None
        return True if value == max(numbers) else False if value == min(numbers) else None
    if not axis.high > axis.low:
        return None
    place = axis.place(value)
    if place is None:
        return None
    if axis.kind == "integer":
        # Of few whole numbers a twentieth of the range is less than one.
        place = 1.0 if value == axis.high else 0.0 if value == axis.low else place
    return True if place >= 1 - _EDGE else False if place <= _EDGE else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _limited(axis: ParameterAxis, upper: bool) -> bool:
    """Whether the table of hyperparameters ends at this edge too."""
    table = {each.name: each.metadata for each in fields(Hyperparameters)}
    about = table.get(axis.name)
    if about is None or about.get("kind") not in ("integer", "float"):
        return False
    ends = [each for each in axis.choices if _is_number(each)] or [axis.low, axis.high]
    return bool(max(ends) >= about["high"] if upper else min(ends) <= about["low"])
