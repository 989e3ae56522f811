"""Which plots of utilisation a profiler report gets: processor, memory, GPUs, disk and network, as far as measured."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from markupsafe import Markup

from reports.charts.losses import Span, lanes, merged
from reports.charts.timeline import Curve, Plot, Series, Stage, Timeline, timeline, top_of
from reports.rule_table import panels_of
from reports.units import real, scale_of

# What each rule complains of: plots to mark.
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


def usage_chart(document: Mapping[str, Any]) -> Markup | None:
    """The timelines; None when no sample was taken."""
    system = document.get("system") or {}
    times = [value for value in map(real, system.get("times") or []) if value is not None]
    series = system.get("series") or {}
    if not times or not series:
        return None
    end = max(times[-1], real(document["job"].get("seconds")) or 0.0) or 1.0
    gap = 2 * end / 900
    spans = panels_of(document["rules"], _COMPLAINTS, _place)
    marked = {name: merged(each, gap) for name, each in spans.items()}
    plots = [*_processor(series, times, marked), *_memory(series), *_gpus(series, marked), *_traffic(series)]
    if not plots:
        return None
    fired = lanes(document["rules"], _place, gap)
    names = ", ".join(plot.title.split(":")[0].split(",")[0] for plot in plots)
    complaints = f"; marked where rules fired: {', '.join(lane.name for lane in fired)}" if fired else ""
    label = f"Utilisation over {end:.0f} seconds, {len(times)} points each: {names}{complaints}"
    return timeline(Timeline(label, times, end, plots, _stages(document.get("timeline") or [], end), fired))


def _place(finding: Mapping[str, Any]) -> Span | None:
    start, end = real(finding.get("start_s")), real(finding.get("end_s"))
    return None if start is None else Span(start, start if end is None else end)


def _stages(rows: Sequence[Mapping[str, Any]], end: float) -> list[Stage]:
    """Stages above, epochs under them, what interrupts training last; rows that nothing is in are left out."""
    found = []
    for each in rows:
        kind, epoch = str(each["stage"]), each.get("epoch")
        start, stop = real(each.get("start_s")), real(each.get("end_s"))
        if start is None:
            continue
        stop = end if stop is None else stop
        if kind in _MAIN and epoch is None:
            found.append(Stage(kind, kind, start, stop, 0))
        elif kind in ("epoch", "training"):
            odd = isinstance(epoch, int) and epoch % 2
            found.append(Stage(f"epoch {epoch}", "odd" if odd else "epoch", start, stop, 1))
        else:
            found.append(Stage(kind, kind, start, stop, 2))
    order = {row: number for number, row in enumerate(sorted({stage.row for stage in found}))}
    return [replace(stage, row=order[stage.row]) for stage in found]


def _numbers(values: Any) -> list[float | None]:
    return [real(value) for value in values or []]


def _cores(given: Any, times: Sequence[float]) -> list[list[float | None]]:
    """A row a core; a document may hold a row a sample."""
    rows = [_numbers(row) for row in given or []]
    if rows and len(rows) == len(times) and any(len(row) != len(times) for row in rows):
        most = max(map(len, rows))
        return [[row[core] if core < len(row) else None for row in rows] for core in range(most)]
    return rows


def _range(rows: Sequence[Series]) -> tuple[list[float | None], list[float | None]]:
    """The lowest and the highest at each time."""
    columns = [[value for value in column if value is not None] for column in zip(*rows, strict=False)]
    return [min(each, default=None) for each in columns], [max(each, default=None) for each in columns]


def _mean(rows: Sequence[Series]) -> list[float | None]:
    columns = [[value for value in column if value is not None] for column in zip(*rows, strict=False)]
    return [sum(each) / len(each) if each else None for each in columns]


def _processor(series: Mapping[str, Any], times: Sequence[float], marked: Mapping[str, Sequence[Span]]) -> list[Plot]:
    cores, found = _cores(series.get("cpu_by_core"), times), []
    mean = _numbers(series.get("cpu")) or _mean(cores)
    if mean:
        many = len(cores) > 1
        title = f"CPU: mean of {len(cores)} cores; band: the least and the most used one" if many else "CPU"
        band = _range(cores) if many else None
        found.append(Plot(title, [Curve("CPU", mean)], band=band, marked=marked.get("cpu", ())))
    if len(cores) > 1:
        names = [f"core {number}" for number in range(len(cores))]
        found.append(Plot("CPU, core by core", rows=cores, names=names, key="cores"))
    if series.get("iowait"):
        curve = Curve("I/O wait", _numbers(series["iowait"]))
        found.append(Plot("I/O wait: share of time in which the CPU waits for disks", [curve],
                          most=_percent_top(curve), marked=marked.get("iowait", ())))  # fmt: skip
    return found


def _percent_top(*curves: Curve) -> float:
    """100, or less where a whole plot would show a flat line."""
    most = max((value for curve in curves for value in curve.values if value is not None), default=0.0)
    return 100.0 if most > 20 else 20.0


def _memory(series: Mapping[str, Any]) -> list[Plot]:
    found = []
    if series.get("memory"):
        found.append(Plot("Memory of the machine", [Curve("memory", _numbers(series["memory"]))]))
    if series.get("process_memory"):
        curve = Curve("memory", _numbers(series["process_memory"]))
        found.append(_bytes("Memory of the training processes", [curve], ""))
    return found


def _gpus(series: Mapping[str, Any], marked: Mapping[str, Sequence[Span]]) -> list[Plot]:
    found = []
    for suffix, key, title in (("", "gpu", "GPU"), ("_memory", "gpu_memory", "GPU memory")):
        named = {int(match[1]): name for name in series if (match := re.fullmatch(rf"gpu(\d+){suffix}", name))}
        rows = {number: _numbers(series[name]) for number, name in sorted(named.items()) if series[name]}
        if not rows:
            continue
        names = [f"GPU {number}" for number in rows]
        if len(rows) <= _LINES:
            curves = [Curve(name, row) for name, row in zip(names, rows.values(), strict=True)]
            found.append(Plot(title, curves, marked=marked.get(key, ())))
            continue
        words = f"{title}: mean of {len(rows)} GPUs; band: the least and the most used one"
        every = list(rows.values())
        found.append(Plot(words, [Curve(title, _mean(every))], band=_range(every), marked=marked.get(key, ())))
        found.append(Plot(f"{title}, one by one", rows=every, names=names, key=f"{key}-rows"))
    return found


def _traffic(series: Mapping[str, Any]) -> list[Plot]:
    found = []
    for title, pair in (
        ("Disk", (("disk_read", "read"), ("disk_write", "written"))),
        ("Network", (("net_received", "received"), ("net_sent", "sent"))),
    ):
        curves = [Curve(name, _numbers(series[key])) for key, name in pair if series.get(key)]
        if curves:
            found.append(_bytes(title if len(curves) > 1 else f"{title}, {curves[0].name}", curves, "/s"))
    return found


def _bytes(title: str, curves: Sequence[Curve], rate: str) -> Plot:
    """Bytes in the unit that suits the largest."""
    most = max((value for curve in curves for value in curve.values if value is not None), default=0.0)
    factor, name = scale_of(most)
    scaled = [
        Curve(curve.name, [None if value is None else value / factor for value in curve.values]) for curve in curves
    ]
    return Plot(title, scaled, most=top_of([most / factor]), show=lambda value: f"{value:g} {name}{rate}")
