"""Debugger and profiler reports as documents, made up: of any size, with any rule fired."""

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from contract.rules.profiler import PROFILER_RULES
from contract.rules.spec import RuleSpec
from contract.rules.tensor import TENSOR_RULES
from contract.rules.verdict import Finding, Verdict

HYPERPARAMETERS = {
    "architecture": "resnet18",
    "lr": 0.01,
    "batch_size": 32,
    "epochs": 8,
    "workers": 0,
    "freeze": "none",
}


def verdict(
    name: str,
    findings: Sequence[Finding] = (),
    datapoints: int = 40,
    advice: str | None = None,
    note: str | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What a rule of either table said."""
    spec: RuleSpec = TENSOR_RULES.get(name) or PROFILER_RULES[name]
    found = Verdict(spec, {**spec.defaults(), **(parameters or {})}, datapoints=datapoints, advice=advice, note=note)
    found.add(list(findings))
    found.end()
    return found.to_dict()


def layers(count: int) -> list[str]:
    """Parameters' names like those of a residual network, in its order."""
    names = ["Classifier_backbone.conv1.weight", "Classifier_backbone.bn1.weight", "Classifier_backbone.bn1.bias"]
    kinds = ("conv1.weight", "bn1.weight", "bn1.bias", "conv2.weight", "bn2.weight", "bn2.bias")
    while len(names) < count:
        block, kind = divmod(len(names) - 3, len(kinds))
        names.append(f"Classifier_backbone.layer{1 + 4 * len(names) // (count + 1)}.{block}.{kinds[kind]}")
    return [*names[: count - 2], "Classifier_head.weight", "Classifier_head.bias"][-count:]


def _rows(
    count: int, steps: int, middle: float, spread: float, seed: int, nan_from: int | None
) -> list[list[float | str | None]]:
    noise = random.Random(seed)
    rows: list[list[float | str | None]] = []
    for number in range(count):
        level = middle * 10 ** (spread * (number / max(count - 1, 1) - 0.5))
        row: list[float | str | None] = [
            level * math.exp(noise.gauss(0, 0.25)) * (1 + 2 * math.exp(-step / (0.1 * steps))) for step in range(steps)
        ]
        if nan_from is not None:
            row[nan_from - 1] = "inf"
            row[nan_from:] = ["nan"] * (steps - nan_from)
        rows.append(row)
    return rows


def trends(count: int = 62, steps: int = 400, every: int = 1, nan_from: int | None = None) -> dict[str, Any]:
    """All trends. every: training steps from one saved step to the next; nan_from: the saved step that is NaN first."""
    numbers = [step * every for step in range(steps)]
    names = layers(count)
    relus = [f"backbone.layer{1 + k // 4}.{k % 4}.relu" for k in range(max(1, count // 7))]

    def trend(keys: list[str], middle: float, spread: float, seed: int, broken: int | None) -> dict[str, Any]:
        return {"steps": numbers, "layers": keys, "values": _rows(len(keys), steps, middle, spread, seed, broken)}

    noise = random.Random(5)
    dead = [
        [min(1.0, max(0.0, 0.05 * k + 0.2 * step / steps + noise.gauss(0, 0.01))) for step in range(steps)]
        for k in range(len(relus))
    ]
    return {
        "losses": _losses(numbers, steps, nan_from),
        "gradient_norm": trend(names, 0.03, 2.5, 1, nan_from),
        "weight_norm": trend(names, 6.0, 1.2, 2, None),
        "update_ratio": trend(names, 1e-3, 3.0, 3, None),
        "dead_relu_share": {"steps": numbers, "layers": relus, "values": dead},
    }


def _losses(numbers: list[int], steps: int, nan_from: int | None) -> dict[str, list[list[Any]]]:
    """Eight validations of two saved batches each, the global steps counting on through them."""
    noise = random.Random(4)
    train: list[list[Any]] = []
    evaluation: list[list[Any]] = []
    ahead = 0
    for k, number in enumerate(numbers):
        value: Any = 0.25 + 1.7 * math.exp(-4 * k / steps) + 0.12 * noise.random()
        if nan_from is not None and k >= nan_from:
            value = "nan"
        train.append([number, number + ahead, value])
        if steps >= 8 and (k + 1) % (steps // 8) == 0:
            for _ in range(2):
                ahead += 1
                late = 0.5 + 1.4 * math.exp(-4 * k / steps) + 0.35 * (k / steps) ** 2 + 0.05 * noise.random()
                evaluation.append([len(evaluation), number + ahead, late])
    return {"TRAIN": train, "EVAL": evaluation}


def debugger_report(rules: Sequence[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    """A completed run of eight epochs with the default rules, none of which fired."""
    found = trends(12, 40) if "trends" not in more else more["trends"]
    losses = found.get("losses", {})
    document = {
        "format": 1,
        "kennel": "0.1.0",
        "tensors": "/opt/ml/output/tensors",
        "outcome": {"completed": True, "reason": None},
        "steps": {mode: len(rows) for mode, rows in losses.items()},
        "last_step": max((row[1] for rows in losses.values() for row in rows), default=None),
        "rules": [verdict(name) for name, spec in TENSOR_RULES.items() if spec.on] if rules is None else list(rules),
        "trends": found,
        "epochs": [],
        "steps_per_epoch": None,
        "hyperparameters": HYPERPARAMETERS,
        "notes": [],
    }
    return document | more


def fired_rules(layer_names: Sequence[str], steps: int, count: int = 200) -> list[dict[str, Any]]:
    """Every tensor rule with `count` findings, spread over layers and steps."""
    found = []
    for number, (name, spec) in enumerate(TENSOR_RULES.items()):
        findings = []
        for k in range(count):
            step = (number * 7 + k * max(1, steps // count)) % max(steps, 1)
            tensor = layer_names[(k * 5 + number) % len(layer_names)]
            kind = "" if name in ("WeightUpdateRatio", "UnchangedTensor") else "gradient/"
            text = f"{kind}{tensor}: 0.0000{k + 1} at training step {step} is outside the limits"
            findings.append(Finding(text, 1e-5 * (k + 1), step, "TRAIN", step, kind + tensor))
        found.append(verdict(name, findings, 10 * count, spec.advice))
    return found


def steady(count: int, level: float, noise: float, seed: int) -> list[float]:
    """A series around a level, between 0 and 100."""
    source = random.Random(seed)
    return [min(100.0, max(0.0, source.gauss(level, noise))) for _ in range(count)]


def system(points: int = 600, cores: int = 8, gpus: int = 0, interval_ms: int = 500) -> dict[str, Any]:
    """Utilisation: the cores unevenly busy, memory growing, disk at the start."""
    times = [round(interval_ms / 1000 * (k + 1), 3) for k in range(points)]
    by_core = [steady(points, 90 - 70 * core / cores, 8, core) for core in range(cores)]
    mean = [sum(row[k] for row in by_core) / cores for k in range(points)]
    series: dict[str, Any] = {
        "cpu": mean,
        "cpu_by_core": by_core,
        "iowait": [max(0.0, 30 - k) for k in range(points)],
        "memory": [40 + 10 * k / points for k in range(points)],
        "process_memory": [1.2e9 + 4e8 * k / points for k in range(points)],
        "disk_read": [8e7 * math.exp(-k / 40) for k in range(points)],
        "disk_write": [2e6 if k % 75 == 0 else 0.0 for k in range(points)],
        "net_received": [1500.0] * points,
        "net_sent": [700.0] * points,
    }
    for number in range(gpus):
        series[f"gpu{number}"] = steady(points, 35 + 5 * number, 12, 100 + number)
        series[f"gpu{number}_memory"] = [20.0 + 3 * number] * points
    statistics = {name: _statistics(values, _unit(name)) for name, values in series.items() if name != "cpu_by_core"}
    return {
        "interval_ms": interval_ms,
        "samples": 3 * points,
        "times": times,
        "series": series,
        "statistics": statistics,
    }


def _unit(name: str) -> str:
    if name in ("disk_read", "disk_write", "net_received", "net_sent"):
        return "bytes/s"
    return "bytes" if name == "process_memory" else "percent"


def _statistics(values: Sequence[float], unit: str) -> dict[str, Any]:
    ordered = sorted(values)
    at = {name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for name, share in
          (("max", 1.0), ("p99", 0.99), ("p95", 0.95), ("p50", 0.5), ("min", 0.0))}  # fmt: skip
    return {"unit": unit, **at, "mean": sum(values) / len(values)}


def steps(count: int, first_s: float, seconds: float, started: float) -> dict[str, Any]:
    """Steps of some 0.3 s with a slow one now and then, two fifths of each spent waiting for data."""
    noise = random.Random(6)
    spacing = seconds / max(count, 1)
    durations = [[k, started + first_s + spacing * k, 0.28 + 0.04 * noise.random()] for k in range(count)]
    for k in range(25, count, 90):
        durations[k][2] = 1.1 + 0.3 * noise.random()
    shares = {"data": 0.41, "copy": 0.01, "forward": 0.17, "backward": 0.27, "optimizer": 0.03, "hook": 0.02,
              "validation": 0.07, "checkpoint": 0.01, "other": 0.01}  # fmt: skip
    return {
        "n": count,
        "seconds": {"mean": 0.31, "p50": 0.3, "p95": 0.33, "p99": 1.2, "max": 1.4},
        "phases": {
            name: {"seconds": share * seconds, "share": share, "mean_ms": 300 * share, "p95_ms": 390 * share}
            for name, share in shares.items()
        },
        "durations": durations,
        "outliers": [{"step": row[0], "t": row[1], "seconds": row[2], "phase": "data"} for row in durations
                     if row[2] > 1],
        "samples_per_second": 98.7,
    }  # fmt: skip


def operators(gpu: bool = False) -> dict[str, Any]:
    """An operator table of five steps."""
    names = ("aten::convolution_backward", "aten::mkldnn_convolution", "aten::native_batch_norm_backward",
             "aten::native_batch_norm", "aten::threshold_backward", "aten::clamp_min", "aten::add_",
             "Optimizer.step#SGD.step", "enumerate(DataLoader)#_MultiProcessingDataLoaderIter.__next__")  # fmt: skip
    rows = [
        {
            "name": name,
            "calls": 20 * (9 - k),
            "self_us": 4e5 / (k + 1),
            "total_us": 5e5 / (k + 1),
            "share": 0.4 / (k + 1),
        }
        for k, name in enumerate(names)
    ]
    kernel = "void cudnn::ops::nchwToNhwcKernel<__half, __half, float, false, true>(cudnn::ops::params_t<float>, void*)"
    kernels = [{"name": kernel, "calls": 400, "self_us": 9e4, "total_us": 9e4, "share": 0.31}] if gpu else []
    return {"first": 10, "count": 5, "cpu": rows, "gpu": kernels, "device": "cuda" if gpu else "cpu"}


STARTED = 1_795_000_000.0  # 2026-11-18 11:06:40 UTC


def profiler_report(
    points: int = 600, cores: int = 8, gpus: int = 0, count: int = 800, epochs: int = 4, **more: Any
) -> dict[str, Any]:
    """A completed job with eight seconds before its training and twelve after it."""
    usage = system(points, cores, gpus)
    whole = max(usage["times"][-1], 30.0)
    first, last = 8.0, whole - 12.0
    epoch_s = (last - first) / epochs
    stages = [
        {"stage": "initialization", "start_s": 0.0, "end_s": first},
        {"stage": "training", "start_s": first, "end_s": last},
        {"stage": "finalization", "start_s": last, "end_s": whole},
    ]
    for epoch in range(1, epochs + 1):
        start, end = first + (epoch - 1) * epoch_s, first + epoch * epoch_s
        stages.append({"stage": "epoch", "start_s": start, "end_s": end, "epoch": epoch})
        stages.append({"stage": "validation", "start_s": end - 0.12 * epoch_s, "end_s": end, "epoch": epoch})
    document = {
        "format": 1,
        "kennel": "0.1.0",
        "job": {
            "started": STARTED, "ended": STARTED + whole, "seconds": whole, "initialization_s": first,
            "training_s": last - first, "finalization_s": whole - last, "completed": True, "reason": None,
        },
        "machine": {"cpu": "Example CPU 2.4 GHz", "cores": cores, "memory_bytes": 33_000_000_000,
                    "gpus": ["Example GPU"] * gpus, "interval_ms": 500},
        "system": usage,
        "steps": steps(count, first, last - first, STARTED),
        "timeline": stages,
        "operators": operators(bool(gpus)),
        "rules": [verdict(name, datapoints=600) for name in PROFILER_RULES],
        "headline": ["Data loading takes 41 % of a step: set workers=4."],
        "hyperparameters": HYPERPARAMETERS,
        "notes": [],
    }  # fmt: skip
    return document | more


def bottlenecks() -> list[dict[str, Any]]:
    """Profiler rules of which three fired, with their spans."""
    fired = {
        "IOBottleneck": [Finding("I/O wait was above 50 % for 62 % of the time", 62.0, start_s=10.0, end_s=42.0)],
        "CPUBottleneck": [
            Finding(f"the CPU was busy and the GPU idle from {s:.0f} s on", 95.0, start_s=s, end_s=s + 9)
            for s in (60.0, 120.0, 121.0, 200.0)
        ],
        "StepOutlier": [
            Finding(f"step {k} took 1.2 s", 1.2, k, start_s=8 + 0.35 * k, end_s=9.2 + 0.35 * k)
            for k in range(25, 800, 90)
        ],
        "Dataloader": [Finding("0 loading processes for 8 cores", 0.0, start_s=0.0)],
    }  # fmt: skip
    advice = "Set workers=4, or cache=memory: the images are 0.3 GiB."
    return [
        verdict(name, fired.get(name, ()), 600, advice if name in fired else None)
        | ({"note": "there is no GPU"} if name == "LoadBalancing" else {})
        for name in PROFILER_RULES
    ]
