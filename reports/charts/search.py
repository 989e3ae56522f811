"""A search's charts: history, importance, a plot for each hyperparameter, two objectives, all learning curves.

A trial is marked in every plot by its state, in shape and colour, the best one as a diamond.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from reports.charts.parameter_axes import ParameterAxis, ValueAxis, value_axis, value_text
from reports.charts.plot import WIDE_LETTER, Plot
from reports.charts.svg import HALF, WIDTH, Point, circle, group, picture, polyline, rectangle, text
from reports.charts.ticks import whole_ticks
from reports.charts.trial_marks import add_mark, in_order, kind, mark, note, spread
from reports.search_data import SearchData, SearchObjective, SearchTrial, finite
from reports.units import percent, shortened

_MARGINS: Final = (74, 16, 30)
_HEIGHT: Final = 280
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
    axis, last = values_axis(data), max(trial.number for trial in data.trials)
    plot = Plot(WIDTH, _HEIGHT, _MARGINS, (0.5, last + 0.5), (axis.low, axis.high))
    if data.valued:
        _add_values(plot, axis, data.objective)
    without = [trial for trial in ended if trial.shown is None]
    strip = _STRIP if without else 0
    _add_numbers(plot, whole_ticks(1, last, 10), "trial", strip)
    if without:
        y = plot.bottom + strip / 2
        plot.add(text((plot.left - 8, y + 4), "no value", anchor="end"))
        plot.add(*(mark((plot.x(trial.number), y), trial.state, note(trial, data.objective)) for trial in without))
    _add_best_so_far(plot, data, axis)
    for trial in in_order(data, data.valued):
        add_mark(plot, data, trial, axis, trial.number, note(trial, data.objective))
    best = f"; the best is trial {data.best.number} with {data.objective.show(data.best.shown)}" if data.best else ""
    label = f"History: {data.objective.name} of {len(data.valued)} trials over their number{best}"
    return plot.picture(label, 44 + strip)


def _add_values(plot: Plot, axis: ValueAxis, objective: SearchObjective) -> None:
    plot.y_axis(*axis.ticks(objective.share), objective.axis)


def _add_numbers(plot: Plot, numbers: Sequence[int], title: str, below: float = 0) -> None:
    plot.x_axis(numbers, [f"{number:,}" for number in numbers], title, below)


def _add_best_so_far(plot: Plot, data: SearchData, axis: ValueAxis) -> None:
    """The step line, from the first completed trial to the right side."""
    points: list[Point] = []
    best: float | None = None
    for trial in data.completed:
        value = trial.shown or 0.0
        if best is None or data.objective.gain(value, best) > 0:
            if best is not None:
                points.append(plot.place(trial.number, axis.on(best)))
            points.append(plot.place(trial.number, axis.on(value)))
            best = value
    if best is not None:
        plot.add(polyline([*points, plot.place(plot.x_range[1], axis.on(best))], "bestsofar"))


def importance(data: SearchData) -> Markup | None:
    """A bar a hyperparameter, the most important first; None without importances."""
    if not data.importances:
        return None
    most, room = max(*data.importances.values(), 1e-9), HALF - _NAMES - 66
    drawn = []
    for number, (name, share) in enumerate(data.importances.items()):
        y, width = number * _BAR, max(room * share / most, 1.5)
        drawn.append(text((_NAMES - 8, y + 17), shortened(name, 17), "title", "end"))
        drawn.append(rectangle((_NAMES, y + 4), width, _BAR - 9, "importance", f"{name}: {percent(share)}"))
        drawn.append(text((_NAMES + width + 6, y + 17), percent(share), anchor="start"))
    words = ", ".join(f"{name} {percent(share)}" for name, share in data.importances.items())
    return picture(HALF, len(data.importances) * _BAR + 4, f"Importance of the hyperparameters: {words}", drawn)


_SLICE_WIDTH: Final = 330
_SLICE_HEIGHT: Final = 170
_SLICE_STRIP: Final = 18


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
    return [Slice(parameter.name, _slice(data, parameter, axis)) for parameter in data.axes]


def _slice(data: SearchData, parameter: ParameterAxis, axis: ValueAxis) -> Markup:
    plot = Plot(_SLICE_WIDTH, _SLICE_HEIGHT, (56, 24, 8), (0.0, 1.0), (axis.low, axis.high))
    plot.y_axis(*axis.ticks(data.objective.share))
    places = {trial.number: _slice_place(parameter, trial) for trial in data.trials}
    failed = [trial for trial in data.trials if trial.state == "failed" and places[trial.number] is not None]
    strip = _SLICE_STRIP if failed else 0
    ticks = parameter.ticks()
    room = max(int(plot.width / len(ticks) / WIDE_LETTER), 3) if parameter.kind == "categorical" else 9
    plot.x_axis([place for place, _ in ticks], [shortened(name, room) for _, name in ticks], below=strip)
    for trial in failed:
        place = (plot.x(places[trial.number] or 0.0), plot.bottom + strip / 2)
        plot.add(mark(place, "failed", _slice_note(data, parameter, trial)))
    drawn = 0
    for trial in in_order(data, data.valued):
        x = places[trial.number]
        if x is not None:
            add_mark(plot, data, trial, axis, x, _slice_note(data, parameter, trial))
            drawn += 1
    return plot.picture(
        f"{data.objective.name} over {parameter.name} ({parameter.range()}) of {drawn} trials", 26 + strip
    )


def _slice_place(parameter: ParameterAxis, trial: SearchTrial) -> float | None:
    place = parameter.place(trial.values.get(parameter.name))
    if place is None or parameter.kind != "categorical":
        return place
    return place + spread(trial) * 0.6 / len(parameter.choices)


def _slice_note(data: SearchData, parameter: ParameterAxis, trial: SearchTrial) -> str:
    state = "" if trial.completed else f", {trial.state}"
    value = f", {data.objective.show(trial.shown)}" if trial.shown is not None else ""
    return f"Trial {trial.number}{state}: {parameter.name} {value_text(trial.values.get(parameter.name))}{value}"


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
    plot = Plot(WIDTH, _PARETO_HEIGHT, _MARGINS, (across.low, across.high), (up.low, up.high))
    _add_values(plot, up, second)
    plot.x_axis(*across.ticks(first.share), first.axis)
    places = {number: plot.place(across.on(x), up.on(y)) for number, (x, y) in pairs.items()}
    front = [trial for trial in trials if trial.number in data.front]
    if len(data.objectives) == 2:
        plot.add(polyline(sorted(places[trial.number] for trial in front), "front"))
    for trial in sorted(trials, key=lambda trial: trial.number in data.front):
        x, y = pairs[trial.number]
        name = "winner" if trial.number in data.front else "completed"
        if across.beyond(x) or up.beyond(y):
            name += " beyond"
        plot.add(mark(places[trial.number], name, f"{note(trial, first)}, {second.name} {second.show(y)}"))
    return plot.picture(
        f"{second.name} over {first.name} of {len(trials)} trials; {len(front)} of them are the Pareto front"
    )


MOST_CURVES: Final = 300
_POINTS: Final = 20_000  # of all curves together


def curves(data: SearchData) -> Markup | None:
    """The objective over the epochs of every trial, the best on top; None without any epoch."""
    metric, trials = data.curve_metric(), drawn_curves(data)
    points = {trial.number: curve for trial in trials if (curve := _points(trial, metric.metric))}
    values = [y for curve in points.values() for _, y in curve]
    if not values:
        return None
    # Where curves end decides what lies beyond; before, they may have been far off.
    ends = [curve[-1][1] for curve in points.values()]
    axis = value_axis([*ends, *values[:: max(len(values) // 100, 1)]], metric.maximize)
    epochs = [x for curve in points.values() for x, _ in curve]
    plot = Plot(WIDTH, _HEIGHT, _MARGINS, (min(epochs), max(epochs)), (axis.low, axis.high))
    _add_values(plot, axis, metric)
    _add_numbers(plot, whole_ticks(*plot.x_range, 10), "epoch")
    most = max(_POINTS // len(trials), 20)
    on_top = {"completed": 0, "failed": 1, "running": 1, "pruned": 2, "winner": 3}
    for trial in sorted(trials, key=lambda trial: on_top.get(kind(data, trial), 1)):
        if trial.number in points:
            curve = points[trial.number]
            step = math.ceil(len(curve) / most)
            places = [plot.place(x, axis.on(y)) for x, y in [*curve[:-1:step], curve[-1]]]
            plot.add(_curve(kind(data, trial), places, note(trial, data.objective)))
    return plot.picture(f"Learning curves: {metric.name} over the epochs of {len(points)} trials")


def drawn_curves(data: SearchData) -> list[SearchTrial]:
    """The trials whose curves are drawn: the best completed ones, then the latest others, if there are too many."""
    others = [trial for trial in reversed(data.trials) if not trial.completed]
    return [trial for trial in [*data.ranked(), *others] if trial.epochs][:MOST_CURVES]


def _points(trial: SearchTrial, metric: str) -> list[Point]:
    rows = [(finite(row.get("epoch", place)), finite(row.get(metric))) for place, row in enumerate(trial.epochs, 1)]
    return [(x, y) for x, y in rows if x is not None and y is not None]


def _curve(name: str, places: Sequence[Point], note: str) -> Markup:
    """The line and a dot at its end; of a lone epoch the dot."""
    line = [polyline(places, "")] if len(places) > 1 else []
    x, y = places[-1]
    end = circle((round(x, 1), round(y, 1)), 4.5 if name == "winner" else 2.6, "")
    return group([*line, end], f"curve {name}", note)
