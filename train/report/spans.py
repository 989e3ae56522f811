"""Rules' findings on an axis: a lane for each rule that fired, with a bar wherever it did."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from train.report.svg import element, line, text

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
