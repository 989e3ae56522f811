"""How a trial is marked in every plot: by its state in shape and colour, the best one as a diamond."""

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from reports.charts.parameter_axes import ValueAxis, value_text
from reports.charts.plot import Plot
from reports.charts.svg import Point, circle, diamond, path
from reports.search_data import SearchData, SearchObjective, SearchTrial

_GOLDEN: Final = 0.6180339887
_ORDER: Final = ("failed", "pruned", "completed", "winner")  # what lies on top comes last


def kind(data: SearchData, trial: SearchTrial) -> str:
    """The class of a trial's mark: winner, completed, pruned or failed."""
    return "winner" if data.best is not None and trial.number == data.best.number else trial.state


def in_order(data: SearchData, trials: Sequence[SearchTrial]) -> list[SearchTrial]:
    """The order of drawing: the best on top."""
    return sorted(trials, key=lambda trial: _ORDER.index(kind(data, trial)) if kind(data, trial) in _ORDER else 0)


def spread(trial: SearchTrial) -> float:
    """From -0.5 to 0.5, evenly for any number of trials: keeps marks and lines of one value apart."""
    return (trial.number * _GOLDEN) % 1 - 0.5


def mark(place: Point, name: str, note: str) -> Markup:
    """A trial's mark. name: of `kind`, with `beyond` after it where the axis ends before the value."""
    x, y = place
    if name.endswith(" beyond"):
        return path(f"M{x - 4:.1f} {y - 6:.1f}h8l-4 7z", f"trial {name}", note)
    if name == "winner":
        return diamond(place, 6, 7, "trial winner", note)
    if name == "failed":
        return path(f"M{x - 3.5:.1f} {y - 3.5:.1f}l7 7m0 -7l-7 7", "trial failed", note)
    return circle((round(x, 1), round(y, 1)), 3.6, f"trial {name}", note)


def note(trial: SearchTrial, objective: SearchObjective) -> str:
    """What a mark shows to the pointer: state, objective and hyperparameters."""
    parts = [trial.state] if trial.state in ("pruned", "failed") else []
    if trial.shown is not None:
        parts.append(f"{objective.name} {objective.show(trial.shown)}")
    parts += [f"{name} {value_text(value)}" for name, value in trial.values.items()]
    return f"Trial {trial.number}: {', '.join(parts)}"


def add_mark(plot: Plot, data: SearchData, trial: SearchTrial, axis: ValueAxis, x: float, note: str) -> None:
    """Draw the mark at a value's height; a triangle at the edge for a value beyond the axis."""
    value = trial.shown or 0.0
    name = kind(data, trial) + (" beyond" if axis.beyond(value) else "")
    plot.add(mark(plot.place(x, axis.on(value)), name, note))
