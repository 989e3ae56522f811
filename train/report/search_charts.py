"""A search's charts: history, and hyperparameter importance."""

from collections.abc import Mapping
from typing import Any, Final

from markupsafe import Markup

from train.report.charts import Frame
from train.report.page import percent
from train.report.parameter_axes import ValueAxis, value_axis
from train.report.search_data import SearchData
from train.report.svg import Point, element, picture, polyline, text
from train.report.trial_marks import LEFT, RIGHT, WIDTH, in_order, mark, note, value_mark, whole_ticks
from train.report.units import real

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
