"""How a trial is marked in every plot: by its state in shape and colour, the best one as a diamond."""

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from reports.charts.axes import Frame, Point, element, nice_ticks
from reports.charts.parameter_axes import ValueAxis, shown
from reports.search_data import Objective, SearchData, Trial

WIDTH: Final = 960
LEFT: Final = 74
RIGHT: Final = 16
_ORDER: Final = ("failed", "pruned", "completed", "winner")  # what lies on top comes last


def kind(data: SearchData, trial: Trial) -> str:
    """The class of a trial's mark: winner, completed, pruned or failed."""
    return "winner" if data.best is not None and trial.number == data.best.number else trial.state


def in_order(data: SearchData, trials: Sequence[Trial]) -> list[Trial]:
    """The order of drawing: the best on top."""
    return sorted(trials, key=lambda trial: _ORDER.index(kind(data, trial)) if kind(data, trial) in _ORDER else 0)


def mark(place: Point, name: str, note: str) -> Markup:
    """A trial's mark. name: of `kind`, with `beyond` after it where the axis ends before the value."""
    x, y = place
    title = element("title", note)
    shape = name.split(" ", 1)[0]
    if name.endswith(" beyond"):
        return element("path", title, d=f"M{x - 4:.1f} {y - 6:.1f}h8l-4 7z", class_=f"trial {name}")
    if shape == "winner":
        return element("path", title, d=f"M{x:.1f} {y - 7:.1f}l6 7l-6 7l-6 -7z", class_="trial winner")
    if shape == "failed":
        return element("path", title, d=f"M{x - 3.5:.1f} {y - 3.5:.1f}l7 7m0 -7l-7 7", class_="trial failed")
    return element("circle", title, cx=round(x, 1), cy=round(y, 1), r=3.6, class_=f"trial {name}")


def note(trial: Trial, objective: Objective, values: bool = True) -> str:
    """What a mark says when the pointer rests on it."""
    told = {"pruned": "pruned", "failed": "failed"}.get(trial.state, "")
    value = f"{objective.name} {objective.show(trial.shown)}" if trial.shown is not None else ""
    parts = [each for each in (told, value) if each]
    if values:
        parts += [f"{name} {shown(each)}" for name, each in trial.values.items()]
    return f"Trial {trial.number}: {', '.join(parts)}"


def value_mark(data: SearchData, trial: Trial, frame: Frame, axis: ValueAxis, x: float, words: str) -> Markup:
    """The mark at a value's height; a triangle at the edge for a value beyond the axis."""
    value = trial.shown or 0.0
    name = kind(data, trial) + (" beyond" if axis.beyond(value) else "")
    return mark(frame.place(x, axis.on(value)), name, words)


def whole_ticks(first: float, last: float, about: int) -> list[int]:
    """Round whole numbers from the first to the last, the first among them."""
    steps = sorted({round(tick) for tick in nice_ticks(first, last, about)} | {round(first)})
    if len(steps) > 1 and steps[1] - steps[0] < (last - first) / (2 * about):
        del steps[1]
    return steps
