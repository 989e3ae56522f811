"""A search's charts: history, hyperparameter importance, Pareto front, learning curves of all trials."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from train.report.charts import Frame
from train.report.page import percent
from train.report.parameter_axes import ValueAxis, value_axis
from train.report.search_data import SearchData, Trial, finite
from train.report.svg import Point, element, picture, polyline, text
from train.report.trial_marks import LEFT, RIGHT, WIDTH, in_order, kind, mark, note, value_mark, whole_ticks
from train.report.units import real

_TOP: Final = 30
_HEIGHT: Final = 280
_STRIP: Final = 22  # below the plot: trials without a value
_BAR: Final = 26
_NAMES: Final = 150
_CURVE_POINTS: Final = 20_000  # of all curves together
MOST_CURVES: Final = 300


def values_axis(data: SearchData) -> ValueAxis:
    """The axis of the first objective, the same in every chart of trials."""
    return value_axis([trial.shown for trial in data.valued if trial.shown is not None], data.objective.maximize)


def history(data: SearchData) -> Markup | None:
    """Each trial's value over its number, and the best so far; None before any trial has ended."""
    ended = [trial for trial in data.trials if trial.state != "running"]
    if not ended:
        return None
    axis = values_axis(data)
    last = max(trial.number for trial in data.trials)
    frame = Frame(LEFT, _TOP, WIDTH - LEFT - RIGHT, _HEIGHT, (0.5, axis.low), (last + 0.5, axis.high))
    without = [trial for trial in ended if trial.shown is None]
    found = _value_grid(frame, axis, data) if data.valued else []
    steps = whole_ticks(1, last, 10)
    below = Frame(LEFT, _TOP, frame.width, _HEIGHT + (_STRIP if without else 0), frame.low, frame.high)
    found += below.below(steps, [f"{step:,}" for step in steps], "trial")
    if without:
        middle = _TOP + _HEIGHT + _STRIP / 2
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
    words = f"{data.objective.name}, {'higher' if data.objective.maximize else 'lower'} is better"
    return [*frame.grid(ticks, names), text((4, 14), words, "axis", anchor="start")]


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
        found.append(text((_NAMES - 8, y + 17), shortened(name, 20), "title", anchor="end"))
        title = element("title", f"{name}: {percent(share)}")
        found.append(element("rect", title, x=_NAMES, y=y + 4, width=width, height=_BAR - 9, class_="importance"))
        found.append(text((_NAMES + width + 6, y + 17), percent(share), anchor="start"))
    words = ", ".join(f"{name} {percent(share)}" for name, share in ranked)
    return picture(484, len(ranked) * _BAR + 4, f"Importance of the hyperparameters: {words}", found)


def shortened(words: str, most: int) -> str:
    """At most so many letters."""
    return words if len(words) <= most else words[: max(most - 1, 1)] + "\u2026"


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
    frame = Frame(LEFT, _TOP, WIDTH - LEFT - RIGHT, 330, (across.low, up.low), (across.high, up.high))
    found = frame.grid(*up.ticks(second.share))
    words = f"{second.name}, {'higher' if second.maximize else 'lower'} is better"
    found.append(text((4, 14), words, "axis", anchor="start"))
    words = f"{first.name}, {'higher' if first.maximize else 'lower'} is better"
    found += frame.below(*across.ticks(first.share), words)
    front = [trial for trial in trials if trial.number in data.front]
    if len(data.objectives) == 2:
        placed = sorted(frame.place(across.on(pairs[t.number][0]), up.on(pairs[t.number][1])) for t in front)
        found.append(polyline(placed, "front"))
    for trial in sorted(trials, key=lambda each: each.number in data.front):
        x, y = pairs[trial.number]
        name = "best" if trial.number in data.front else "completed"
        if across.beyond(x) or up.beyond(y):
            name += " beyond"
        told = f"{note(trial, first)}, {second.name} {second.show(y)}"
        found.append(mark(frame.place(across.on(x), up.on(y)), name, told))
    label = f"{second.name} over {first.name} of {len(trials)} trials; {len(front)} of them are the Pareto front"
    return picture(WIDTH, _TOP + 330 + 44, label, found)


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
    frame = Frame(LEFT, _TOP, WIDTH - LEFT - RIGHT, _HEIGHT, (first, axis.low), (last, axis.high))
    ticks, names = axis.ticks(metric.share)
    words = f"{metric.name}, {'higher' if metric.maximize else 'lower'} is better"
    found = [*frame.grid(ticks, names), text((4, 14), words, "axis", anchor="start")]
    steps = whole_ticks(first, last, 10)
    found += frame.below(steps, [f"{step:,}" for step in steps], "epoch")
    most = max(_CURVE_POINTS // len(found_points), 20)
    for trial in in_order(data, drawn_curves(data)):
        found += _curve(trial, kind(data, trial), found_points[trial.number], frame, axis, most, note(trial, metric))
    drawn = sum(1 for points in found_points.values() if points)
    label = f"Learning curves: {metric.name} over the epochs of {drawn} trials"
    return picture(WIDTH, _TOP + _HEIGHT + 44, label, found)


def drawn_curves(data: SearchData) -> list[Trial]:
    """The trials whose curves are drawn: the best completed ones, then the latest others, if there are too many."""
    ranked = data.ranked()
    others = [trial for trial in reversed(data.trials) if not trial.completed]
    return [trial for trial in [*ranked, *others] if trial.epochs][:MOST_CURVES]


def _points(trial: Trial, metric: str) -> list[Point]:
    rows = [(finite(row.get("epoch")), finite(row.get(metric))) for row in trial.epochs]
    return [(x, y) for x, y in rows if x is not None and y is not None]


def _curve(
    trial: Trial, name: str, points: Sequence[Point], frame: Frame, axis: ValueAxis, most: int, words: str
) -> list[Markup]:
    """The line and a dot at its end; of a lone epoch the dot."""
    if not points:
        return []
    step = math.ceil(len(points) / most)
    placed = [frame.place(x, axis.on(y)) for x, y in [*points[:-1:step], points[-1]]]
    content = polyline(placed, "") if len(placed) > 1 else Markup("")
    x, y = placed[-1]
    content += element("circle", cx=round(x, 1), cy=round(y, 1), r=4.5 if name == "best" else 2.6)
    return [element("g", element("title", words) + content, class_=f"curve {name}")]
