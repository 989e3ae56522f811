"""Parallel coordinates: an axis a hyperparameter, a line a trial, coloured by its value.

The axes have the scale that the search drew from; they also serve the plots of one hyperparameter or objective.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from reports.charts.axes import Frame, Point, element, line, picture, polyline, text
from reports.charts.parameter_axes import ParameterAxis, ValueAxis
from reports.charts.search import shortened, values_axis
from reports.charts.trial_marks import WIDTH, note
from reports.search_data import SearchData, Trial

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
