"""Utilisation over time: small plots below each other on one time axis, with stages shaded and findings marked."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from reports.charts.heat_map import cells, row_note
from reports.charts.lanes import LANE, Lane, Span, add_lanes
from reports.charts.plot import Plot
from reports.charts.shades import share_scale
from reports.charts.svg import WIDTH, group, line, polygon, rectangle, text
from reports.units import seconds

_LEFT: Final = 74
_RIGHT: Final = 20
_PANEL: Final = 66
_TITLE: Final = 20
_GAP: Final = 14
_STRIP: Final = 18  # a row of stages
_LEGEND: Final = 46
_CELLS: Final = 300.0  # pixels that a heat map's rows may take together
_MOST_CELLS: Final = 300  # columns
_LINES: Final = ("one", "two")  # classes; a panel has no more lines than that
_EPOCHS: Final = ("epoch", "odd")
_ROWS: Final = {
    "initialization": "stage", "training": "stage", "finalization": "stage", "epoch": "epoch", "odd": "epoch",
    "validation": "between", "checkpoint": "between",
}  # fmt: skip

Series = Sequence[float | None]


@dataclass(frozen=True)
class Curve:
    """One line of a panel, a value for each time."""

    name: str
    values: Series


@dataclass(frozen=True)
class Panel:
    """One of the small plots. most: the top of its axis; show: a figure with its unit.

    band: the lowest and highest of several, drawn behind the lines. marked: spans that a rule complains of.
    """

    title: str
    curves: Sequence[Curve]
    most: float = 100.0
    show: Callable[[float], str] = lambda value: f"{value:.0f} %"
    band: tuple[Series, Series] | None = None
    marked: Sequence[Span] = ()

    @property
    def height(self) -> float:
        """In pixels."""
        return _PANEL


@dataclass(frozen=True)
class HeatPanel:
    """A heat map of percentages, a row for each of `names`. key: its own word on the page."""

    title: str
    rows: Sequence[Series]
    names: Sequence[str]
    key: str

    @property
    def height(self) -> float:
        """In pixels."""
        return self.row_height * len(self.rows) + _LEGEND

    @property
    def row_height(self) -> float:
        """In pixels."""
        return max(2.0, min(14.0, _CELLS / len(self.rows)))


@dataclass(frozen=True)
class Stage:
    """A part of the job. row: stages of one row don't overlap; name: shown where there is room."""

    name: str
    kind: str  # CSS: initialization, training, finalization, epoch, odd, validation, checkpoint
    start: float
    end: float
    row: int


@dataclass(frozen=True)
class Timeline:
    """All that is drawn. times: seconds since the start, rising; end: of the axis."""

    label: str
    times: Sequence[float]
    end: float
    panels: Sequence[Panel | HeatPanel]
    stages: Sequence[Stage] = ()
    lanes: Sequence[Lane] = ()


def timeline(data: Timeline) -> Markup:
    """The whole drawing."""
    rows = 1 + max((stage.row for stage in data.stages), default=-1)
    height = sum(_TITLE + panel.height + _GAP for panel in data.panels) - _GAP
    plot = Plot(WIDTH, height, (_LEFT, _RIGHT, rows * _STRIP + 8.0), (0.0, data.end))
    _add_stages(plot, data.stages)
    top = plot.top
    for panel in data.panels:
        top += _TITLE
        if isinstance(panel, HeatPanel):
            plot.add(*_heat_panel(plot, data, panel, top))
        else:
            plot.add(_panel(data, panel, top))
        top += panel.height + _GAP
    plot.time_axis()
    add_lanes(plot, data.lanes, 60, seconds)
    return plot.picture(data.label, 62 + LANE * len(data.lanes))


def _add_stages(plot: Plot, stages: Sequence[Stage]) -> None:
    """The strips above the panels, and shades behind them for what interrupts training."""
    digits = max((len(stage.name) - len("epoch ") for stage in stages if stage.kind in _EPOCHS), default=1)
    for stage in stages:
        left, right = plot.x(stage.start), plot.x(stage.end)
        y, width = stage.row * _STRIP + 2, right - left
        note = f"{stage.name}: {seconds(stage.start)} to {seconds(stage.end)}"
        plot.add(rectangle((left, y), max(width - 1, 1.0), _STRIP - 3, f"stage {stage.kind}", note))
        if name := _stage_name(stage, width, digits):
            plot.add(text(((left + right) / 2, y + 12), name, "stagename"))
        if stage.kind in ("validation", "initialization", "finalization"):
            plot.add(rectangle((left, plot.top), max(width, 0.5), plot.height, "shade"))
        if stage.kind in _EPOCHS and width > 12:
            plot.vertical(stage.start, "epoch")
    names = {stage.row: _ROWS.get(stage.kind, "other") for stage in reversed(stages)}
    for row, name in names.items():
        plot.add(text((plot.left - 8, row * _STRIP + 14), name, "tick small", "end"))


def _stage_name(stage: Stage, width: float, digits: int) -> str:
    """A stage's name, or of an epoch the number alone, as far as there is room; of thin epochs each tenth or so."""
    if width > 7 * len(stage.name) + 6:
        return stage.name
    number = stage.name.removeprefix("epoch ")
    if stage.kind not in _EPOCHS or not number.isdigit():
        return ""
    every = next((n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500) if n * width > 8 * digits + 4), 1000)
    return "" if int(number) % every else number


def _panel(data: Timeline, panel: Panel, top: float) -> Markup:
    most = float(panel.most or 1.0)
    plot = Plot(WIDTH, panel.height, (_LEFT, _RIGHT, top), (0.0, data.end), (0.0, most))
    plot.add(text((plot.left, top - 7), panel.title, "title", "start"))
    for span in panel.marked:
        corner, width = (plot.x(span.start), top), max(plot.x(span.end) - plot.x(span.start), 2.0)
        plot.add(rectangle(corner, width, plot.height, "offence"), rectangle(corner, width, 3, "offence bar"))
    ticks = [0.0, most / 2, most]
    plot.y_axis(ticks, [panel.show(tick) for tick in ticks])
    if panel.band:
        plot.add(_band(plot, data.times, panel.band))
    for curve, class_ in zip(panel.curves, _LINES, strict=False):
        plot.curve(zip(data.times, curve.values, strict=False), class_, radius=2.5)
    _add_names(plot, panel.curves)
    return group(
        plot.drawn, "plot", data_top=top, data_height=panel.height, data_most=most,
        data_unit=panel.show(0.0).removeprefix("0").strip(),
    )  # fmt: skip


def _add_names(plot: Plot, curves: Sequence[Curve]) -> None:
    """Which line is which, on the right above the panel; one alone needs no name."""
    right = plot.right
    named = list(zip(curves, _LINES, strict=False)) if len(curves) > 1 else []
    for curve, class_ in reversed(named):
        plot.add(text((right, plot.top - 7), curve.name, anchor="end"))
        right -= 7 * len(curve.name) + 28
        plot.add(line((right, plot.top - 11), (right + 22, plot.top - 11), f"sample {class_}"))
        right -= 14


def _band(plot: Plot, times: Sequence[float], band: tuple[Series, Series]) -> Markup:
    samples = [
        (time, low, high) for time, low, high in zip(times, *band, strict=False) if low is not None and high is not None
    ]
    up = [plot.place(time, high) for time, _, high in samples]
    down = [plot.place(time, low) for time, low, _ in reversed(samples)]
    return polygon([*up, *down], "band")


def _heat_panel(plot: Plot, data: Timeline, panel: HeatPanel, top: float) -> list[Markup]:
    """A row each, most of them unnamed where they are thin, and the legend."""
    group = math.ceil(len(data.times) / _MOST_CELLS) or 1
    starts = range(0, len(data.times), group)
    values = [[_largest(row[k : k + group]) for k in starts] for row in panel.rows]
    height, scale = panel.row_height, share_scale(100.0)
    drawn = [text((plot.left, top - 7), panel.title, "title", "start")]
    edges = [plot.x(time) for time in _cell_edges(data, [data.times[k] for k in starts])]
    drawn += cells(values, edges, top, height, scale, panel.key)
    every = math.ceil(13 / height)
    for number, (name, row) in enumerate(zip(panel.names, panel.rows, strict=False)):
        y = top + number * height
        if number % every == 0:
            drawn.append(text((plot.left - 8, y + height / 2 + 4), name, anchor="end"))
        known = [value for value in row if value is not None]
        mean = f"mean {math.fsum(known) / len(known):.0f} %" if known else "not measured"
        drawn.append(row_note((plot.left, y), plot.width, height, f"{name}: {mean}"))
    return [*drawn, *scale.legend(set(), panel.key, plot.left, top + panel.height - _LEGEND + 8)]


def _largest(values: Series) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _cell_edges(data: Timeline, times: Sequence[float]) -> list[float]:
    """A sample stands for the time up to it, from half way to the one before; nothing lies beyond the axis's ends."""
    middles = [(before + after) / 2 for before, after in itertools.pairwise(times)]
    first = 1.5 * times[0] - 0.5 * times[1] if len(times) > 1 else 0.0
    last = 1.5 * times[-1] - 0.5 * times[-2] if len(times) > 1 else data.end
    return [min(max(time, 0.0), data.end) for time in (first, *middles, last)]
