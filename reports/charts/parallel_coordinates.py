"""Parallel coordinates: an axis a hyperparameter, a line a trial, coloured by its value.

The axes have the scale that the search drew from; they also serve the plots of one hyperparameter or objective.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from reports.charts.parameter_axes import ParameterAxis, ValueAxis
from reports.charts.plot import LETTER, WIDE_LETTER, Plot
from reports.charts.search import values_axis
from reports.charts.svg import WIDTH, Point, group, line, polyline, text
from reports.charts.trial_marks import note, spread
from reports.search_data import SearchData, SearchTrial
from reports.units import shortened

COLOURS: Final = 7
MOST_LINES: Final = 300
_MARGINS: Final = (78, 82, 46)
_HEIGHT: Final = 300
_SPREAD: Final = 0.3  # of the distance between two values: how far lines of one value lie apart
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
    width = max(WIDTH, _MARGINS[0] + _MARGINS[1] + _LEAST_GAP * len(data.axes))
    axis = values_axis(data)
    plot = Plot(width, _HEIGHT, _MARGINS, (0.0, len(data.axes)))
    grey = [trial for trial in data.trials if trial.state in ("pruned", "failed")]
    lines, faint = ranked[:MOST_LINES], grey[: max(MOST_LINES - len(ranked), 0)]
    plot.add(*(_line(data, trial, plot, axis, "faint") for trial in faint))
    colours = _colours(ranked)
    for trial in reversed(lines):
        best = data.best is not None and trial.number == data.best.number
        plot.add(_line(data, trial, plot, axis, "winner" if best else f"v{colours[trial.number]}"))
    _add_axes(plot, data, axis)
    label = (
        f"Parallel coordinates of {len(lines)} completed trials over "
        f"{', '.join(parameter.name for parameter in data.axes)} and {data.objective.name}"
    )
    left_out = len(ranked) + len(grey) - len(lines) - len(faint)
    return Parallel(plot.picture(label, 20), _legend(data, ranked, colours), width > WIDTH, left_out)


def _line(data: SearchData, trial: SearchTrial, plot: Plot, axis: ValueAxis, name: str) -> Markup:
    points: list[Point] = []
    for number, parameter in enumerate(data.axes):
        place = parameter.place(trial.values.get(parameter.name))
        if place is not None:
            points.append(plot.place(number, place + _offset(parameter, trial)))
    if trial.completed:
        points.append(plot.place(len(data.axes), axis.place(axis.on(trial.shown or 0.0))))
    return group([polyline(points, "")], f"coordinates {name}", note(trial, data.objective))


def _offset(parameter: ParameterAxis, trial: SearchTrial) -> float:
    """Lines that meet in one value of few can't be followed: each passes a little beside it."""
    count = len(parameter.choices) if parameter.kind == "categorical" else parameter.high - parameter.low
    if parameter.kind == "continuous" or not 0 < count <= _MOST_WHOLE:
        return 0.0
    return spread(trial) * min(_SPREAD / count, 0.08)


def _colours(ranked: Sequence[SearchTrial]) -> dict[int, int]:
    """By number, from 0 for the worst seventh of the trials to 6 for the best; trials of one value have one colour."""
    colours, rank = {}, 0
    for number, trial in enumerate(ranked):
        if number and trial.shown != ranked[number - 1].shown:
            rank = number
        colours[trial.number] = COLOURS - 1 - COLOURS * rank // len(ranked)
    return colours


def _legend(data: SearchData, ranked: Sequence[SearchTrial], colours: Mapping[int, int]) -> tuple[tuple[str, str], ...]:
    """The best colour, the middle one and the worst, with the values that they begin and end with."""
    least = min(colours.values())
    worst = [trial for trial in ranked if colours[trial.number] == least]
    if len(worst) == len(ranked):
        return ()
    top = [trial for trial in ranked if colours[trial.number] == COLOURS - 1]
    show = data.objective.show
    return (
        (f"v{COLOURS - 1}", f"the best seventh, {show(top[-1].shown)} and better"),
        (f"v{COLOURS // 2}", "between"),
        (f"v{least}", f"the worst, {show(worst[0].shown)} and worse"),
    )


def _add_axes(plot: Plot, data: SearchData, axis: ValueAxis) -> None:
    """The axes with their names and ticks; names take turns in two rows where one has no room for them."""
    values, names = axis.ticks(data.objective.share)
    axes = [(parameter.name, parameter.ticks()) for parameter in data.axes]
    axes.append((data.objective.name, list(zip(map(axis.place, values), names, strict=True))))
    gap = plot.width / len(data.axes)
    turns = 2 if max(len(name) for name, _ in axes) * WIDE_LETTER > gap - 8 else 1
    for number, (name, ticks) in enumerate(axes):
        last = number == len(axes) - 1
        plot.vertical(number, "coordinate")
        height = 20 if turns == 1 else 12 if number % 2 else 28
        room = 20 if last else int((gap * turns - 8) / WIDE_LETTER)
        plot.add(group([text((plot.x(number), height), shortened(name, room), "title")], "", name))
        _add_tick_names(plot, number, ticks, last, int((gap - 16) / LETTER))


def _add_tick_names(plot: Plot, number: int, ticks: Sequence[tuple[float, str]], last: bool, room: int) -> None:
    """Words beside the axis: left of a hyperparameter's, right of the objective's."""
    x, side, anchor = plot.x(number), (8 if last else -8), ("start" if last else "end")
    for place, words in ticks[:: math.ceil(len(ticks) / 20)]:
        y = plot.y(place)
        plot.add(line((x - 3, y), (x + 3, y), "coordinate"))
        plot.add(text((x + side, y + 4), shortened(words, room), "tick halo strong", anchor))
