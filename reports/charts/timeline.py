"""Utilisation over time: small plots below each other on one time axis, with stages shaded and findings marked."""

import itertools
import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from markupsafe import Markup

from reports.charts.axes import Frame, element, line, picture, polyline, share_scale, text
from reports.charts.heat_map import WIDTH, cells, legend
from reports.charts.losses import LANE, Lane, Span, draw_lanes
from reports.units import seconds

_LEFT: Final = 74
_RIGHT: Final = 20
_PLOT: Final = 66
_TITLE: Final = 20
_GAP: Final = 14
_STRIP: Final = 18  # a row of stages
_CELLS: Final = 300.0  # pixels that a heat map's rows may take together
_MOST_CELLS: Final = 300  # columns
_LINES: Final = ("one", "two")  # classes; a plot has no more lines than that
_EPOCHS: Final = ("epoch", "odd")
_ROWS: Final = {
    "initialization": "stage", "training": "stage", "finalization": "stage", "epoch": "epoch", "odd": "epoch",
    "validation": "between", "checkpoint": "between",
}  # fmt: skip
_TICKS_S: Final = (
    0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800,
)  # fmt: skip

Series = Sequence[float | None]


@dataclass(frozen=True)
class Curve:
    """One line of a plot, a value for each time."""

    name: str
    values: Series


@dataclass(frozen=True)
class Plot:
    """One of the small plots. most: the top of its axis; show: a figure with its unit.

    band: the lowest and highest of several, drawn behind the lines. rows: a heat map instead of lines, of percentages,
    named by `names`; key: its own word on the page. marked: spans that a rule complains of.
    """

    title: str
    curves: Sequence[Curve] = ()
    most: float = 100.0
    show: Callable[[float], str] = lambda value: f"{value:.0f} %"
    band: tuple[Series, Series] | None = None
    rows: Sequence[Series] = ()
    names: Sequence[str] = ()
    marked: Sequence[Span] = ()
    key: str = ""


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
    plots: Sequence[Plot]
    stages: Sequence[Stage] = ()
    lanes: Sequence[Lane] = field(default=())

    def across(self, time: float) -> float:
        """A time's x."""
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * min(max(time / self.end, 0.0), 1.0)


def timeline(given: Timeline) -> Markup:
    """The whole drawing."""
    rows = 1 + max((stage.row for stage in given.stages), default=-1)
    top = rows * _STRIP + 8.0
    plots, bottom = [], top
    for plot in given.plots:
        plots.append((plot, bottom + _TITLE, _height(plot)))
        bottom += _TITLE + _height(plot) + _GAP
    found = [*_stages(given, top, bottom)]
    for plot, y, height in plots:
        found.append(_drawn(given, plot, y, height))
    found += _axis(given, bottom)
    under = bottom + 52
    found += draw_lanes(given.lanes, given.across, under, (_LEFT, WIDTH - _RIGHT), seconds)
    return picture(WIDTH, under + LANE * len(given.lanes) + 2, given.label, found)


def _height(plot: Plot) -> float:
    if not plot.rows:
        return _PLOT
    return max(2.0, min(14.0, _CELLS / len(plot.rows))) * len(plot.rows) + 46


def _stages(given: Timeline, top: float, bottom: float) -> list[Markup]:
    """The strips above the plots, and shades behind them for what interrupts training."""
    found = []
    digits = max((len(stage.name) - len("epoch ") for stage in given.stages if stage.kind in _EPOCHS), default=1)
    for stage in given.stages:
        left, right = given.across(stage.start), given.across(stage.end)
        note = element("title", f"{stage.name}: {seconds(stage.start)} to {seconds(stage.end)}")
        y = stage.row * _STRIP + 2
        box = {"x": left, "width": max(right - left - 1, 1.0), "y": float(y), "height": _STRIP - 3.0}
        found.append(element("rect", note, class_=f"stage {stage.kind}", **box))
        name = _name(stage, right - left, digits)
        if name:
            found.append(text(((left + right) / 2, y + 12), name, "stagename"))
        if stage.kind in ("validation", "initialization", "finalization"):
            found.append(
                element("rect", x=left, width=max(right - left, 0.5), y=top, height=bottom - top, class_="shade")
            )
        if stage.kind in _EPOCHS and right - left > 12:
            found.append(line((left, top), (left, bottom), "epoch"))
    names = {stage.row: _ROWS.get(stage.kind, "other") for stage in reversed(given.stages)}
    found += [text((_LEFT - 8, row * _STRIP + 14), name, "tick small", anchor="end") for row, name in names.items()]
    return found


def _name(stage: Stage, width: float, digits: int) -> str:
    """A stage's name, or of an epoch the number alone, as far as there is room; of thin epochs each tenth or so."""
    if width > 7 * len(stage.name) + 6:
        return stage.name
    number = stage.name.removeprefix("epoch ")
    if stage.kind not in _EPOCHS or not number.isdigit():
        return ""
    each = next((n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500) if n * width > 8 * digits + 4), 1000)
    return "" if int(number) % each else number


def _drawn(given: Timeline, plot: Plot, top: float, height: float) -> Markup:
    frame = Frame(_LEFT, top, WIDTH - _LEFT - _RIGHT, height, (0.0, 0.0), (given.end, plot.most or 1.0))
    found = [text((_LEFT, top - 7), plot.title, "title", anchor="start")]
    if plot.rows:
        found += _heat(given, plot, top, height - 46)
        return element("g", Markup("").join(found), class_="heat")
    for span in plot.marked:
        left, right = given.across(span.start), given.across(span.end)
        wide = max(right - left, 2.0)
        found.append(element("rect", x=left, y=top, width=wide, height=height, class_="offence"))
        found.append(element("rect", x=left, y=top, width=wide, height=3, class_="offence bar"))
    found += frame.grid([0.0, frame.high[1] / 2, frame.high[1]], [plot.show(frame.high[1] * k / 2) for k in range(3)])
    if plot.band:
        found.append(_band(given, frame, plot.band))
    for curve, class_ in zip(plot.curves, _LINES, strict=False):
        found += _line(given, frame, curve, class_)
    found += _keys(plot, top)
    return element(
        "g", Markup("").join(found), class_="plot",
        data_top=top, data_height=height, data_most=float(frame.high[1]), data_unit=_unit(plot),
    )  # fmt: skip


def _keys(plot: Plot, top: float) -> list[Markup]:
    """Which line is which, on the right above the plot; one alone needs no name."""
    found, right = [], WIDTH - _RIGHT
    named = list(zip(plot.curves, _LINES, strict=False)) if len(plot.curves) > 1 else []
    for curve, class_ in reversed(named):
        found.append(text((right, top - 7), curve.name, anchor="end"))
        right -= 7 * len(curve.name) + 28
        found.append(line((right, top - 11), (right + 22, top - 11), f"sample {class_}"))
        right -= 14
    return found


def _unit(plot: Plot) -> str:
    return plot.show(0.0).removeprefix("0").strip()


def _line(given: Timeline, frame: Frame, curve: Curve, class_: str) -> list[Markup]:
    """The line, interrupted where nothing was measured; a lone sample is a dot."""
    found, run = [], []
    for time, value in [*zip(given.times, curve.values, strict=False), (0.0, None)]:
        if value is not None and math.isfinite(value):
            run.append(frame.place(time, value))
        elif run:
            dot = element("circle", cx=run[0][0], cy=run[0][1], r=2.5, class_=f"{class_} dot")
            found.append(polyline(run, class_) if len(run) > 1 else dot)
            run = []
    return found


def _band(given: Timeline, frame: Frame, band: tuple[Series, Series]) -> Markup:
    there = [
        (time, low, high)
        for time, low, high in zip(given.times, *band, strict=False)
        if low is not None and high is not None
    ]
    up = [frame.place(time, high) for time, _, high in there]
    down = [frame.place(time, low) for time, low, _ in reversed(there)]
    return element("polygon", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in [*up, *down]), class_="band")


def _heat(given: Timeline, plot: Plot, top: float, height: float) -> list[Markup]:
    """A row each, most of them unnamed where they are thin, and the legend."""
    group = math.ceil(len(given.times) / _MOST_CELLS) or 1
    starts = list(range(0, len(given.times), group))
    values = [[_largest(row[k : k + group]) for k in starts] for row in plot.rows]
    each = height / len(values)
    scale = share_scale(100.0)
    found = cells(values, _edges(given, starts), top, each, scale, plot.key)
    step = math.ceil(13 / each)
    for number, name in enumerate(plot.names):
        if number % step == 0:
            found.append(text((_LEFT - 8, top + (number + 0.5) * each + 4), name, anchor="end"))
        known = [value for value in plot.rows[number] if value is not None]
        mean = f"mean {math.fsum(known) / len(known):.0f} %" if known else "not measured"
        note = element("title", f"{name}: {mean}")
        box = {"x": float(_LEFT), "width": float(WIDTH - _LEFT - _RIGHT)}
        found.append(element("rect", note, y=top + number * each, height=each, class_="told", **box))
    return [*found, *legend(scale, set(), plot.key, _LEFT, top + height + 8)]


def _largest(values: Series) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _edges(given: Timeline, starts: Sequence[int]) -> list[float]:
    """A sample stands for the time up to it, from half way to the one before."""
    times = [given.times[k] for k in starts]
    middles = [(before + after) / 2 for before, after in itertools.pairwise(times)]
    first = max(0.0, 1.5 * times[0] - 0.5 * times[1]) if len(times) > 1 else 0.0
    last = 1.5 * times[-1] - 0.5 * times[-2] if len(times) > 1 else given.end
    return [given.across(time) for time in (first, *middles, last)]


def _axis(given: Timeline, bottom: float) -> list[Markup]:
    """Times below."""
    found = []
    ticks = time_ticks(given.end)
    for tick in ticks:
        x = given.across(tick)
        found += [
            line((x, bottom - _GAP), (x, bottom - _GAP + 5), "tickmark"),
            text((x, bottom + 8), clock(tick, given.end)),
        ]
    unit = "s" if given.end < 120 else "min:s" if given.end < 7200 else "h:min"
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    return [*found, text((middle, bottom + 28), f"time since the start ({unit})", "axis")]


def time_ticks(end: float, most: int = 12) -> list[float]:
    """Round times from 0 to `end` seconds, `most` at most."""
    step = _TICKS_S[min(bisect_left([each * most for each in _TICKS_S], end), len(_TICKS_S) - 1)]
    step *= max(1, math.ceil(end / step / most))
    return [step * number for number in range(math.floor(end / step + 1e-9) + 1)]


def clock(time: float, end: float) -> str:
    """A time as the axis writes it: seconds, min:s or h:min, by how far the axis goes."""
    if end < 120:
        return f"{time:g}"
    high, low = divmod(round(time), 60) if end < 7200 else divmod(round(time / 60), 60)
    return f"{high}:{low:02d}"


def top_of(values: Sequence[float]) -> float:
    """A round top for an axis that begins at 0, whose half is round as well."""
    most = max(values, default=0.0)
    if most <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(power * factor for factor in (1, 2, 4, 5, 8, 10) if power * factor >= most * 0.9999)
