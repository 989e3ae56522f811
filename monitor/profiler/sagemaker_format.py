"""The profiler output that SageMaker left in S3, once it is downloaded.

    system/incremental/YYYYMMDDHH/SECONDS.algo-N.json    system metrics: one JSON object a line
    framework/pevents/YYYYMMDDHH/MICROS_NODE_*.json      trace events; those named Step:ModeKeys.* are steps

The names of metrics are those that smdebug's readers know (smdebug/profiler/system_profiler_file_parser.py and its
tests' files).
"""

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

from contract.errors import DataError
from monitor.profiler.recording import Node, Recording, Steps, number

_PLAIN: Final = {
    "MemoryUsedPercent": "memory",
    "ReadThroughputInBytesPerSecond": "disk_read",
    "WriteThroughputInBytesPerSecond": "disk_write",
}
_NETWORK: Final = {"ReceiveBytesPerSecond": "net_received", "TransmitBytesPerSecond": "net_sent"}
_NUMBERED: Final = re.compile(r"[a-z]+(\d{1,4})")
_MODES: Final = {"Step:ModeKeys.TRAIN": "TRAIN", "Step:ModeKeys.EVAL": "EVAL"}


class _Metric(NamedTuple):
    time: float
    dimension: str
    name: str
    value: float


def find(folder: Path) -> Path | None:
    """The profiler output in `folder`: itself, its `profiler-output`, or that of a job's folder in it; None if none.

    Raises DataError when it holds those of several jobs.
    """
    inner = ("system/incremental", "framework/pevents")
    found = {
        match.parents[1]
        for depth in ("", "*/", "*/*/")
        for name in inner
        for match in folder.glob(depth + name)
        if match.is_dir()
    }
    if len(found) > 1:
        names = ", ".join(sorted(each.relative_to(folder).as_posix() for each in found))
        raise DataError(f"{folder} holds the profiler output of {len(found)} jobs ({names}); name one of them")
    return next(iter(found), None)


def read(folder: Path) -> Recording:
    """What `find` found, as a recording: a node for each machine, the steps of the first process.

    Raises DataError when no file in it holds a metric or a step.
    """
    run = Recording(source="sagemaker")
    broken: list[str] = []
    metrics = _metrics(sorted(folder.glob("system/incremental/**/*.json")), broken)
    for name, values in sorted(metrics.items(), key=lambda item: _natural(item[0])):
        values.sort()
        interval = _interval(values)
        run.nodes[name] = _node(name, values, interval)
        run.machine.setdefault("interval_ms", round(interval * 1000))
    if run.nodes:
        run.machine |= {"cores": len(run.node.cores()), "gpus": run.node.gpus(), "nodes": list(run.nodes)}
    _read_steps(run, folder, broken)
    if not run.nodes and not len(run.steps):
        raise DataError(f"{folder} holds no system metrics and no steps; give the folder that SageMaker wrote")
    if broken:
        run.notes.append(f"{len(broken)} lines or files can't be read and are left out, the first in {broken[0]}")
    return run


def _natural(name: str) -> tuple[str, int]:
    """algo-2 comes before algo-10."""
    digits = re.search(r"\d+$", name)
    return (name[: digits.start()], int(digits[0])) if digits else (name, 0)


def _metrics(files: Iterable[Path], broken: list[str]) -> dict[str, list[_Metric]]:
    """Metrics by node. A last line that was cut off is no fault."""
    found: dict[str, list[_Metric]] = defaultdict(list)
    for file in files:
        content = file.read_bytes()
        lines = content.split(b"\n")
        for index, line in enumerate(lines):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                time, value = number(row["Timestamp"]), number(row["Value"])
                name, dimension = str(row.get("Name") or ""), str(row.get("Dimension") or "")
                node = str(row.get("NodeId") or "algo-1")
            except (ValueError, KeyError, TypeError, AttributeError):
                if index < len(lines) - 1:
                    broken.append(file.name)
                continue
            if time > 0 and math.isfinite(value):
                found[node].append(_Metric(time, dimension, name, value))
    return found


def _interval(metrics: list[_Metric]) -> float:
    """Seconds from one sample to the next: the median over the metrics. SageMaker's default, 0.5, for a single one."""
    series: dict[tuple[str, str], list[float]] = defaultdict(list)
    for each in metrics:
        series[each.dimension, each.name].append(each.time)
    gaps = [after - before for times in series.values() for before, after in pairwise(times) if after > before]
    return median(gaps) if gaps else 0.5


def _node(name: str, metrics: list[_Metric], interval: float) -> Node:
    """The samplers of CPU, memory, disk and network wake up milliseconds apart: what is close is one sample."""
    node = Node(name)
    sample: list[_Metric] = []
    for each in metrics:
        if sample and each.time - sample[0].time > interval / 2:
            _add(node, sample)
            sample = []
        sample.append(each)
    if sample:
        _add(node, sample)
    return node


def _add(node: Node, sample: list[_Metric]) -> None:
    values: dict[str, float] = {}
    numbered: dict[str, dict[int, float]] = defaultdict(dict)
    for each in sample:
        which = _NUMBERED.fullmatch(each.name)
        if which and each.dimension:
            numbered[each.dimension][int(which[1])] = each.value
        elif each.name in _PLAIN:
            values[_PLAIN[each.name]] = each.value
        elif each.name in _NETWORK and (each.dimension == "Algorithm" or _NETWORK[each.name] not in values):
            # The job's own traffic; the platform's (downloads of data and image) only where that is missing.
            values[_NETWORK[each.name]] = each.value
    waits = list(numbered["I/OWaitPercentage"].values())
    if waits:
        values |= {"iowait": sum(waits) / len(waits), "iowait_max": max(waits)}
    node.add_sample(
        sample[0].time,
        _in_order(numbered["CPUUtilization"]),
        values,
        _in_order(numbered["GPUUtilization"]),
        _in_order(numbered["GPUMemoryUtilization"]),
    )


def _in_order(values: Mapping[int, float]) -> list[float]:
    return [values.get(index, math.nan) for index in range(max(values, default=-1) + 1)]


def _read_steps(run: Recording, folder: Path, broken: list[str]) -> None:
    by_process: dict[str, dict[tuple[str, int], tuple[float, float]]] = defaultdict(dict)
    for file in sorted(folder.glob("framework/pevents/**/*.json")):
        process = file.name.split("_")[1] if file.name.count("_") >= 2 else ""
        begins = 0.0
        for event in _events(file, broken):
            arguments = event.get("args")
            arguments = arguments if isinstance(arguments, dict) else {}
            if event.get("ph") == "M":
                told_start = number(arguments.get("start_time_since_epoch_in_micros"))
                begins = begins if math.isnan(told_start) else told_start
                continue
            mode = _MODES.get(str(event.get("name")))
            start, took = number(event.get("ts")), number(event.get("dur"))
            step_text = str(arguments.get("step_num", ""))
            if event.get("ph") == "X" and mode and step_text.isdigit() and took >= 0 and math.isfinite(start):
                by_process[process][mode, int(step_text)] = ((begins + start) / 1e6, took / 1e6)
    if not by_process:
        return
    first, *others = sorted(by_process)
    if others:
        run.notes.append(f"steps of {len(others) + 1} processes were recorded; those of {first} are shown")
    for (mode, step), (start, took) in sorted(by_process[first].items(), key=lambda item: item[1]):
        steps: Steps = run.steps if mode == "TRAIN" else run.evaluations
        steps.add(start, {"step": float(step), "seconds": took})
    every = list(by_process[first].values())
    if len(run.steps):
        run.stages = {"training": run.steps.times[0], "finalization": max(start + took for start, took in every)}


def _events(file: Path, broken: list[str]) -> Iterator[dict[str, Any]]:
    """A file that wasn't closed has no closing bracket: it is read line by line then."""
    text = file.read_text(encoding="utf-8", errors="replace")
    try:
        rows = json.loads(text)
    except ValueError:
        rows = []
        for line in text.splitlines():
            try:
                rows.append(json.loads(line.strip().rstrip(",")))
            except ValueError:
                if line.strip(" ,[]"):
                    broken.append(file.name)
    yield from (row for row in rows if isinstance(row, dict)) if isinstance(rows, list) else ()
