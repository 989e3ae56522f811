"""Where time goes: bars of parts of a whole, and the duration of each step."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from reports.charts.plot import WIDE_LETTER, Plot
from reports.charts.svg import WIDTH, diamond, path, picture, rectangle, text
from reports.charts.ticks import round_top
from reports.units import percent, real, seconds

PHASES: Final = ("data", "copy", "forward", "backward", "optimizer", "hook", "validation", "checkpoint", "other")
MEANINGS: Final = {
    "data": "waiting for the next batch",
    "copy": "moving it to the device",
    "forward": "the network\u2019s answers and the loss",
    "backward": "gradients",
    "optimizer": "new weights",
    "hook": "saving tensors and measuring",
    "validation": "validation images, after each epoch",
    "checkpoint": "writing files",
    "other": "the rest of the loop",
}
_EPOCH: Final = 1e8  # later than that, a time is one since 1970 and not since the start
_HEIGHT: Final = 220


@dataclass(frozen=True)
class BarPart:
    """A part of a whole. kind: the CSS class of its colour; share: of 1; amount: in words."""

    name: str
    kind: str
    share: float
    amount: str


def bar(parts: Sequence[BarPart], label: str) -> Markup:
    """The parts beside each other, in order; named where there is room, and all of them in `label`."""
    drawn, left = [], 0.0
    whole = math.fsum(part.share for part in parts) or 1.0
    for part in parts:
        if not part.share:
            continue
        width = WIDTH * part.share / whole
        note = f"{part.name}: {part.amount}, {percent(part.share)}"
        drawn.append(rectangle((left, 0), max(width - 1.5, 0.5), 28, f"part {part.kind}", note))
        share = percent(part.share, 0)
        name = f"{part.name} {share}"
        if width > WIDE_LETTER * max(len(name), len(part.amount)) + 6:
            drawn.append(text((left + 1, 43), name, "partname", "start"))
            drawn.append(text((left + 1, 58), part.amount, anchor="start"))
        elif width > WIDE_LETTER * len(share) + 6:
            drawn.append(text((left + 1, 43), share, anchor="start"))
        left += width
    words = ", ".join(f"{part.name} {percent(part.share)} ({part.amount})" for part in parts)
    return picture(WIDTH, 64, f"{label}: {words}", drawn)


def phases(steps: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The phases in the order of a step, then any other."""
    phases = steps.get("phases") or {}
    order = [name for name in PHASES if name in phases] + [name for name in phases if name not in PHASES]
    return [
        {
            "name": name,
            "kind": name if name in PHASES else "other",
            "meaning": MEANINGS.get(name, ""),
            "share": real(phases[name].get("share")),
            "seconds": real(phases[name].get("seconds")),
            "mean": _milliseconds(phases[name].get("mean_ms")),
            "p95": _milliseconds(phases[name].get("p95_ms")),
        }
        for name in order
    ]


def _milliseconds(value: Any) -> str:
    number = real(value)
    return seconds(None if number is None else number / 1000)


def phase_bar(rows: Sequence[Mapping[str, Any]]) -> Markup | None:
    """The phases' shares of a step's time; None when there is none."""
    if not any(row["share"] for row in rows):
        return None
    parts = [BarPart(row["name"], f"phase-{row['kind']}", row["share"] or 0.0, row["mean"]) for row in rows]
    return bar(parts, "Where step time goes")


def since(time: Any, started: Any) -> float | None:
    """Seconds since the start, of a time that counts from there or from 1970."""
    number, begin = real(time), real(started)
    if number is None:
        return None
    return number - begin if number > _EPOCH and begin is not None else number


def durations(document: Mapping[str, Any]) -> Markup | None:
    """Each step's time as a dot, outliers as diamonds; None when there is no step."""
    steps, job = document.get("steps") or {}, document["job"]
    rows = [(row[0], since(row[1], job.get("started")), real(row[2])) for row in steps.get("durations") or []]
    points = [(step, time, spent) for step, time, spent in rows if time is not None and spent is not None]
    if not points:
        return None
    outliers = {row["step"]: row for row in steps.get("outliers") or []}
    longest = max(spent for _, _, spent in points)
    unit, name = (1.0, "s") if longest >= 2 else (1000.0, "ms")
    top = round_top([unit * longest])
    end = max(*(time for _, time, _ in points), real(job.get("seconds")) or 0.0) or 1.0
    plot = Plot(WIDTH, _HEIGHT, (74, 12, 18), (0.0, end), (0.0, top))
    ticks = [0.0, top / 2, top]
    plot.y_axis(ticks, [f"{tick:g} {name}" for tick in ticks])
    plot.time_axis()
    median = real((steps.get("seconds") or {}).get("p50"))
    if median is not None:
        plot.horizontal(unit * median, "ideal")
        words = f"median {unit * median:.3g} {name}"
        plot.add(text((plot.right, plot.y(unit * median) - 5), words, "tick halo", "end"))
    ordinary = [plot.place(time, unit * spent) for step, time, spent in points if step not in outliers]
    plot.add(path("".join(f"M{x:.1f} {y:.1f}h0" for x, y in ordinary), "stepdots"))
    for step, time, spent in points:
        if step in outliers:
            note = f"step {step}: {seconds(spent)}, most of it in {outliers[step].get('phase')}"
            plot.add(diamond(plot.place(time, unit * spent), 5, 5, "marker", note))
    return plot.picture(f"Duration of {len(points)} steps over time, {len(outliers)} of them outliers", below=42)
