"""Where rules fired: a lane for each of them under a chart, with a bar wherever it did."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from reports.charts.plot import Plot
from reports.charts.svg import line, rectangle, text

LANE: Final = 30.0  # pixels: the rule's name, and its bars under it
_LEAST: Final = 3.0  # pixels that a bar has at least
SIGNS: Final = {"error": "\u2716", "warning": "\u25b2", "info": "\u25cf"}
STYLES: Final = {"error": "error", "warning": "warn", "info": "info"}  # CSS classes


@dataclass(frozen=True)
class Span:
    """From one value on the x axis to another (or to itself), and how many findings are in it."""

    start: float
    end: float
    findings: int = 1


# The span of a rule's finding; None for one that has no place on the axis.
SpanOf = Callable[[Mapping[str, Any]], Span | None]


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
    result: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, span.end)):
        if result and span.start - result[-1].end <= gap:
            before = result[-1]
            result[-1] = Span(before.start, max(before.end, span.end), before.findings + span.findings)
        else:
            result.append(span)
    return tuple(result)


def spans_by_rule(rules: Sequence[Mapping[str, Any]], span_of: SpanOf) -> list[tuple[Mapping[str, Any], list[Span]]]:
    """The rules that fired, each with the spans of its findings."""
    return [
        (rule, [span for finding in rule.get("findings") or [] if (span := span_of(finding)) is not None])
        for rule in rules
        if rule["status"] == "IssuesFound"
    ]


def rule_lanes(rules: Sequence[Mapping[str, Any]], span_of: SpanOf, gap: float) -> list[Lane]:
    """A lane for every rule that fired somewhere on the axis; spans `gap` or less apart are one."""
    return [
        Lane(rule["name"], rule["severity"], merged(spans, gap))
        for rule, spans in spans_by_rule(rules, span_of)
        if spans
    ]


def add_lanes(plot: Plot, lanes: Sequence[Lane], below: float, show: Callable[[float], str]) -> None:
    """Draw the lanes below each other, from `below` pixels under the plot. show: a value's words."""
    for number, lane in enumerate(lanes):
        y, style = plot.bottom + below + number * LANE, STYLES.get(lane.severity)
        count = sum(span.findings for span in lane.spans)
        plot.add(text((plot.left, y + 11), f"{lane.symbol} {lane.name} ({count})", f"tick lane {style}", "start"))
        plot.add(line((plot.left, y + 22), (plot.right, y + 22), "grid"))
        for span in lane.spans:
            left, right = plot.x(span.start), plot.x(span.end)
            width = max(right - left, _LEAST)
            where = show(span.start) if span.end == span.start else f"{show(span.start)} to {show(span.end)}"
            note = f"{lane.name}: {where}" + (f", {span.findings} times" if span.findings > 1 else "")
            plot.add(rectangle(((left + right - width) / 2, y + 18), width, 8, f"span {style}", note))
