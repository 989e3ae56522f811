"""Learning curves of all trials in one plot."""

import math
from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from train.report.charts import Frame
from train.report.parameter_axes import value_axis
from train.report.search_charts import HEIGHT, TOP
from train.report.search_data import SearchData, Trial, finite
from train.report.svg import Point, element, picture, polyline, text
from train.report.trial_marks import LEFT, RIGHT, WIDTH, kind, note, whole_ticks

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
