"""Two objectives against each other, and the trials that no other one betters in both."""

from typing import Final

from markupsafe import Markup

from train.report.charts import Frame
from train.report.parameter_axes import value_axis
from train.report.search_charts import TOP
from train.report.search_data import SearchData
from train.report.svg import picture, polyline, text
from train.report.trial_marks import LEFT, RIGHT, WIDTH, mark, note

_HEIGHT: Final = 330


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
    frame = Frame(LEFT, TOP, WIDTH - LEFT - RIGHT, _HEIGHT, (across.low, up.low), (across.high, up.high))
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
    return picture(WIDTH, TOP + _HEIGHT + 44, label, found)
