"""One plot a hyperparameter: each trial's value of it against the objective."""

from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from train.report.charts import Frame
from train.report.parameter_axes import ParameterAxis, ValueAxis, shown
from train.report.search_charts import shortened, values_axis
from train.report.search_data import SearchData, Trial
from train.report.svg import element, picture, text
from train.report.trial_marks import in_order, mark, value_mark

_WIDTH: Final = 330
_HEIGHT: Final = 170
_LEFT: Final = 56
_GOLDEN: Final = 0.6180339887  # spreads any number of trials evenly over a choice's width
_LETTER: Final = 7.0


@dataclass(frozen=True)
class Slice:
    """A plot, and the hyperparameter's name."""

    name: str
    chart: Markup


def slices(data: SearchData) -> list[Slice]:
    """A plot for each hyperparameter; none before any trial has a value."""
    if not data.valued:
        return []
    axis = values_axis(data)
    return [Slice(each.name, _slice(data, each, axis)) for each in data.axes]


def _slice(data: SearchData, parameter: ParameterAxis, axis: ValueAxis) -> Markup:
    frame = Frame(_LEFT, 8, _WIDTH - _LEFT - 24, _HEIGHT, (0.0, axis.low), (1.0, axis.high))
    found = frame.grid(*axis.ticks(data.objective.share))
    failed = [trial for trial in data.trials if trial.state == "failed" and _place(parameter, trial) is not None]
    strip = 18 if failed else 0
    below = Frame(_LEFT, 8, frame.width, _HEIGHT + strip, frame.low, frame.high)
    found += _ticks(parameter, below)
    for trial in failed:
        x = frame.place(_place(parameter, trial) or 0.0, 0)[0]
        found.append(mark((x, 8 + _HEIGHT + strip / 2), "failed", _note(data, parameter, trial)))
    drawn = 0
    for trial in in_order(data, data.valued):
        place = _place(parameter, trial)
        if place is not None:
            found.append(value_mark(data, trial, frame, axis, place, _note(data, parameter, trial)))
            drawn += 1
    label = f"{data.objective.name} over {parameter.name} ({parameter.range()}) of {drawn} trials"
    return picture(_WIDTH, below.top + below.height + 26, label, found)


def _place(parameter: ParameterAxis, trial: Trial) -> float | None:
    place = parameter.place(trial.values.get(parameter.name))
    if place is None or parameter.kind != "categorical":
        return place
    return place + ((trial.number * _GOLDEN) % 1 - 0.5) * 0.6 / len(parameter.choices)


def _ticks(parameter: ParameterAxis, below: Frame) -> list[Markup]:
    """Names under the plot: those that have room."""
    found, free = [], -1.0
    ticks = parameter.ticks()
    room = max(int(below.width / len(ticks) / _LETTER), 3) if parameter.kind == "categorical" else 9
    bottom = below.top + below.height
    last = below.place(ticks[-1][0], 0)[0] - _LETTER * len(shortened(ticks[-1][1], room)) / 2
    for number, (place, name) in enumerate(ticks):
        x, words = below.place(place, 0)[0], shortened(name, room)
        half = _LETTER * len(words) / 2
        found.append(element("path", d=f"M{x:.1f} {bottom:.1f}v5", class_="tickmark"))
        if x - half > free and (number == len(ticks) - 1 or x + half < last):
            found.append(text((x, bottom + 18), words))
            free = x + half
    return found


def _note(data: SearchData, parameter: ParameterAxis, trial: Trial) -> str:
    state = "" if trial.completed else f", {trial.state}"
    value = f", {data.objective.show(trial.shown)}" if trial.shown is not None else ""
    return f"Trial {trial.number}{state}: {parameter.name} {shown(trial.values.get(parameter.name))}{value}"
