"""Where time goes: bars of parts of a whole, and the duration of each step."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from reports.charts.axes import Frame, element, line, picture, text
from reports.charts.heat_map import WIDTH
from reports.charts.timeline import clock, time_ticks, top_of
from reports.page import percent
from reports.units import real, seconds

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
_LETTER: Final = 8.2  # pixels that one takes at most, on average
_HEIGHT: Final = 220


@dataclass(frozen=True)
class Part:
    """A part of a whole. kind: the CSS class of its colour; share: of 1; amount: in words."""

    name: str
    kind: str
    share: float
    amount: str


def bar(parts: Sequence[Part], label: str) -> Markup:
    """The parts beside each other, in order; named where there is room, and all of them in `label`."""
    frame, found, at = Frame(0, 0, WIDTH, 62), [], 0.0
    whole = math.fsum(part.share for part in parts) or 1.0
    for part in parts:
        left, width = frame.width * at / whole, frame.width * part.share / whole
        at += part.share
        if not part.share:
            continue
        note = element("title", f"{part.name}: {part.amount}, {percent(part.share)}")
        found.append(
            element("rect", note, x=left, y=0, width=max(width - 1.5, 0.5), height=28, class_=f"part {part.kind}")
        )
        named, short = f"{part.name} {percent(part.share, 0)}", percent(part.share, 0)
        if width > _LETTER * max(len(named), len(part.amount)) + 6:
            found.append(text((left + 1, 43), named, "partname", anchor="start"))
            found.append(text((left + 1, 58), part.amount, anchor="start"))
        elif width > _LETTER * len(short) + 6:
            found.append(text((left + 1, 43), short, anchor="start"))
    words = ", ".join(f"{part.name} {percent(part.share)} ({part.amount})" for part in parts)
    return picture(WIDTH, 64, f"{label}: {words}", found)


def phases(steps: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The phases in the order of a step, then any other."""
    given = steps.get("phases") or {}
    order = [name for name in PHASES if name in given] + [name for name in given if name not in PHASES]
    return [
        {
            "name": name,
            "kind": name if name in PHASES else "other",
            "meaning": MEANINGS.get(name, ""),
            "share": real(given[name].get("share")),
            "seconds": real(given[name].get("seconds")),
            "mean": _milliseconds(given[name].get("mean_ms")),
            "p95": _milliseconds(given[name].get("p95_ms")),
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
    parts = [Part(row["name"], f"phase-{row['kind']}", row["share"] or 0.0, row["mean"]) for row in rows]
    return bar(parts, "Where step time goes")


def since(time: Any, started: Any) -> float | None:
    """Seconds since the start, of a time that is given so or since 1970."""
    number, begin = real(time), real(started)
    if number is None:
        return None
    return number - begin if number > _EPOCH and begin is not None else number


def durations(document: Mapping[str, Any]) -> Markup | None:
    """Each step's time as a dot, outliers as diamonds; None when there is no step."""
    steps, job = document.get("steps") or {}, document["job"]
    rows = [(each[0], since(each[1], job.get("started")), real(each[2])) for each in steps.get("durations") or []]
    points = [(step, time, spent) for step, time, spent in rows if time is not None and spent is not None]
    if not points:
        return None
    outliers = {each["step"]: each for each in steps.get("outliers") or []}
    # A few very long steps must not flatten all the others, but outliers are to be seen.
    unit, name = (1.0, "s") if max(each[2] for each in points) >= 2 else (1000.0, "ms")
    top = top_of([unit * each[2] for each in points])
    end = max([each[1] for each in points] + [real(job.get("seconds")) or 0.0]) or 1.0
    frame = Frame(74, 18, WIDTH - 86, _HEIGHT, (0.0, 0.0), (end, top))
    found = frame.grid([0.0, top / 2, top], [f"{value:g} {name}" for value in (0.0, top / 2, top)])
    ticks = time_ticks(end)
    kind = "s" if end < 120 else "min:s" if end < 7200 else "h:min"
    found += frame.below(ticks, [clock(tick, end) for tick in ticks], f"time since the start ({kind})")
    found += _median(frame, steps, unit, name)
    ordinary = [frame.place(time, unit * spent) for step, time, spent in points if step not in outliers]
    found.append(element("path", d="".join(f"M{x:.1f} {y:.1f}h0" for x, y in ordinary), class_="stepdots"))
    found += _outliers(frame, points, outliers, unit)
    label = f"Duration of {len(points)} steps over time, {len(outliers)} of them outliers"
    return picture(WIDTH, _HEIGHT + 60, label, found)


def _median(frame: Frame, steps: Mapping[str, Any], unit: float, name: str) -> list[Markup]:
    median = real((steps.get("seconds") or {}).get("p50"))
    if median is None:
        return []
    y = frame.place(0, unit * median)[1]
    right = frame.left + frame.width
    words = f"median {unit * median:.3g} {name}"
    return [line((frame.left, y), (right, y), "ideal"), text((right, y - 5), words, "tick halo", anchor="end")]


def _outliers(
    frame: Frame, points: Sequence[tuple[Any, float, float]], outliers: Mapping[Any, Mapping[str, Any]], unit: float
) -> list[Markup]:
    found = []
    for step, time, spent in points:
        if step in outliers:
            x, y = frame.place(time, unit * spent)
            note = element("title", f"step {step}: {seconds(spent)}, most of it in {outliers[step].get('phase')}")
            found.append(element("path", note, d=f"M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5 -5z", class_="marker"))
    return found
