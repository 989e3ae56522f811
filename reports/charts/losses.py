"""The loss over the training steps, and under it where rules fired."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from reports.charts.lanes import LANE, Lane, Span, SpanOf, add_lanes, rule_lanes
from reports.charts.plot import Plot
from reports.charts.svg import WIDTH, Point, circle, group, line, path, text
from reports.charts.ticks import nice_ticks, whole_ticks
from reports.units import figure, real

_MARGINS: Final = (64, 14, 26)
_HEIGHT: Final = 280
TRAINING: Final = ("TRAIN", "GLOBAL")  # GLOBAL: a script that set no mode
_LOGARITHMIC: Final = 50  # largest over smallest loss from which on the axis is logarithmic


@dataclass(frozen=True)
class Curves:
    """Points (training step, loss), NaN where the loss was none. validation_dots: each evaluation batch on its own."""

    train: list[Point]
    validation: list[Point]
    validation_dots: list[Point]

    @property
    def points(self) -> list[Point]:
        """All of them."""
        return [*self.train, *self.validation, *self.validation_dots]


class StepAxis:
    """Global steps count training and evaluation; this puts them on the axis of training steps.

    train: rows whose first two entries are a training step and its global step.
    """

    def __init__(self, train: Sequence[Sequence[Any]]) -> None:
        self._pairs = sorted(
            (float(row[1]), float(row[0])) for row in train if row[0] is not None and row[1] is not None
        )
        self.saved = [global_step for global_step, _ in self._pairs]

    def __call__(self, global_step: float) -> float:
        """The training step at, or in proportion between, the saved ones; the global step itself if there is none."""
        pairs = self._pairs
        if not pairs:
            return global_step
        if global_step <= pairs[0][0]:
            return pairs[0][1]
        number = bisect_right(self.saved, global_step)
        if number == len(pairs):
            return pairs[-1][1]
        (before, low), (after, high) = pairs[number - 1], pairs[number]
        return low + (high - low) * (global_step - before) / (after - before)


def smoothed(points: Sequence[Point]) -> list[Point]:
    """Centred moving average over a twentieth of the points; at both ends over those of them that there are.

    A point that isn't finite stays, and is in no other's average.
    """
    reach = len(points) // 40
    averages = []
    for number, (x, y) in enumerate(points):
        around = [value for _, value in points[max(0, number - reach) : number + reach + 1] if math.isfinite(value)]
        averages.append((x, math.fsum(around) / len(around) if math.isfinite(y) else math.nan))
    return averages


def curves(document: Mapping[str, Any]) -> Curves:
    """The losses of a debugger report, on the axis of training steps."""
    losses = _losses(document)
    train = _training(losses)
    axis = StepAxis(train)
    points = [(float(row[0]), _loss(row[2])) for row in train if row[2] is not None]
    evaluated = [(float(row[1]), _loss(row[2])) for row in losses.get("EVAL") or [] if row[2] is not None]
    dots = [(axis(step), loss) for step, loss in evaluated]
    phases = [bisect_right(axis.saved, step) for step, _ in evaluated]
    return Curves(points, _validation_losses(document) or _phase_means(dots, phases), dots)


def _losses(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return (document.get("trends") or {}).get("losses") or {}


def _training(losses: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
    """The training steps' losses; where a script set no mode, those without one."""
    modes = ["TRAIN", *(mode for mode in losses if mode not in ("TRAIN", "EVAL"))]
    return next((losses[mode] for mode in modes if losses.get(mode)), [])


def _loss(value: Any) -> float:
    number = real(value)
    return math.nan if number is None else number


def _validation_losses(document: Mapping[str, Any]) -> list[Point]:
    """The whole validation set's loss after each epoch, where the run reported it."""
    steps = document.get("steps_per_epoch")
    rows = [row for row in document.get("epochs") or [] if row.get("validation_loss") is not None]
    return [(float(row["epoch"] * steps), _loss(row["validation_loss"])) for row in rows] if steps else []


def _phase_means(dots: Sequence[Point], phases: Sequence[int]) -> list[Point]:
    """The mean place and loss of the evaluation batches of each phase: those between the same two training steps."""
    groups: dict[int, list[Point]] = {}
    for dot, phase in zip(dots, phases, strict=True):
        groups.setdefault(phase, []).append(dot)
    return [
        (math.fsum(x for x, _ in dots) / len(dots), math.fsum(y for _, y in dots) / len(dots))
        for _, dots in sorted(groups.items())
    ]


def loss_chart(document: Mapping[str, Any]) -> Markup | None:
    """The drawing; None without any loss."""
    losses = curves(document)
    if not losses.points:
        return None
    values = [y for _, y in losses.points if math.isfinite(y)] or [0.0, 1.0]
    logarithmic = min(values) > 0 and max(values) / min(values) > _LOGARITHMIC
    x_range = _step_range(losses.points, document)
    plot = Plot(WIDTH, _HEIGHT, _MARGINS, x_range, _loss_range(values, logarithmic))
    _add_axes(plot, logarithmic)
    _add_epochs(plot, document.get("steps_per_epoch"))
    lanes = rule_lanes(document["rules"], _span_of(StepAxis(_training(_losses(document)))), _pixel(plot))
    for lane in lanes:
        x = plot.x(lane.spans[0].start)
        plot.add(group([line((x, plot.top), (x, plot.bottom), "first")], "", f"{lane.name} fired first"))
    _add_broken(plot, losses.points)
    plot.curve(_scaled(losses.train, logarithmic), "raw")
    plot.curve(_scaled(smoothed(losses.train), logarithmic), "smooth")
    dots = _scaled(losses.validation_dots, logarithmic)
    plot.add(*(circle(plot.place(x, y), 1.8, "evaluated") for x, y in dots if math.isfinite(y)))
    plot.curve(_scaled(losses.validation, logarithmic), "validation")
    add_lanes(plot, lanes, 50, lambda step: f"step {step:.0f}")
    return plot.picture(_label(losses, lanes), 54 + len(lanes) * LANE)


def _pixel(plot: Plot) -> float:
    """The steps in a pixel."""
    return (plot.x_range[1] - plot.x_range[0]) / plot.width


def _span_of(axis: StepAxis) -> SpanOf:
    def span_of(finding: Mapping[str, Any]) -> Span | None:
        if finding.get("mode") in TRAINING and finding.get("mode_step") is not None:
            step = float(finding["mode_step"])
        elif finding.get("step") is not None:
            step = axis(float(finding["step"]))
        else:
            return None
        return Span(step, step)

    return span_of


def _scaled(points: Sequence[Point], logarithmic: bool) -> list[Point]:
    if not logarithmic:
        return list(points)
    return [(x, math.log10(y) if 0 < y < math.inf else math.nan) for x, y in points]


def _step_range(points: Sequence[Point], document: Mapping[str, Any]) -> tuple[float, float]:
    """From step 0, or the first one if that is far from 0, to the end of the last epoch."""
    steps = [x for x, _ in points]
    first, last = min(steps), max(*steps, 0.0)
    first = 0.0 if first < 0.5 * last else first
    per_epoch = document.get("steps_per_epoch")
    if per_epoch and document.get("epochs"):
        last = max(last, float(document["epochs"][-1]["epoch"] * per_epoch))
    return first, last if last > first else first + 1


def _loss_range(values: Sequence[float], logarithmic: bool) -> tuple[float, float]:
    """From 0 to a little above the largest loss; on a logarithmic axis the powers of ten around all losses."""
    if logarithmic:
        return float(math.floor(math.log10(min(values)))), float(math.ceil(math.log10(max(values))))
    return min(0.0, *values), max(values) * 1.05 if max(values) > 0 else 1.0


def _add_axes(plot: Plot, logarithmic: bool) -> None:
    ticks = nice_ticks(*plot.y_range)
    if logarithmic:
        ticks = sorted({round(tick) for tick in ticks})
    names = [figure(10.0**tick if logarithmic else tick) for tick in ticks]
    plot.y_axis(ticks, names, "loss, log scale" if logarithmic else "loss")
    steps = whole_ticks(*plot.x_range, 8)
    plot.x_axis(steps, [f"{step:,}" for step in steps], "training step")


def _add_epochs(plot: Plot, steps: int | None) -> None:
    """A line at each epoch's end, named where there is room. steps: of an epoch."""
    if not steps:
        return
    epochs = math.floor(plot.x_range[1] / steps + 1e-9)
    every = next(n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 10**9) if epochs <= 24 * n)
    for epoch in range(every, epochs + 1, every):
        x = plot.x(epoch * steps)
        if x >= plot.left:
            plot.add(line((x, plot.top - 6), (x, plot.bottom), "epoch"))
            plot.add(text((x, plot.top - 10), f"epoch {epoch}" if epoch == every else str(epoch)))


def _add_broken(plot: Plot, points: Sequence[Point]) -> None:
    """A cross at the top for every loss that is no finite number, the first one named."""
    xs = sorted({round(plot.x(x)) for x, y in points if not math.isfinite(y)})
    plot.add(*(path(f"M{x - 3} {plot.top + 4}l6 6m0 -6l-6 6", "broken") for x in xs))
    if xs:
        x, anchor = (xs[0] - 8, "end") if xs[0] > WIDTH * 0.7 else (xs[0], "start")
        plot.add(text((x, plot.top + 26), "\u00d7 loss is NaN or infinite", "tick error", anchor))


def _label(losses: Curves, lanes: Sequence[Lane]) -> str:
    words = []
    for name, points in (("training", losses.train), ("validation", losses.validation)):
        if points:
            words.append(f"{name} loss from {figure(points[0][1])} to {figure(points[-1][1])}")
    marks = f"; marked where rules fired: {', '.join(lane.name for lane in lanes)}" if lanes else ""
    return f"Loss over training steps: {', '.join(words)}{marks}"
