"""The frame that every chart with axes is drawn in: scales, grid, ticks, titles, curves, and its accessible label."""

import math
from collections.abc import Iterable, Sequence
from typing import Final

from markupsafe import Markup

from reports.charts.svg import Point, circle, line, path, picture, polyline, text
from reports.charts.ticks import clock, time_ticks, time_unit

LETTER: Final = 7.0  # pixels that one takes on an axis, on average
WIDE_LETTER: Final = 8.2  # at most, on average
_GAP: Final = 4.0  # pixels between two ticks' names, at least

Range = tuple[float, float]


class Plot:
    """A part of a drawing with two axes, and what has been drawn on it so far.

    width: of the whole drawing; left, right, top: the margins beside and above the plot; height: of the plot; all in
    pixels. x, y: the values at the plot's left and right sides, at its bottom and its top.
    """

    def __init__(
        self, width: float, height: float, margins: tuple[float, float, float], x: Range = (0, 1), y: Range = (0, 1)
    ) -> None:
        self.left, right, self.top = margins
        self.width, self.height = width - self.left - right, height
        self.right, self.bottom = width - right, self.top + height
        self._drawing_width = width
        self.x_range, self.y_range = x, y
        self.drawn: list[Markup] = []

    def x(self, value: float) -> float:
        """How far from the drawing's left side a value is, in pixels."""
        low, high = self.x_range
        return self.left + (value - low) / ((high - low) or 1) * self.width

    def y(self, value: float) -> float:
        """How far from the drawing's upper side a value is, in pixels."""
        low, high = self.y_range
        return self.top + (1 - (value - low) / ((high - low) or 1)) * self.height

    def place(self, x: float, y: float) -> Point:
        """Where a pair of values is on the drawing."""
        return self.x(x), self.y(y)

    def add(self, *elements: Markup) -> None:
        """Draw on top of all that has been drawn."""
        self.drawn += elements

    def horizontal(self, y: float, class_: str) -> None:
        """A line at a value, from side to side."""
        self.add(line((self.left, self.y(y)), (self.right, self.y(y)), class_))

    def vertical(self, x: float, class_: str) -> None:
        """A line at a value, from the top to the bottom."""
        self.add(line((self.x(x), self.top), (self.x(x), self.bottom), class_))

    def y_axis(self, ticks: Sequence[float], names: Sequence[str], title: str = "") -> None:
        """Horizontal lines at the values, named on the left; above them what they stand for."""
        for value, name in zip(ticks, names, strict=True):
            self.horizontal(value, "grid")
            self.add(text((self.left - 8, self.y(value) + 4), name, anchor="end"))
        if title:
            self.add(text((0, self.top - 12), title, "axis", "start"))

    def x_axis(self, ticks: Sequence[float], names: Sequence[str], title: str = "", below: float = 0) -> None:
        """Ticks `below` pixels under the plot, named as far as there is room, and what they stand for."""
        bottom, last = self.bottom + below, len(ticks) - 1
        halves = [LETTER * len(name) / 2 for name in names]
        free = -math.inf
        for number, (value, name) in enumerate(zip(ticks, names, strict=True)):
            x = self.x(value)
            self.add(path(f"M{x:.1f} {bottom:.1f}v5", "tickmark"))
            before_last = number == last or x + halves[number] + _GAP <= self.x(ticks[last]) - halves[last]
            if x - halves[number] >= free and before_last:
                self.add(text((x, bottom + 18), name))
                free = x + halves[number] + _GAP
        if title:
            self.add(text(((self.left + self.right) / 2, bottom + 38), title, "axis"))

    def time_axis(self) -> None:
        """The x axis of seconds since the start, from 0 on."""
        end = self.x_range[1]
        ticks = time_ticks(end)
        self.x_axis(ticks, [clock(tick, end) for tick in ticks], f"time since the start ({time_unit(end)})")

    def curve(self, points: Iterable[tuple[float, float | None]], class_: str, radius: float = 3.5) -> None:
        """A line through the points, interrupted where y is no finite number; a lone point is a dot."""
        run: list[Point] = []
        for x, y in [*points, (0.0, None)]:
            if y is not None and math.isfinite(y):
                run.append(self.place(x, y))
            elif run:
                self.add(polyline(run, class_) if len(run) > 1 else circle(run[0], radius, f"{class_} dot"))
                run = []

    def picture(self, label: str, below: float = 44) -> Markup:
        """The whole drawing, with `below` pixels of room under the plot; `label` is what a screen reader says."""
        return picture(self._drawing_width, self.bottom + below, label, self.drawn)
