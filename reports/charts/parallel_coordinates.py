"""Parallel coordinates: an axis a hyperparameter, a line a trial, coloured by its value.

The axes have the scale that the search drew from; they also serve the plots of one hyperparameter or objective.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Final

from markupsafe import Markup

from reports.charts.axes import Frame, Point, element, line, nice_ticks, picture, polyline, text
from reports.charts.search import WIDTH, note, shortened, values_axis
from reports.search_data import SearchData, Trial
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
        low, at, high = (self._scaled(each) for each in (self.low, min(max(number, self.low), self.high), self.high))
        return (at - low) / (high - low) if high > low else 0.5

    def _scaled(self, value: float) -> float:
        if self.scale == "log":
            return math.log10(value)
        return -math.log10(1 - value) if self.scale == "reverse_log" else value

    def ticks(self) -> list[tuple[float, str]]:
        """(place, words) of a few round values, both ends among them; of every choice."""
        if self.kind == "categorical":
            return [((number + 0.5) / len(self.choices), shown(each)) for number, each in enumerate(self.choices)]
        if not self.high > self.low:
            return [(0.5, shown(self.low))]
        found = [(0.0, shown(self.low))]
        for value in self._round():
            place = self.place(value)
            if place is not None and found[-1][0] + _NEAR < place < 1 - _NEAR:
                found.append((place, shown(value)))
        return [*found, (1.0, shown(self.high))]

    def _round(self) -> list[float]:
        if self.scale == "linear":
            ticks = nice_ticks(self.low, self.high, 4)
            return _whole(ticks) if self.kind == "integer" else ticks
        low, high = self._scaled(self.low), self._scaled(self.high)
        powers = range(math.floor(low), math.ceil(high) + 1)
        if self.scale == "reverse_log":
            return [1 - 10.0**-power for power in powers]
        factors = (1, 2, 5) if high - low < 1.5 else (1, 3) if high - low < 2.5 else (1,)
        found = [factor * 10.0**power for power in powers for factor in factors]
        return _whole(found) if self.kind == "integer" else found

    def range(self) -> str:
        """In words: `0.001 to 0.1, logarithmic`, `16, 32, 64`."""
        if self.kind == "categorical":
            return ", ".join(shown(each) for each in self.choices)
        if not self.high > self.low:
            return shown(self.low)
        words = {"log": ", logarithmic", "reverse_log": ", reverse logarithmic"}.get(self.scale, "")
        return f"{shown(self.low)} to {shown(self.high)}{words}"


def _whole(ticks: Sequence[float]) -> list[float]:
    return [int(tick) for tick in ticks if tick == round(tick)]


def parameter_axis(given: Mapping[str, Any]) -> ParameterAxis:
    """The axis of a hyperparameter as the document's space has it."""
    name, kind = str(given["name"]), str(given["kind"])
    if kind == "categorical":
        return ParameterAxis(name, kind, choices=tuple(given["values"]))
    return ParameterAxis(name, kind, given["low"], given["high"], str(given.get("scale") or "linear"))


def shown(value: Any) -> str:
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


COLOURS: Final = 7
MOST_LINES: Final = 300
_LEFT: Final = 78
_RIGHT: Final = 82
_TOP: Final = 46
_HEIGHT: Final = 300
_LETTER: Final = 7.0  # pixels of one, on average
_WIDE_LETTER: Final = 8.2  # at most, on average
_SPREAD: Final = 0.3  # of the distance between two values: how far lines of one value lie apart
_GOLDEN: Final = 0.6180339887  # spreads any number of trials evenly
_MOST_WHOLE: Final = 12  # whole numbers on an axis up to which lines of one are spread
_LEAST_GAP: Final = 80  # pixels from one axis to the next


@dataclass(frozen=True)
class Parallel:
    """The drawing, its legend (a colour's class and the values that have it), and how many lines it leaves out."""

    chart: Markup
    legend: tuple[tuple[str, str], ...]
    wide: bool
    left_out: int


def parallel_coordinates(data: SearchData) -> Parallel | None:
    """The plot of all completed trials and, in grey, the pruned and failed ones; None without a completed trial."""
    ranked = data.ranked()
    if not ranked or not data.axes:
        return None
    width = max(WIDTH, _LEFT + _RIGHT + _LEAST_GAP * len(data.axes))
    axis, gap = values_axis(data), (width - _LEFT - _RIGHT) / len(data.axes)
    frame = Frame(_LEFT, _TOP, width - _LEFT - _RIGHT, _HEIGHT, (0.0, 0.0), (float(len(data.axes)), 1.0))
    grey = [trial for trial in data.trials if trial.state in ("pruned", "failed")]
    lines, faint = ranked[:MOST_LINES], grey[: max(MOST_LINES - len(ranked), 0)]
    found = [_line(data, trial, frame, axis, "faint") for trial in faint]
    colours = _colours(data)
    for trial in reversed(lines):
        best = data.best is not None and trial.number == data.best.number
        found.append(_line(data, trial, frame, axis, "winner" if best else f"v{colours[trial.number]}"))
    found += _axes(data, frame, axis, gap)
    label = (
        f"Parallel coordinates of {len(lines)} completed trials over {', '.join(each.name for each in data.axes)} "
        f"and {data.objective.name}"
    )
    left_out = len(ranked) + len(grey) - len(lines) - len(faint)
    return Parallel(picture(width, _TOP + _HEIGHT + 20, label, found), _legend(data, colours), width > WIDTH, left_out)


def _line(data: SearchData, trial: Trial, frame: Frame, axis: ValueAxis, name: str) -> Markup:
    points: list[Point] = []
    for number, parameter in enumerate(data.axes):
        place = parameter.place(trial.values.get(parameter.name))
        if place is not None:
            points.append(frame.place(number, place + _offset(parameter, trial)))
    if trial.completed:
        share = (axis.on(trial.shown or 0.0) - axis.low) / (axis.high - axis.low)
        points.append(frame.place(len(data.axes), share))
    title = element("title", note(trial, data.objective))
    return element("g", title + polyline(points, ""), class_=f"coordinates {name}")


def _offset(parameter: ParameterAxis, trial: Trial) -> float:
    """Lines that meet in one value of few can't be followed: each passes a little beside it."""
    count = len(parameter.choices) if parameter.kind == "categorical" else parameter.high - parameter.low
    if parameter.kind == "continuous" or not 0 < count <= _MOST_WHOLE:
        return 0.0
    return ((trial.number * _GOLDEN) % 1 - 0.5) * min(_SPREAD / count, 0.08)


def _colours(data: SearchData) -> dict[int, int]:
    """By number, from 0 for the worst seventh of the trials to 6 for the best; trials of one value have one colour."""
    ranked = data.ranked()
    found, place = {}, 0
    for number, trial in enumerate(ranked):
        if number and trial.shown != ranked[number - 1].shown:
            place = number
        found[trial.number] = COLOURS - 1 - COLOURS * place // len(ranked)
    return found


def _legend(data: SearchData, colours: Mapping[int, int]) -> tuple[tuple[str, str], ...]:
    """The best colour, the middle one and the worst, with the values that they begin and end with."""
    ranked = data.ranked()
    worst = [trial for trial in ranked if colours[trial.number] == min(colours.values())]
    if len(worst) == len(ranked):
        return ()
    top = [trial for trial in ranked if colours[trial.number] == COLOURS - 1]
    show = data.objective.show
    return (
        (f"v{COLOURS - 1}", f"the best seventh, {show(top[-1].shown)} and better"),
        (f"v{COLOURS // 2}", "between"),
        (f"v{min(colours.values())}", f"the worst, {show(worst[0].shown)} and worse"),
    )


def _axes(data: SearchData, frame: Frame, axis: ValueAxis, gap: float) -> list[Markup]:
    """The axes with their names and ticks; names take turns in two rows where one has no room for them."""
    ticks, names = axis.ticks(data.objective.share)
    span = axis.high - axis.low
    own = [((tick - axis.low) / span, name) for tick, name in zip(ticks, names, strict=True)]
    rows: list[tuple[str, Sequence[tuple[float, str]]]] = [(each.name, each.ticks()) for each in data.axes]
    rows.append((data.objective.name, own))
    longest = max(len(name) for name, _ in rows)
    turns = 2 if longest * _WIDE_LETTER > gap - 8 else 1
    found = []
    for number, (name, marks) in enumerate(rows):
        x, last = frame.place(number, 0)[0], number == len(rows) - 1
        found.append(line((x, _TOP), (x, _TOP + _HEIGHT), "coordinate"))
        height = 12 if turns == 1 or number % 2 else 28
        room = 20 if last else int((gap * turns - 8) / _WIDE_LETTER)
        title = element("title", name)
        found.append(element("g", title + text((x, height + (8 if turns == 1 else 0)), shortened(name, room), "title")))
        found += _tick_names(marks, x, last, frame, int((gap - 16) / _LETTER))
    return found


def _tick_names(marks: Sequence[tuple[float, str]], x: float, last: bool, frame: Frame, room: int) -> list[Markup]:
    """Words beside the axis: left of a hyperparameter's, right of the objective's."""
    step = math.ceil(len(marks) / 20)
    found = []
    for place, words in marks[::step]:
        y = frame.place(0, place)[1]
        found.append(line((x - 3, y), (x + 3, y), "coordinate"))
        found.append(
            text(
                (x + (8 if last else -8), y + 4), shortened(words, room), "tick halo strong", "start" if last else "end"
            )
        )
    return found
