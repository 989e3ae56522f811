"""A search's charts: history, importance, a plot for each hyperparameter, two objectives, all learning curves.

A trial is marked in every plot by its state, in shape and colour, the best one as a diamond.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from reports.charts.axes import Frame, Point, element, picture, polyline, text
from reports.charts.parameter_axes import ParameterAxis, ValueAxis, shown, value_axis
from reports.charts.trial_marks import LEFT, RIGHT, WIDTH, in_order, kind, mark, note, value_mark, whole_ticks
from reports.page import percent
from reports.search_data import SearchData, Trial, finite
from reports.units import real

TOP: Final = 30
HEIGHT: Final = 280
_STRIP: Final = 22  # below the plot: trials without a value
_BAR: Final = 26
_NAMES: Final = 150


def values_axis(data: SearchData) -> ValueAxis:
    """The axis of the first objective, the same in every chart of trials."""
    values = {
        done: [t.shown for t in data.valued if t.shown is not None and t.completed is done] for done in (True, False)
    }
    return value_axis(values[True], data.objective.maximize, others=values[False])


def history(data: SearchData) -> Markup | None:
    """Each trial's value over its number, and the best so far; None before any trial has ended."""
    ended = [trial for trial in data.trials if trial.state != "running"]
    if not ended:
        return None
    axis = values_axis(data)
    last = max(trial.number for trial in data.trials)
    frame = Frame(LEFT, TOP, WIDTH - LEFT - RIGHT, HEIGHT, (0.5, axis.low), (last + 0.5, axis.high))
    without = [trial for trial in ended if trial.shown is None]
    found = _value_grid(frame, axis, data) if data.valued else []
    steps = whole_ticks(1, last, 10)
    below = Frame(LEFT, TOP, frame.width, HEIGHT + (_STRIP if without else 0), frame.low, frame.high)
    found += below.below(steps, [f"{step:,}" for step in steps], "trial")
    if without:
        middle = TOP + HEIGHT + _STRIP / 2
        found.append(text((LEFT - 8, middle + 4), "no value", anchor="end"))
        for trial in without:
            found.append(mark((frame.place(trial.number, 0)[0], middle), trial.state, note(trial, data.objective)))
    found += _best_so_far(data, frame, axis, last)
    for trial in in_order(data, data.valued):
        found.append(value_mark(data, trial, frame, axis, trial.number, note(trial, data.objective)))
    best = f"; the best is trial {data.best.number} with {data.objective.show(data.best.shown)}" if data.best else ""
    label = f"History: {data.objective.name} of {len(data.valued)} trials over their number{best}"
    return picture(WIDTH, below.top + below.height + 44, label, found)


def _value_grid(frame: Frame, axis: ValueAxis, data: SearchData) -> list[Markup]:
    ticks, names = axis.ticks(data.objective.share)
    return [*frame.grid(ticks, names), text((4, 14), data.objective.axis, "axis", anchor="start")]


def _best_so_far(data: SearchData, frame: Frame, axis: ValueAxis, last: int) -> list[Markup]:
    """The step line, from the first completed trial to the right side."""
    points: list[Point] = []
    best: float | None = None
    for trial in data.completed:
        value = trial.shown or 0.0
        if best is None or data.objective.gain(value, best) > 0:
            if best is not None:
                points.append(frame.place(trial.number, axis.on(best)))
            points.append(frame.place(trial.number, axis.on(value)))
            best = value
    if best is None:
        return []
    return [polyline([*points, frame.place(last + 0.5, axis.on(best))], "bestsofar")]


def importance(given: Mapping[str, Any] | None) -> Markup | None:
    """A bar a hyperparameter, the most important first; None without importances."""
    shares = {str(name): real(share) or 0.0 for name, share in ((given or {}).get("values") or {}).items()}
    if given is None or not shares:
        return None
    ranked = sorted(shares.items(), key=lambda each: -each[1])
    most = max(ranked[0][1], 1e-9)
    found, room = [], 484 - _NAMES - 66
    for number, (name, share) in enumerate(ranked):
        y, width = number * _BAR, max(room * share / most, 1.5)
        found.append(text((_NAMES - 8, y + 17), shortened(name, 17), "title", anchor="end"))
        title = element("title", f"{name}: {percent(share)}")
        found.append(element("rect", title, x=_NAMES, y=y + 4, width=width, height=_BAR - 9, class_="importance"))
        found.append(text((_NAMES + width + 6, y + 17), percent(share), anchor="start"))
    words = ", ".join(f"{name} {percent(share)}" for name, share in ranked)
    return picture(484, len(ranked) * _BAR + 4, f"Importance of the hyperparameters: {words}", found)


def shortened(words: str, most: int) -> str:
    """At most so many letters."""
    return words if len(words) <= most else words[: max(most - 1, 1)] + "\u2026"


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


_PARETO_HEIGHT: Final = 330


def pareto(data: SearchData) -> Markup | None:
    """The second objective over the first; the front's trials as diamonds. None with one objective, or no trial."""
    if len(data.objectives) < 2:
        return None
    trials = [trial for trial in data.completed if len(trial.objective) > 1 and trial.objective[1] is not None]
    if not trials:
        return None
    first, second = data.objectives[:2]
    pairs = {trial.number: (trial.shown or 0.0, trial.objective[1] or 0.0) for trial in trials}
    across = value_axis([x for x, _ in pairs.values()], first.maximize)
    up = value_axis([y for _, y in pairs.values()], second.maximize)
    frame = Frame(LEFT, TOP, WIDTH - LEFT - RIGHT, _PARETO_HEIGHT, (across.low, up.low), (across.high, up.high))
    found = frame.grid(*up.ticks(second.share))
    found.append(text((4, 14), second.axis, "axis", anchor="start"))
    found += frame.below(*across.ticks(first.share), first.axis)
    front = [trial for trial in trials if trial.number in data.front]
    if len(data.objectives) == 2:
        placed = sorted(frame.place(across.on(pairs[t.number][0]), up.on(pairs[t.number][1])) for t in front)
        found.append(polyline(placed, "front"))
    for trial in sorted(trials, key=lambda each: each.number in data.front):
        x, y = pairs[trial.number]
        name = "winner" if trial.number in data.front else "completed"
        if across.beyond(x) or up.beyond(y):
            name += " beyond"
        told = f"{note(trial, first)}, {second.name} {second.show(y)}"
        found.append(mark(frame.place(across.on(x), up.on(y)), name, told))
    label = f"{second.name} over {first.name} of {len(trials)} trials; {len(front)} of them are the Pareto front"
    return picture(WIDTH, TOP + _PARETO_HEIGHT + 44, label, found)


MOST_CURVES: Final = 300
_POINTS: Final = 20_000  # of all curves together


def curves(data: SearchData) -> Markup | None:
    """The objective over the epochs of every trial, the best on top; None without any epoch."""
    metric = data.curve_metric()
    found_points = {trial.number: _points(trial, metric.metric) for trial in drawn_curves(data)}
    ends = [points[-1][1] for points in found_points.values() if points]
    every = [y for points in found_points.values() for _, y in points]
    if not every:
        return None
    xs = [x for points in found_points.values() for x, _ in points]
    # Where curves end decides what lies beyond; before, they may have been far off.
    axis = value_axis([*ends, *(every if len(every) < 100 else every[:: len(every) // 100])], metric.maximize)
    first, last = min(xs), max(xs)
    frame = Frame(LEFT, TOP, WIDTH - LEFT - RIGHT, HEIGHT, (first, axis.low), (last, axis.high))
    ticks, names = axis.ticks(metric.share)
    found = [*frame.grid(ticks, names), text((4, 14), metric.axis, "axis", anchor="start")]
    steps = whole_ticks(first, last, 10)
    found += frame.below(steps, [f"{step:,}" for step in steps], "epoch")
    most = max(_POINTS // len(found_points), 20)
    drawn_last = {"completed": 0, "failed": 1, "running": 1, "pruned": 2, "winner": 3}
    for trial in sorted(drawn_curves(data), key=lambda each: drawn_last.get(kind(data, each), 1)):
        points = found_points[trial.number]
        if points:
            step = math.ceil(len(points) / most)
            placed = [frame.place(x, axis.on(y)) for x, y in [*points[:-1:step], points[-1]]]
            found.append(_curve(kind(data, trial), placed, note(trial, data.objective)))
    drawn = sum(1 for points in found_points.values() if points)
    label = f"Learning curves: {metric.name} over the epochs of {drawn} trials"
    return picture(WIDTH, TOP + HEIGHT + 44, label, found)


def drawn_curves(data: SearchData) -> list[Trial]:
    """The trials whose curves are drawn: the best completed ones, then the latest others, if there are too many."""
    ranked = data.ranked()
    others = [trial for trial in reversed(data.trials) if not trial.completed]
    return [trial for trial in [*ranked, *others] if trial.epochs][:MOST_CURVES]


def _points(trial: Trial, metric: str) -> list[Point]:
    rows = [(finite(row.get("epoch", place)), finite(row.get(metric))) for place, row in enumerate(trial.epochs, 1)]
    return [(x, y) for x, y in rows if x is not None and y is not None]


def _curve(name: str, points: Sequence[Point], words: str) -> Markup:
    """The line and a dot at its end; of a lone epoch the dot."""
    content = polyline(points, "") if len(points) > 1 else Markup("")
    x, y = points[-1]
    content += element("circle", cx=round(x, 1), cy=round(y, 1), r=4.5 if name == "winner" else 2.6)
    return element("g", element("title", words) + content, class_=f"curve {name}")
