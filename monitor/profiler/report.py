"""profiler-report.json: the document that the page and programs read."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from contract.rules.profiler import PROFILER_RULES
from contract.version import VERSION
from monitor.profiler.advice import settings, stages
from monitor.profiler.recording import Node, Recording, number
from monitor.profiler.statistics import describe, mean, outliers, percentile, plain, spread, thin
from monitor.profiler.step_times import judged_seconds, phase_shares, phases, slowest_phases

FORMAT: Final = 1
MOST_POINTS: Final = 600  # of a series
MOST_STEPS: Final = 2000  # whose durations are listed
MOST_OUTLIERS: Final = 200
MOST_EPOCHS: Final = 200  # that the timeline separates

_UNITS: Final = {
    "cpu": "percent",
    "iowait": "percent",
    "memory": "percent",
    "memory_bytes": "bytes",
    "process_memory": "bytes",
    "process_cpu": "percent",
    "disk_read": "bytes/s",
    "disk_write": "bytes/s",
    "net_received": "bytes/s",
    "net_sent": "bytes/s",
}


def build(run: Recording, outcome: Mapping[str, Any], deviations: float | None = None) -> dict[str, Any]:
    """All but `rules` and `headline`. outcome: completed (bool or None) and reason.

    deviations: of StepOutlier, as it was asked for; its default else.
    """
    if deviations is None:
        deviations = float(PROFILER_RULES["StepOutlier"].defaults()["stddev"])
    document: dict[str, Any] = {
        "format": FORMAT,
        "kennel": VERSION,
        "source": run.source,
        "job": _job(run, outcome),
        "machine": {**run.machine, **{key: run.config[key] for key in ("device", "workers") if key in run.config}},
        "system": _system(run),
        "steps": _steps(run, deviations),
        "timeline": _timeline(run),
        "operators": run.operators,
        "hyperparameters": settings(run),
        "notes": [*run.notes, *_told(run)],
    }
    cleaned: dict[str, Any] = plain(document)
    # Times since the epoch need more digits than anything else.
    for key in ("started", "ended"):
        cleaned["job"][key] = plain(document["job"][key], 13)
    if "process_started" in cleaned["machine"]:
        cleaned["machine"]["process_started"] = plain(run.machine["process_started"], 13)
    return cleaned


def _told(run: Recording) -> list[str]:
    """What the sampler noted of the machine."""
    notes = run.machine.get("notes")
    return [str(each) for each in notes] if isinstance(notes, list) else []


def _job(run: Recording, outcome: Mapping[str, Any]) -> dict[str, Any]:
    took = stages(run)
    return {
        "started": run.started() or None,
        "ended": run.ended() or None,
        "seconds": took.job,
        "initialization_s": took.initialization,
        "training_s": took.training,
        "finalization_s": took.finalization,
        "completed": outcome.get("completed"),
        "reason": outcome.get("reason"),
    }


def _system(run: Recording) -> dict[str, Any]:
    node = run.node
    names = _series_names(node)
    times = node.time() - run.started()
    series: dict[str, Any] = {name: thin(node[name], MOST_POINTS) for name in names}
    series["cpu_by_core"] = [thin(node[core], MOST_POINTS) for core in node.cores()]
    interval = number(run.machine.get("interval_ms"))
    return {
        "interval_ms": None if math.isnan(interval) else interval,
        "node": node.name or None,
        "samples": len(node),
        "times": thin(times, MOST_POINTS),
        "series": series,
        "statistics": _statistics(node),
        # Statistics of every machine, where there are several.
        "nodes": {each.name: {"samples": len(each), "statistics": _statistics(each)} for each in run.nodes.values()}
        if len(run.nodes) > 1
        else {},
    }


def _series_names(node: Node) -> list[str]:
    known = node.names()
    found = [name for name in _UNITS if name in known]
    for gpu in node.gpus():
        found += [name for name in (gpu, f"{gpu}_memory", f"{gpu}_memory_bytes") if name in known]
    return [name for name in found if np.isfinite(node[name]).any()]


def _statistics(node: Node) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in _series_names(node):
        unit = _UNITS.get(name, "bytes" if name.endswith("_bytes") else "percent")
        found[name] = {"unit": unit, **(describe(node[name]) or {})}
    return found


def _steps(run: Recording, deviations: float) -> dict[str, Any]:
    steps = run.steps
    took = judged_seconds(steps)
    times = steps["seconds"]
    judged = steps.judged() if len(steps) else np.zeros(0, dtype=np.bool_)
    slow, limit = outliers(times, judged, deviations)
    slow = slow[np.argsort(-times[slow])][:MOST_OUTLIERS]
    slow.sort()
    began = run.started()
    shown = np.union1d(spread(len(steps), MOST_STEPS - len(slow)), slow)
    batch = number(run.config.get("batch_size"))
    shares = phase_shares(steps)
    return {
        "n": len(steps),
        "judged": int(judged.sum()),
        "recorded": int((steps["recorded"] > 0).sum()),
        "seconds": {
            "mean": mean(took),
            **{name: percentile(took, share) for name, share in (("p50", 50), ("p95", 95), ("p99", 99), ("max", 100))},
        },
        "phases": {
            phase: {
                "seconds": float(np.nansum(steps[phase][judged])),
                "share": shares.get(phase),
                "mean_ms": 1000 * mean(steps[phase][judged]),
                "p95_ms": 1000 * percentile(steps[phase][judged], 95),
            }
            for phase in phases(steps)
        },
        "durations": [
            [int(steps["step"][index]), steps.times[index] - began, times[index]] for index in shown.tolist()
        ],
        "outliers": [
            {
                "step": int(steps["step"][index]),
                "t": steps.times[index] - began,
                "seconds": times[index],
                "phase": phase,
            }
            for index, phase in zip(slow.tolist(), slowest_phases(steps, slow), strict=True)
        ],
        "outlier_limit_s": limit,
        "samples_per_second": batch / mean(took) if len(took) and mean(took) > 0 else None,
    }


def _timeline(run: Recording) -> list[dict[str, Any]]:
    """The stages, and in the training loop what each epoch is made of, by start."""
    began, took = run.started(), stages(run)
    if not began:
        return []
    ends = took.initialization + took.training
    found: list[dict[str, Any]] = [{"stage": "initialization", "start_s": 0.0, "end_s": took.initialization}]
    epochs = _epochs(run)
    if epochs:
        found += epochs
        for part in run.parts:
            start = part.start - began
            found.append({"stage": part.name, "start_s": start, "end_s": start + part.seconds, "epoch": part.epoch})
    if took.training:
        found.append({"stage": "training", "start_s": took.initialization, "end_s": ends})
    if took.finalization:
        found.append({"stage": "finalization", "start_s": ends, "end_s": ends + took.finalization})
    return sorted(found, key=lambda each: (each["start_s"], -each["end_s"]))


def _epochs(run: Recording) -> list[dict[str, Any]]:
    """The training steps of each epoch as one entry; none where epochs are unknown, or too many to tell apart."""
    epoch, start = run.steps["epoch"], run.steps.time() - run.started()
    end = start + np.nan_to_num(run.steps["seconds"])
    every: Sequence[float] = np.unique(epoch[np.isfinite(epoch)]).tolist()
    if not 0 < len(every) <= MOST_EPOCHS:
        return []
    return [
        {
            "stage": "epoch",
            "start_s": float(start[epoch == each].min()),
            "end_s": float(end[epoch == each].max()),
            "epoch": int(each),
        }
        for each in every
    ]
