"""profiler-report.html: where the time went, and how well the machine was used."""

import math
from collections.abc import Mapping
from typing import Any, Final

from reports.advice import Hint
from reports.charts.steps import BarPart, bar, durations, phase_bar, phases, since
from reports.charts.usage import usage_chart
from reports.page import render
from reports.rule_table import first_sentences, of_document, rule_rows
from reports.units import NOTHING, clock, count, figure, in_unit, real, seconds, size

_STAGES: Final = ("initialization", "training", "finalization")
_STATISTICS: Final = ("max", "p99", "p95", "p50", "min", "mean")
_OPERATORS: Final = 15
_OUTLIERS: Final = 20
_NAMES: Final = {
    "cpu": "CPU, mean of all cores",
    "iowait": "I/O wait",
    "memory": "memory of the machine",
    "memory_bytes": "memory of the machine, bytes",
    "process_memory": "memory of the training processes",
    "process_cpu": "CPU of the training processes, of one core",
    "disk_read": "disk, read",
    "disk_write": "disk, written",
    "net_received": "network, received",
    "net_sent": "network, sent",
}


def profiler_page(document: Mapping[str, Any]) -> bytes:
    """The page as UTF-8 HTML, from a profiler report (docs/profiler.md)."""
    rows = rule_rows(document["rules"])
    outcome = of_document(document, "job")
    steps = document.get("steps") or {}
    anatomy = phases(steps)
    return render(
        "profiler.html",
        report=document,
        outcome=outcome,
        rows=rows,
        fired=sum(row.fired for row in rows),
        advice=[Hint(sentence, "rules") for sentence in document.get("headline") or []]
        or first_sentences(rows, "sample/samples"),
        job=_job(document["job"]),
        machine=_machine(document.get("machine") or {}),
        statistics=_statistics(document.get("system") or {}),
        usage=usage_chart(document),
        steps=_steps(steps),
        samples=_samples(document.get("system") or {}),
        window=_window(document.get("operators") or {}),
        phases=anatomy,
        phase_bar=phase_bar(anatomy),
        durations=durations(document),
        outliers=_outliers(document),
        operators=_operators(document.get("operators") or {}),
        seconds=seconds,
    )


def _job(job: Mapping[str, Any]) -> dict[str, Any]:
    """Start, end, duration, and the three stages: seconds and share of the whole."""
    known = {name: real(job.get(f"{name}_s")) for name in _STAGES}
    whole = real(job.get("seconds"))
    if whole is None:
        whole = math.fsum(value or 0.0 for value in known.values())
    parts = [
        BarPart(name, f"stage-{name}", value / whole, seconds(value))
        for name, value in known.items()
        if value is not None and whole
    ]
    return {
        "started": clock(job.get("started")),
        "ended": clock(job.get("ended")),
        "seconds": seconds(real(job.get("seconds"))),
        "parts": parts,
        "bar": bar(parts, "Stages of the job") if parts else None,
    }


def _steps(steps: Mapping[str, Any]) -> dict[str, Any]:
    """How many steps, and how long they took, as far as known."""
    known = steps.get("seconds") or {}
    throughput = real(steps.get("samples_per_second"))
    return {
        "n": int(steps.get("n") or 0),
        "median": seconds(known["p50"]) if real(known.get("p50")) is not None else None,
        **{name: seconds(known.get(name)) for name in ("mean", "p95", "p99", "max")},
        "throughput": figure(throughput) if throughput else None,
    }


def _samples(system: Mapping[str, Any]) -> str:
    interval = real(system.get("interval_ms"))
    rate = f", one each {seconds(interval / 1000)}" if interval else ""
    return count(int(system.get("samples") or len(system.get("times") or [])), "sample") + rate


def _window(operators: Mapping[str, Any]) -> str:
    if not operators.get("count"):
        return "Measured "
    first = f" from step {operators['first']} on" if operators.get("first") is not None else ""
    return f"{count(int(operators['count']), 'step')}{first}, measured "


def _machine(machine: Mapping[str, Any]) -> str:
    """The machine in one line."""
    words = [str(machine["cpu"])] if machine.get("cpu") else []
    if machine.get("cores"):
        words.append(count(int(machine["cores"]), "core"))
    if machine.get("memory_bytes"):
        words.append(f"{size(machine['memory_bytes'])} of memory")
    gpus = [str(name) for name in machine.get("gpus") or []]
    words += [f"{gpus.count(name)} \u00d7 {name}" for name in dict.fromkeys(gpus)]
    return ", ".join(words if gpus or not words else [*words, "no GPU"])


def _statistics(system: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    rows = []
    for name, row in (system.get("statistics") or {}).items():
        figures = [in_unit(row.get(statistic), str(row.get("unit") or "")) for statistic in _STATISTICS]
        rows.append((series_name(name), figures))
    return rows


def series_name(name: str) -> str:
    """A series' name for people: `gpu0_memory` is `GPU 0, memory`."""
    if name in _NAMES:
        return _NAMES[name]
    first, _, rest = name.partition("_")
    for start, word in (("gpu", "GPU"), ("cpu", "CPU core")):
        number = first.removeprefix(start)
        if first.startswith(start) and number.isdigit():
            return f"{word} {number}" + (f", {rest.replace('_', ', ')}" if rest else "")
    return name.replace("_", " ")


def _outliers(document: Mapping[str, Any]) -> list[dict[str, str]]:
    rows = (document.get("steps") or {}).get("outliers") or []
    longest = sorted(rows, key=lambda row: -(real(row.get("seconds")) or 0.0))[:_OUTLIERS]
    return [
        {
            "step": f"{row['step']:,}",
            "time": seconds(since(row.get("t"), document["job"].get("started"))),
            "seconds": seconds(row.get("seconds")),
            "phase": str(row.get("phase") or NOTHING),
        }
        for row in longest
    ]


def _operators(operators: Mapping[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The costliest operators of row device that was measured."""
    devices = []
    for key, name in (("gpu", "GPU"), ("cpu", "CPU")):
        rows = sorted(operators.get(key) or [], key=lambda row: -(real(row.get("self_us")) or 0.0))[:_OPERATORS]
        if rows:
            devices.append((name, [_operator(row) for row in rows]))
    return devices


def _operator(row: Mapping[str, Any]) -> dict[str, Any]:
    times = {key: None if real(row.get(key)) is None else seconds(row[key] / 1e6) for key in ("self_us", "total_us")}
    return {"name": row["name"], "calls": f"{row.get('calls', 0):,}", "share": real(row.get("share")), **times}
