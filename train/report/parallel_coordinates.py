"""Parallel coordinates: an axis a hyperparameter, a line a trial, coloured by its value."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from train.report.charts import Frame
from train.report.parameter_axes import ValueAxis
from train.report.search_charts import shortened, values_axis
from train.report.search_data import SearchData, Trial
from train.report.svg import Point, element, line, picture, polyline, text
from train.report.trial_marks import WIDTH, note

COLOURS: Final = 7
MOST_LINES: Final = 300
_LEFT: Final = 78
_RIGHT: Final = 82
_TOP: Final = 46
_HEIGHT: Final = 300
_LETTER: Final = 7.0
_LEAST_GAP: Final = 92  # pixels from one axis to the next


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
    steps = _limits(data, axis)
    for trial in reversed(lines):
        best = data.best is not None and trial.number == data.best.number
        found.append(_line(data, trial, frame, axis, "best" if best else f"v{_colour(trial, steps, data)}"))
    found += _axes(data, frame, axis, gap)
    label = (
        f"Parallel coordinates of {len(lines)} completed trials over {', '.join(each.name for each in data.axes)} "
        f"and {data.objective.name}"
    )
    left_out = len(ranked) + len(grey) - len(lines) - len(faint)
    return Parallel(picture(width, _TOP + _HEIGHT + 20, label, found), _legend(data, steps), width > WIDTH, left_out)


def _line(data: SearchData, trial: Trial, frame: Frame, axis: ValueAxis, name: str) -> Markup:
    points: list[Point] = []
    for number, parameter in enumerate(data.axes):
        place = parameter.place(trial.values.get(parameter.name))
        if place is not None:
            points.append(frame.place(number, place))
    if trial.completed:
        share = (axis.on(trial.shown or 0.0) - axis.low) / (axis.high - axis.low)
        points.append(frame.place(len(data.axes), share))
    title = element("title", note(trial, data.objective))
    return element("g", title + polyline(points, ""), class_=f"coordinates {name}")


def _limits(data: SearchData, axis: ValueAxis) -> list[float]:
    """Rising limits between the colours, evenly from the worst value on the axis to the best."""
    values = [axis.on(trial.shown or 0.0) for trial in data.completed]
    low, high = min(values), max(values)
    return [low + (high - low) * step / COLOURS for step in range(1, COLOURS)] if high > low else []


def _colour(trial: Trial, limits: Sequence[float], data: SearchData) -> int:
    """From 0, the worst, to the best."""
    if not limits:
        return COLOURS - 1
    above = sum(1 for limit in limits if (trial.shown or 0.0) >= limit)
    return above if data.objective.maximize else COLOURS - 1 - above


def _legend(data: SearchData, limits: Sequence[float]) -> tuple[tuple[str, str], ...]:
    """The worst colour, the middle one and the best, with their limits."""
    if not limits:
        return ()
    show, worst, best = data.objective.show, limits[0], limits[-1]
    if not data.objective.maximize:
        worst, best = best, worst
    than = "above" if data.objective.maximize else "below"
    return (
        ("v0", f"worse than {show(worst)}"),
        (f"v{COLOURS // 2}", "between"),
        (f"v{COLOURS - 1}", f"{than} {show(best)}"),
    )


def _axes(data: SearchData, frame: Frame, axis: ValueAxis, gap: float) -> list[Markup]:
    """The axes with their names and ticks; names take turns in two rows where one has no room for them."""
    ticks, names = axis.ticks(data.objective.share)
    span = axis.high - axis.low
    own = [((tick - axis.low) / span, name) for tick, name in zip(ticks, names, strict=True)]
    rows: list[tuple[str, Sequence[tuple[float, str]]]] = [(each.name, each.ticks()) for each in data.axes]
    rows.append((data.objective.name, own))
    longest = max(len(name) for name, _ in rows)
    turns = 2 if longest * _LETTER > gap - 8 else 1
    found = []
    for number, (name, marks) in enumerate(rows):
        x, last = frame.place(number, 0)[0], number == len(rows) - 1
        found.append(line((x, _TOP), (x, _TOP + _HEIGHT), "coordinate"))
        height = 12 if turns == 1 or number % 2 else 28
        room = int((gap * turns - 8) / _LETTER)
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
            text((x + (8 if last else -8), y + 4), shortened(words, room), "tick halo", "start" if last else "end")
        )
    return found
