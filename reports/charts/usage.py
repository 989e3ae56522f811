"""Which plots of utilisation a profiler report gets: processor, memory, GPUs, disk and network, as far as measured."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from markupsafe import Markup

from reports.charts.lanes import Span, SpanOf, merged, rule_lanes, spans_by_rule
from reports.charts.ticks import round_top
from reports.charts.timeline import Curve, HeatPanel, Panel, Series, Stage, Timeline, timeline
from reports.units import real, scale_of

# What each rule complains of: panels to mark.
_COMPLAINTS: Final = {
    "BatchSize": ("cpu", "gpu", "gpu_memory"),
    "CPUBottleneck": ("cpu", "gpu"),
    "IOBottleneck": ("iowait", "gpu"),
    "GPUMemoryIncrease": ("gpu_memory",),
    "LoadBalancing": ("gpu",),
    "LowGPUUtilization": ("gpu",),
}
_MAIN: Final = ("initialization", "training", "finalization")
_LINES: Final = 2  # GPUs that get a line each; of more, the mean and the range

Marked = Mapping[str, Sequence[Span]]


def usage_chart(document: Mapping[str, Any]) -> Markup | None:
    """The timelines; None when no sample was taken."""
    system = document.get("system") or {}
    times = [value for value in map(real, system.get("times") or []) if value is not None]
    series = system.get("series") or {}
    if not times or not series:
        return None
    end = max(times[-1], real(document["job"].get("seconds")) or 0.0) or 1.0
    span_of, gap = _span_of(end), 2 * end / 900
    marked = _marked(document["rules"], span_of, gap)
    panels = [*_processor(series, times, marked), *_memory(series), *_gpus(series, marked), *_traffic(series)]
    if not panels:
        return None
    lanes = rule_lanes(document["rules"], span_of, gap)
    names = ", ".join(panel.title.split(":")[0].split(",")[0] for panel in panels)
    complaints = f"; marked where rules fired: {', '.join(lane.name for lane in lanes)}" if lanes else ""
    label = f"Utilisation over {end:.0f} seconds, {len(times)} points each: {names}{complaints}"
    return timeline(Timeline(label, times, end, panels, _stages(document.get("timeline") or [], end), lanes))


def _span_of(end: float) -> SpanOf:
    def span_of(finding: Mapping[str, Any]) -> Span | None:
        start, stop = real(finding.get("start_s")), real(finding.get("end_s"))
        if start is None:
            return None
        return Span(_within(start, end), _within(start if stop is None else stop, end))

    return span_of


def _within(time: float, end: float) -> float:
    return min(max(time, 0.0), end)


def _marked(rules: Sequence[Mapping[str, Any]], span_of: SpanOf, gap: float) -> Marked:
    """By panel the spans of the rules that complain of it."""
    by_panel: dict[str, list[Span]] = {}
    for rule, spans in spans_by_rule(rules, span_of):
        for panel in _COMPLAINTS.get(rule["name"], ()):
            by_panel.setdefault(panel, []).extend(spans)
    return {panel: merged(spans, gap) for panel, spans in by_panel.items()}


def _stages(rows: Sequence[Mapping[str, Any]], end: float) -> list[Stage]:
    """Stages above, epochs under them, what interrupts training last; rows that nothing is in are left out."""
    stages = []
    for row in rows:
        kind, epoch = str(row["stage"]), row.get("epoch")
        start, stop = real(row.get("start_s")), real(row.get("end_s"))
        if start is None:
            continue
        sides = _within(start, end), _within(end if stop is None else stop, end)
        if kind in _MAIN and epoch is None:
            stages.append(Stage(kind, kind, *sides, 0))
        elif kind in ("epoch", "training"):
            odd = isinstance(epoch, int) and epoch % 2
            stages.append(Stage(f"epoch {epoch}", "odd" if odd else "epoch", *sides, 1))
        else:
            stages.append(Stage(kind, kind, *sides, 2))
    order = {row: number for number, row in enumerate(sorted({stage.row for stage in stages}))}
    return [replace(stage, row=order[stage.row]) for stage in stages]


def _numbers(values: Any) -> list[float | None]:
    return [real(value) for value in values or []]


def _cores(values: Any, times: Sequence[float]) -> list[list[float | None]]:
    """A row a core; a document may hold a row a sample."""
    rows = [_numbers(row) for row in values or []]
    if rows and len(rows) == len(times) and any(len(row) != len(times) for row in rows):
        most = max(map(len, rows))
        return [[row[core] if core < len(row) else None for row in rows] for core in range(most)]
    return rows


def _at_each_time(rows: Sequence[Series], summary: Callable[[list[float]], float]) -> list[float | None]:
    """The summary of the rows' known values at each time."""
    columns = [[value for value in column if value is not None] for column in zip(*rows, strict=False)]
    return [summary(column) if column else None for column in columns]


def _mean(rows: Sequence[Series]) -> list[float | None]:
    return _at_each_time(rows, lambda values: sum(values) / len(values))


def _range(rows: Sequence[Series]) -> tuple[list[float | None], list[float | None]]:
    return _at_each_time(rows, min), _at_each_time(rows, max)


def _processor(series: Mapping[str, Any], times: Sequence[float], marked: Marked) -> list[Panel | HeatPanel]:
    cores = _cores(series.get("cpu_by_core"), times)
    many = len(cores) > 1
    panels: list[Panel | HeatPanel] = []
    if mean := _numbers(series.get("cpu")) or _mean(cores):
        title = f"CPU: mean of {len(cores)} cores; band: the least and the most used one" if many else "CPU"
        band = _range(cores) if many else None
        panels.append(Panel(title, [Curve("CPU", mean)], band=band, marked=marked.get("cpu", ())))
    if many:
        panels.append(
            HeatPanel("CPU, core by core", cores, [f"core {number}" for number in range(len(cores))], "cores")
        )
    if series.get("iowait"):
        curve = Curve("I/O wait", _numbers(series["iowait"]))
        # 100 %, or less where a whole plot would show a flat line.
        most = 100.0 if _most([curve]) > 20 else 20.0
        title = "I/O wait: share of time in which the CPU waits for disks"
        panels.append(Panel(title, [curve], most=most, marked=marked.get("iowait", ())))
    return panels


def _most(curves: Sequence[Curve]) -> float:
    return max((value for curve in curves for value in curve.values if value is not None), default=0.0)


def _memory(series: Mapping[str, Any]) -> list[Panel]:
    panels = []
    if series.get("memory"):
        panels.append(Panel("Memory of the machine", [Curve("memory", _numbers(series["memory"]))]))
    if series.get("process_memory"):
        curve = Curve("memory", _numbers(series["process_memory"]))
        panels.append(_bytes("Memory of the training processes", [curve], ""))
    return panels


def _gpus(series: Mapping[str, Any], marked: Marked) -> list[Panel | HeatPanel]:
    panels: list[Panel | HeatPanel] = []
    for suffix, key, title in (("", "gpu", "GPU"), ("_memory", "gpu_memory", "GPU memory")):
        numbers = {int(match[1]): name for name in series if (match := re.fullmatch(rf"gpu(\d+){suffix}", name))}
        gpus = {f"GPU {number}": _numbers(series[name]) for number, name in sorted(numbers.items()) if series[name]}
        rows = list(gpus.values())
        if len(rows) > _LINES:
            words = f"{title}: mean of {len(rows)} GPUs; band: the least and the most used one"
            mean = [Curve(title, _mean(rows))]
            panels.append(Panel(words, mean, band=_range(rows), marked=marked.get(key, ())))
            panels.append(HeatPanel(f"{title}, one by one", rows, list(gpus), f"{key}-rows"))
        elif rows:
            curves = [Curve(name, row) for name, row in gpus.items()]
            panels.append(Panel(title, curves, marked=marked.get(key, ())))
    return panels


def _traffic(series: Mapping[str, Any]) -> list[Panel]:
    panels = []
    for title, directions in (
        ("Disk", (("disk_read", "read"), ("disk_write", "written"))),
        ("Network", (("net_received", "received"), ("net_sent", "sent"))),
    ):
        curves = [Curve(name, _numbers(series[key])) for key, name in directions if series.get(key)]
        if curves:
            panels.append(_bytes(title if len(curves) > 1 else f"{title}, {curves[0].name}", curves, "/s"))
    return panels


def _bytes(title: str, curves: Sequence[Curve], rate: str) -> Panel:
    """Bytes in the unit that suits the largest."""
    most = _most(curves)
    factor, name = scale_of(most)
    scaled = [
        Curve(curve.name, [None if value is None else value / factor for value in curve.values]) for curve in curves
    ]
    return Panel(title, scaled, most=round_top([most / factor]), show=lambda value: f"{value:g} {name}{rate}")
