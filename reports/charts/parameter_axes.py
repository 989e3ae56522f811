"""Axes of hyperparameters, with the scale that the search drew from, and of an objective's values."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Final

from reports.charts.ticks import nice_ticks
from reports.units import figure, real

_NEAR: Final = 0.09  # of the axis: a tick nearer than that to an end is left out
_FAR: Final = 4.0  # how many times as far as the best a value may lie from the median to be on the axis
_LEAST: Final = 5  # values from which on the axis may leave some out
_FEW: Final = 3  # values below which others are needed to make an axis
_PAD: Final = 0.05


@dataclass(frozen=True)
class ParameterAxis:
    """A hyperparameter's axis. choices: of a categorical one; else `low` and `high`, and `scale` as in the document."""

    name: str
    kind: str
    low: float = 0.0
    high: float = 1.0
    scale: str = "linear"
    choices: tuple[Any, ...] = ()

    def place(self, value: Any) -> float | None:
        """Where a value lies: from 0 to 1; None for what has no place."""
        if self.kind == "categorical":
            return (self.choices.index(value) + 0.5) / len(self.choices) if value in self.choices else None
        number = real(value)
        if number is None or not math.isfinite(number):
            return None
        clamped = min(max(number, self.low), self.high)
        low, at, high = self._scaled(self.low), self._scaled(clamped), self._scaled(self.high)
        return (at - low) / (high - low) if high > low else 0.5

    def _scaled(self, value: float) -> float:
        if self.scale == "log":
            return math.log10(value)
        return -math.log10(1 - value) if self.scale == "reverse_log" else value

    def ticks(self) -> list[tuple[float, str]]:
        """(place from 0 to 1, words) of a few round values, both ends among them; of every choice."""
        if self.kind == "categorical":
            return [
                ((number + 0.5) / len(self.choices), value_text(choice)) for number, choice in enumerate(self.choices)
            ]
        if not self.high > self.low:
            return [(0.5, value_text(self.low))]
        ticks = [(0.0, value_text(self.low))]
        for value in self._round():
            place = self.place(value)
            if place is not None and ticks[-1][0] + _NEAR < place < 1 - _NEAR:
                ticks.append((place, value_text(value)))
        return [*ticks, (1.0, value_text(self.high))]

    def _round(self) -> list[float]:
        if self.scale == "linear":
            ticks = nice_ticks(self.low, self.high, 4)
            return _whole(ticks) if self.kind == "integer" else ticks
        low, high = self._scaled(self.low), self._scaled(self.high)
        powers = range(math.floor(low), math.ceil(high) + 1)
        if self.scale == "reverse_log":
            return [1 - 10.0**-power for power in powers]
        factors = (1, 2, 5) if high - low < 1.5 else (1, 3) if high - low < 2.5 else (1,)
        ticks = [factor * 10.0**power for power in powers for factor in factors]
        return _whole(ticks) if self.kind == "integer" else ticks

    def range(self) -> str:
        """In words: `0.001 to 0.1, logarithmic`, `16, 32, 64`."""
        if self.kind == "categorical":
            return ", ".join(map(value_text, self.choices))
        if not self.high > self.low:
            return value_text(self.low)
        words = {"log": ", logarithmic", "reverse_log": ", reverse logarithmic"}.get(self.scale, "")
        return f"{value_text(self.low)} to {value_text(self.high)}{words}"


def _whole(ticks: Sequence[float]) -> list[float]:
    return [int(tick) for tick in ticks if tick == round(tick)]


def parameter_axis(entry: Mapping[str, Any]) -> ParameterAxis:
    """The axis of an entry of the document's space."""
    name, kind = str(entry["name"]), str(entry["kind"])
    if kind == "categorical":
        return ParameterAxis(name, kind, choices=tuple(entry["values"]))
    return ParameterAxis(name, kind, entry["low"], entry["high"], str(entry.get("scale") or "linear"))


def value_text(value: Any) -> str:
    """A hyperparameter's value: numbers to four digits, words as they are."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else figure(value, 4)


@dataclass(frozen=True)
class ValueAxis:
    """An objective's axis, from `low` to `high`. Values worse than `cut` lie beyond it, and are drawn at its edge."""

    low: float
    high: float
    cut: float | None
    maximize: bool

    def beyond(self, value: float) -> bool:
        """Whether the axis ends before the value."""
        return self.cut is not None and (value < self.cut if self.maximize else value > self.cut)

    def on(self, value: float) -> float:
        """The value, or the edge that stands for it."""
        edge = self.low if self.maximize else self.high
        return edge if self.beyond(value) else min(max(value, self.low), self.high)

    def place(self, value: float) -> float:
        """Where a value lies: 0 at the low end, 1 at the high one."""
        return (value - self.low) / (self.high - self.low)

    def ticks(self, share: bool) -> tuple[list[float], list[str]]:
        """Round values and their words. share: in percent."""
        ticks = nice_ticks(self.low, self.high, 7)
        factor, sign = (100.0, " %") if share else (1.0, "")
        step = factor * (ticks[1] - ticks[0]) if len(ticks) > 1 else factor * (abs(ticks[0]) or 1) if ticks else 1.0
        digits = min(max(0, -math.floor(math.log10(step) + 1e-9)), 8)
        return ticks, [f"{factor * tick + 0.0:,.{digits}f}{sign}" for tick in ticks]


def value_axis(values: Sequence[float], maximize: bool, others: Sequence[float] = ()) -> ValueAxis:
    """Wide enough for all values, but for those that lie so far on the worse side that the rest would be one line.

    others: values that don't widen the axis, unless there are hardly any `values`.
    """
    if len(values) < _FEW:
        values, others = [*values, *others], ()
    if not values:
        return ValueAxis(0.0, 1.0, None, maximize)
    best, worst = (max(values), min(values)) if maximize else (min(values), max(values))
    middle = median(values)
    edge = middle - _FAR * (best - middle)
    if len(values) >= _LEAST and best != middle and (worst < edge if maximize else worst > edge):
        worst = edge
    low, high = min(best, worst), max(best, worst)
    pad = _PAD * (high - low) or abs(high) * _PAD or 1.0
    axis = ValueAxis(low - pad, high + pad, worst, maximize)
    return axis if any(axis.beyond(value) for value in (*values, *others)) else replace(axis, cut=None)
