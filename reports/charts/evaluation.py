"""The charts of evaluation and comparison: calibration, learning curves, and shares with their intervals."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from reports.charts.plot import Plot
from reports.charts.svg import HALF, Point, circle, diamond, line, rectangle, text
from reports.charts.ticks import nice_ticks, whole_ticks

_MARGINS: Final = (52, 22, 12)
_MOST_POINTS: Final = 400


def reliability_diagram(before: Mapping[str, Any], after: Mapping[str, Any]) -> Markup:
    """Accuracy over confidence, bin by bin; the diagonal is what perfect probabilities would give."""
    plot = Plot(HALF, 300, _MARGINS)
    shares = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    names = [f"{100 * share:.0f} %" for share in shares]
    plot.y_axis(shares, names)
    plot.x_axis(shares, names, "confidence")
    for bin_ in after["reliability"]:
        if bin_["n"]:
            left, top = plot.place(bin_["low"], bin_["accuracy"])
            width, height = plot.x(bin_["high"]) - left - 2, max(plot.bottom - top, 1.5)
            plot.add(rectangle((left + 1, top), width, height, "bar", _bin_note(bin_)))
    plot.add(line(plot.place(0, 0), plot.place(1, 1), "ideal"))
    for bin_ in before["reliability"]:
        if bin_["n"]:
            plot.add(diamond(plot.place(bin_["confidence"], bin_["accuracy"]), 5, 5, "marker"))
    return plot.picture(
        f"Reliability diagram: accuracy over confidence in {len(after['reliability'])} bins; expected calibration "
        f"error {100 * after['ece']:.1f} % with the temperature, {100 * before['ece']:.1f} % without"
    )


def _bin_note(bin_: Mapping[str, Any]) -> str:
    return (
        f"{bin_['n']} images with a confidence of {100 * bin_['confidence']:.0f} % on average: "
        f"{100 * bin_['accuracy']:.0f} % are right"
    )


def learning_curve(
    epochs: Sequence[Mapping[str, Any]], quantity: str, best_epoch: int | None, percent: bool
) -> Markup | None:
    """Training (dashed) and validation (solid) of `accuracy` or `loss` over the epochs; None without any value."""
    series = {name: _series(epochs, f"{name}_{quantity}") for name in ("train", "validation")}
    points = [point for curve in series.values() for point in curve]
    if not points:
        return None
    numbers, values = zip(*points, strict=True)
    first, last = min(numbers), max(numbers)
    low = 0.0 if percent or min(values) > 0 else min(values)
    high = 1.0 if percent else max(values) * 1.05
    plot = Plot(HALF, 250, _MARGINS, (first, last), (low, high if high > low else low + 1))
    ticks = nice_ticks(*plot.y_range)
    plot.y_axis(ticks, [f"{100 * y:.0f} %" if percent else f"{y:.4g}" for y in ticks])
    steps = whole_ticks(first, last, 6)
    plot.x_axis(steps, [f"{step:g}" for step in steps], "epoch")
    if best_epoch is not None and first <= best_epoch <= last:
        plot.vertical(best_epoch, "best")
    for name, curve in series.items():
        plot.curve(curve, name)
    return plot.picture(_curve_label(series, quantity, percent))


def _series(epochs: Sequence[Mapping[str, Any]], name: str) -> list[Point]:
    return _thinned([(float(epoch["epoch"]), float(epoch[name])) for epoch in epochs if name in epoch])


def _thinned(points: list[Point]) -> list[Point]:
    step = math.ceil(len(points) / _MOST_POINTS) or 1
    # The last one is where training ended: it stays.
    return points[:-1:step] + points[-1:]


def _curve_label(series: Mapping[str, Sequence[Point]], quantity: str, percent: bool) -> str:
    ends = []
    for name, points in series.items():
        if points:
            value = f"{100 * points[-1][1]:.1f} %" if percent else f"{points[-1][1]:.3g}"
            ends.append(f"{name} {quantity} ends at {value}")
    return f"Learning curve, {quantity} over epochs: {', '.join(ends)}"


def class_curve(label: str, shares: Sequence[float], threshold: float) -> Markup:
    """One class's validation accuracy over the epochs, small; the dashed line is `threshold`."""
    plot = Plot(160, 34, (3, 3, 3), (0, max(len(shares) - 1, 1)))
    plot.horizontal(threshold, "ideal")
    plot.curve(_thinned([(float(number), share) for number, share in enumerate(shares)]), "validation")
    plot.add(circle(plot.place(len(shares) - 1, shares[-1]), 2.5, "validation dot"))
    ends = f"from {100 * shares[0]:.0f} % to {100 * shares[-1]:.0f} %"
    return plot.picture(f"{label}: validation accuracy {ends}", below=3)


def interval(low: float, value: float, high: float) -> Markup:
    """A share and its interval on a line from 0 to 100 %."""
    plot = Plot(220, 12, (6, 6, 4))
    plot.horizontal(0.5, "grid")
    _add_range(plot, low, value, high, 4.5)
    return plot.picture(f"{100 * value:.1f} %, 95 % interval {100 * low:.1f} to {100 * high:.1f} %", below=4)


def difference(low: float, value: float, high: float) -> Markup:
    """A difference and its interval on a line around 0 that is as wide as they need."""
    reach = max(abs(low), abs(high), 0.01) * 1.15
    plot = Plot(420, 26, (10, 10, 6), (-reach, reach))
    plot.horizontal(0.5, "grid")
    plot.vertical(0, "ideal")
    _add_range(plot, low, value, high, 5.5)
    for tick in nice_ticks(-reach, reach, 6):
        if abs(tick) <= reach:
            plot.add(text((plot.x(tick), plot.bottom + 18), f"{100 * tick:+.3g}" if abs(tick) > 1e-9 else "0"))
    words = f"Difference {100 * value:+.1f} points, 95 % interval {100 * low:+.1f} to {100 * high:+.1f}"
    return plot.picture(words, below=26)


def _add_range(plot: Plot, low: float, value: float, high: float, radius: float) -> None:
    plot.add(line(plot.place(low, 0.5), plot.place(high, 0.5), "range"))
    plot.add(circle(plot.place(value, 0.5), radius, "validation dot"))
