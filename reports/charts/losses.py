"""The loss over the training steps, and under it a lane for each rule that fired, with a bar wherever it did."""

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from reports.charts.axes import Frame, Point, element, line, nice_ticks, picture, polyline, text
from reports.units import figure, real

LANE: Final = 30.0  # pixels: the rule's name, and its bars under it
_LEAST: Final = 3.0  # pixels that a bar has at least
SIGNS: Final = {"error": "\u2716", "warning": "\u25b2", "info": "\u25cf"}
STYLES: Final = {"error": "error", "warning": "warn", "info": "info"}  # CSS classes


@dataclass(frozen=True)
class Span:
    """From one place on an axis to another (or to itself), and how many findings are in it."""

    start: float
    end: float
    findings: int = 1


@dataclass(frozen=True)
class Lane:
    """A rule that fired, and where; spans rise and don't touch each other."""

    name: str
    severity: str
    spans: tuple[Span, ...]

    @property
    def symbol(self) -> str:
        """The severity's sign, for who can't tell colours apart."""
        return SIGNS.get(self.severity, SIGNS["warning"])


def merged(spans: Sequence[Span], gap: float) -> tuple[Span, ...]:
    """The spans in order; those that lie `gap` or less apart are one."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda each: (each.start, each.end)):
        if found and span.start - found[-1].end <= gap:
            before = found[-1]
            found[-1] = Span(before.start, max(before.end, span.end), before.findings + span.findings)
        else:
            found.append(span)
    return tuple(found)


def lanes(
    rules: Sequence[Mapping[str, Any]], place: Callable[[Mapping[str, Any]], Span | None], gap: float
) -> list[Lane]:
    """A lane for every rule that fired somewhere on the axis. place: a finding -> where it is, None if it isn't."""
    found = []
    for rule in rules:
        spans = [span for span in map(place, rule.get("findings") or []) if span is not None]
        if rule["status"] == "IssuesFound" and spans:
            found.append(Lane(rule["name"], rule["severity"], merged(spans, gap)))
    return found


def draw_lanes(
    given: Sequence[Lane],
    across: Callable[[float], float],
    top: float,
    ends: tuple[float, float],
    say: Callable[[float], str],
) -> list[Markup]:
    """The lanes below each other. across: a place on the axis -> x; ends: the plot's sides; say: a place's name."""
    found = []
    for number, lane in enumerate(given):
        y = top + number * LANE
        count = sum(span.findings for span in lane.spans)
        name = f"{lane.symbol} {lane.name} ({count})"
        found.append(text((ends[0], y + 11), name, f"tick lane {STYLES.get(lane.severity)}", anchor="start"))
        found.append(line((ends[0], y + 22), (ends[1], y + 22), "grid"))
        for span in lane.spans:
            left, right = across(span.start), across(span.end)
            if right - left < _LEAST:
                middle = (left + right) / 2
                left, right = middle - _LEAST / 2, middle + _LEAST / 2
            where = say(span.start) if span.end == span.start else f"{say(span.start)} to {say(span.end)}"
            note = element("title", f"{lane.name}: {where}" + (f", {span.findings} times" if span.findings > 1 else ""))
            found.append(
                element(
                    "rect",
                    note,
                    x=left,
                    y=y + 18,
                    width=right - left,
                    height=8,
                    class_=f"span {STYLES.get(lane.severity)}",
                )
            )
    return found


WIDTH: Final = 960
_LEFT: Final = 64
_RIGHT: Final = 14
_TOP: Final = 26
_HEIGHT: Final = 280
TRAINING: Final = ("TRAIN", "GLOBAL")  # GLOBAL: a script that told no mode
_LOGARITHMIC: Final = 50  # largest over smallest loss from which on the axis is logarithmic


@dataclass(frozen=True)
class Curves:
    """Points (training step, loss), NaN where the loss was none. validation_dots: each evaluation batch on its own."""

    train: list[Point]
    validation: list[Point]
    validation_dots: list[Point]


class StepAxis:
    """Global steps count training and evaluation; this puts them on the axis of training steps."""

    def __init__(self, train: Sequence[Sequence[Any]]) -> None:
        pairs = sorted(
            (float(each[1]), float(each[0])) for each in train if each[0] is not None and each[1] is not None
        )
        self._pairs = pairs
        self.saved = [step for step, _ in pairs]

    def __call__(self, global_step: float) -> float:
        """The training step at, or in proportion between, the saved ones; the global step itself if there is none."""
        pairs = self._pairs
        if not pairs:
            return global_step
        if global_step <= pairs[0][0]:
            return pairs[0][1]
        place = bisect_right(self.saved, global_step)
        if place == len(pairs):
            return pairs[-1][1]
        (before, low), (after, high) = pairs[place - 1], pairs[place]
        return low + (high - low) * (global_step - before) / (after - before)


def smoothed(points: Sequence[Point]) -> list[Point]:
    """Centred moving average over a twentieth of the points; at both ends over those of them that there are.

    A point that isn't finite stays, and is in no other's average.
    """
    reach = len(points) // 40
    found = []
    for place, (x, y) in enumerate(points):
        around = [value for _, value in points[max(0, place - reach) : place + reach + 1] if math.isfinite(value)]
        found.append((x, math.fsum(around) / len(around) if math.isfinite(y) else math.nan))
    return found


def curves(document: Mapping[str, Any]) -> Curves:
    """The losses of a debugger report, on the axis of training steps."""
    losses = (document.get("trends") or {}).get("losses") or {}
    train = _training(losses)
    axis = StepAxis(train)
    points = [(float(each[0]), _loss(each[2])) for each in train if each[2] is not None]
    evaluated = [(float(each[1]), _loss(each[2])) for each in losses.get("EVAL") or [] if each[2] is not None]
    dots = [(axis(step), loss) for step, loss in evaluated]
    phases = [bisect_right(axis.saved, step) for step, _ in evaluated]
    return Curves(points, _of_epochs(document) or _means(dots, phases), dots)


def _training(losses: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
    """The training steps' losses; where a script told no mode, those without one."""
    modes = ["TRAIN", *(mode for mode in losses if mode not in ("TRAIN", "EVAL"))]
    return next((losses[mode] for mode in modes if losses.get(mode)), [])


def _loss(value: Any) -> float:
    number = real(value)
    return math.nan if number is None else number


def _of_epochs(document: Mapping[str, Any]) -> list[Point]:
    """The whole validation set's loss after each epoch, where the run told."""
    steps = document.get("steps_per_epoch")
    rows = [row for row in document.get("epochs") or [] if row.get("validation_loss") is not None]
    return [(float(row["epoch"] * steps), _loss(row["validation_loss"])) for row in rows] if steps else []


def _means(dots: Sequence[Point], phases: Sequence[int]) -> list[Point]:
    """The mean place and loss of the evaluation batches of each phase: those between the same two training steps."""
    groups: dict[int, list[Point]] = {}
    for dot, phase in zip(dots, phases, strict=True):
        groups.setdefault(phase, []).append(dot)
    return [
        (math.fsum(x for x, _ in group) / len(group), math.fsum(y for _, y in group) / len(group))
        for _, group in sorted(groups.items())
    ]


def loss_chart(document: Mapping[str, Any]) -> Markup | None:
    """The drawing; None without any loss."""
    found = curves(document)
    every = [*found.train, *found.validation, *found.validation_dots]
    if not every:
        return None
    frame, logarithmic = _frame(every, document)
    drawn = [*_grid(frame, logarithmic), *_epochs(frame, document)]
    axis = StepAxis(_training((document.get("trends") or {}).get("losses") or {}))
    fired = lanes(document["rules"], _placed(axis), (frame.high[0] - frame.low[0]) / frame.width)
    for lane in fired:
        x = frame.place(lane.spans[0].start, frame.low[1])[0]
        drawn.append(
            element(
                "g",
                element("title", f"{lane.name} fired first") + line((x, frame.top), (x, frame.top + _HEIGHT), "first"),
            )
        )
    scaled = _scaled(logarithmic)
    drawn += _broken(frame, every)
    drawn += _curve(frame, [scaled(each) for each in found.train], "raw")
    drawn += _curve(frame, [scaled(each) for each in smoothed(found.train)], "smooth")
    drawn += [
        element("circle", cx=x, cy=y, r=1.8, class_="evaluated")
        for x, y in (frame.place(*scaled(each)) for each in found.validation_dots if math.isfinite(scaled(each)[1]))
    ]
    drawn += _curve(frame, [scaled(each) for each in found.validation], "validation")
    top = frame.top + _HEIGHT + 50
    ends = (frame.left, frame.left + frame.width)
    drawn += draw_lanes(fired, lambda step: frame.place(step, 0)[0], top, ends, lambda step: f"step {step:.0f}")
    return picture(WIDTH, top + len(fired) * LANE + 4, _label(found, fired), drawn)


def _placed(axis: StepAxis) -> Callable[[Mapping[str, Any]], Span | None]:
    def place(finding: Mapping[str, Any]) -> Span | None:
        if finding.get("mode") in TRAINING and finding.get("mode_step") is not None:
            return Span(float(finding["mode_step"]), float(finding["mode_step"]))
        if finding.get("step") is None:
            return None
        step = axis(float(finding["step"]))
        return Span(step, step)

    return place


def _scaled(logarithmic: bool) -> Callable[[Point], Point]:
    def scale(point: Point) -> Point:
        x, y = point
        if logarithmic:
            y = math.log10(y) if 0 < y < math.inf else math.nan
        return x, y

    return scale


def _frame(points: Sequence[Point], document: Mapping[str, Any]) -> tuple[Frame, bool]:
    """Whose sides are whole: from step 0 to the last, and from 0 (or the power of ten below) to the largest loss."""
    values = [y for _, y in points if math.isfinite(y)] or [0.0, 1.0]
    last = max([x for x, _ in points] + [0.0])
    steps = document.get("steps_per_epoch")
    first = min(x for x, _ in points)
    first = 0.0 if first < 0.5 * last else first
    if steps and document.get("epochs"):
        last = max(last, float(document["epochs"][-1]["epoch"] * steps))
    logarithmic = min(values) > 0 and max(values) / min(values) > _LOGARITHMIC
    if logarithmic:
        low, high = float(math.floor(math.log10(min(values)))), float(math.ceil(math.log10(max(values))))
    else:
        low, high = min(0.0, *values), max(values) * 1.05 if max(values) > 0 else 1.0
    sides = (_LEFT, _TOP, WIDTH - _LEFT - _RIGHT, _HEIGHT)
    return Frame(*sides, (first, low), (last if last > first else first + 1, high)), logarithmic


def _grid(frame: Frame, logarithmic: bool) -> list[Markup]:
    ticks = nice_ticks(frame.low[1], frame.high[1])
    if logarithmic:
        ticks = sorted({round(tick) for tick in ticks})
    found = frame.grid(ticks, [figure(10.0**tick if logarithmic else tick) for tick in ticks])
    steps = sorted({round(x) for x in nice_ticks(frame.low[0], frame.high[0], 8)})
    found += frame.below(steps, [f"{step:,}" for step in steps], "training step")
    # The longer words begin at the drawing's edge, to leave the epochs' numbers their room.
    place, words, anchor = (
        ((0, 14), "loss, log scale", "start") if logarithmic else ((frame.left - 8, 14), "loss", "end")
    )
    found.append(text(place, words, "axis", anchor=anchor))
    return found


def _epochs(frame: Frame, document: Mapping[str, Any]) -> list[Markup]:
    """A tick at each epoch's end, named where there is room."""
    steps = document.get("steps_per_epoch")
    if not steps:
        return []
    count = math.floor(frame.high[0] / steps + 1e-9)
    each = next(n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 10**9) if count <= 24 * n)
    found = []
    for number in range(each, count + 1, each):
        x = frame.place(number * steps, 0)[0]
        if x >= frame.left:
            found.append(line((x, frame.top - 6), (x, frame.top + frame.height), "epoch"))
            found.append(text((x, frame.top - 10), f"epoch {number}" if number == each else str(number)))
    return found


def _broken(frame: Frame, points: Sequence[Point]) -> list[Markup]:
    """A cross at the top for every loss that is no finite number, the first one named."""
    xs = sorted({round(frame.place(x, 0)[0]) for x, y in points if not math.isfinite(y)})
    found = [element("path", d=f"M{x - 3} {frame.top + 4}l6 6m0 -6l-6 6", class_="broken") for x in xs]
    if xs:
        end = xs[0] > WIDTH * 0.7
        place = (xs[0] - 8, frame.top + 26) if end else (xs[0], frame.top + 26)
        found.append(text(place, "\u00d7 loss is NaN or infinite", "tick error", anchor="end" if end else "start"))
    return found


def _curve(frame: Frame, points: Sequence[Point], class_: str) -> list[Markup]:
    """The line, interrupted where a value isn't finite; a lone point is a dot."""
    found = []
    for run in _runs(points):
        drawn = [frame.place(x, y) for x, y in run]
        if len(drawn) > 1:
            found.append(polyline(drawn, class_))
        else:
            found.append(element("circle", cx=drawn[0][0], cy=drawn[0][1], r=3.5, class_=f"{class_} dot"))
    return found


def _runs(points: Sequence[Point]) -> list[list[Point]]:
    found: list[list[Point]] = [[]]
    for point in points:
        if math.isfinite(point[1]):
            found[-1].append(point)
        elif found[-1]:
            found.append([])
    return [run for run in found if run]


def _label(found: Curves, fired: Sequence[Lane]) -> str:
    words = []
    for name, points in (("training", found.train), ("validation", found.validation)):
        if points:
            words.append(f"{name} loss from {figure(points[0][1])} to {figure(points[-1][1])}")
    marks = f"; marked where rules fired: {', '.join(lane.name for lane in fired)}" if fired else ""
    return f"Loss over training steps: {', '.join(words)}{marks}"
