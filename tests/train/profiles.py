"""Profiler files made by hand: what a machine and its steps would have left."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from contract.rules.profiler import PROFILER_RULES
from contract.rules.request import RuleRequest
from monitor.profiler.advice import Facts, Stages
from monitor.profiler.reader import Reader
from monitor.profiler.recording import Node, Recording
from monitor.profiler.rules.base import Judgement, ProfilerRule
from monitor.rules import rule_class

START = 1_800_000_000.0  # seconds since the epoch
INTERVAL = 0.5


def ask(name: str, **parameters: Any) -> RuleRequest:
    spec = PROFILER_RULES[name]
    return RuleRequest(spec, {**spec.defaults(), **parameters}, profiler=True)


def judge(name: str, run: Recording, ended: bool = True, **parameters: Any) -> Judgement:
    rule = rule_class(name)(ask(name, **parameters).parameters)
    assert isinstance(rule, ProfilerRule)
    return rule.judge(run, ended)


def spans(found: Judgement) -> list[tuple[float | None, float | None]]:
    return [(each.start_s, each.end_s) for each in found.findings]


def default_rules() -> list[RuleRequest]:
    return [RuleRequest(spec, spec.defaults(), named=False, profiler=True) for spec in PROFILER_RULES.values()]


def lines(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Append rows, as the profiler does."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows)


def sample(index: int, cpu: Sequence[float] = (50.0, 70.0), **other: Any) -> dict[str, Any]:
    """Sample number `index` (from 0), half a second after the one before."""
    return {
        "t": START + INTERVAL * (index + 1),
        "cpu": list(cpu),
        "iowait": 1.0,
        "memory": 40.0,
        "memory_bytes": 4_000_000_000,
        "process_bytes": 1_000_000_000,
        "process_cpu": 110.0,
        "disk_read": 0.0,
        "disk_write": 1000.0,
        "net_received": 0.0,
        "net_sent": 0.0,
        "gpu": [],
        "gpu_memory": [],
        "gpu_memory_bytes": [],
        **other,
    }


STEP = {"data": 0.01, "copy": 0.0, "forward": 0.03, "backward": 0.05, "optimizer": 0.01, "hook": 0.0}  # 0.1 s


def step(number: int, at: float, epoch: int = 1, **other: Any) -> dict[str, Any]:
    """at: seconds since the job began."""
    return {"step": number, "epoch": epoch, "t": START + at, **STEP, **other}


def steps(count: int, at: float = 2.0, **other: Any) -> list[dict[str, Any]]:
    """One after the other, 0.1 s each unless told otherwise."""
    took = sum(float({**STEP, **other}[phase]) for phase in STEP)
    return [step(number, at + number * took, **other) for number in range(count)]


SETTINGS: dict[str, Any] = {
    "batch_size": 8, "epochs": 5, "image_size": 224, "test_image_size": 0, "freeze": "none", "feature_views": 4,
    "pretrained": "none", "cache": "none", "workers": -1, "device": "auto", "debug": "on", "debug_interval": 0,
    "tensorboard": "on", "profile": "on", "profile_steps": "auto", "validation_fraction": 0.2, "export": "int8",
}  # fmt: skip


def write_job(
    folder: Path,
    samples: Sequence[Mapping[str, Any]] = (),
    steps: Sequence[Mapping[str, Any]] = (),
    stages: Mapping[str, float] | None = None,
    settings: Mapping[str, Any] | None = None,
    machine: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
) -> Path:
    """All files of a job that began at START. stages: name -> seconds since then."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {"cpu": "A CPU", "cores": 2, "memory_bytes": 8 * 10**9, "gpus": [], "interval_ms": 500, "pid": 7}
    (folder / "machine.json").write_text(json.dumps({**told, "process_started": START, **(machine or {})}))
    chosen = {**SETTINGS, **(settings or {})}
    plain = {"hyperparameters": chosen, "workers": 0, "device": "cpu", "batch_size": chosen["batch_size"]}
    (folder / "config.json").write_text(json.dumps({**plain, **(config or {})}))
    if stages is None:
        stages = {"initialization": 0.0, "training": 2.0}
    lines(folder / "stages.jsonl", [{"stage": name, "t": START + at} for name, at in stages.items()])
    lines(folder / "system.jsonl", samples)
    lines(folder / "steps.jsonl", steps)
    return folder


def read(folder: Path) -> Recording:
    return Reader(folder).poll(ended=True)


def machine(count: int, **columns: Callable[[int], float] | float) -> Recording:
    """A recording of `count` samples, by half a second, of one machine; training begins with the first of them.

    columns: a number, or a function of the sample's index. core0, gpu0, gpu0_memory ... are of a core or a GPU.
    """
    run = Recording(machine={"interval_ms": 500, "process_started": START, "cores": 2}, stages={"training": START})
    node = Node()

    def value(column: Callable[[int], float] | float, index: int) -> float:
        return column(index) if callable(column) else column

    def numbered(prefix: str, suffix: str, index: int) -> list[float]:
        names = [f"{prefix}{number}{suffix}" for number in range(8)]
        return [value(columns[name], index) for name in names if name in columns]

    for index in range(count):
        wanted: tuple[str, ...] = ("iowait", "memory", "process_cpu")
        plain = {name: value(columns[name], index) for name in wanted if name in columns}
        node.add_sample(
            START + INTERVAL * (index + 1),
            numbered("core", "", index),
            plain,
            numbered("gpu", "", index),
            numbered("gpu", "_memory", index),
        )
    run.nodes[""] = node
    return run


# A job of 100 s on two cores without a GPU that nothing is wrong with.
SHARES = {"data": 0.10, "copy": 0.0, "forward": 0.30, "backward": 0.40, "optimizer": 0.10, "hook": 0.03}
WELL = Facts(
    Stages(initialization=5.0, training=90.0, finalization=5.0),
    {**SETTINGS, "debug_interval": 10, "batch_size": 32},
    {**SHARES, "copy": 0.07},
    steps_s=80.0, validation_s=10.0, steps_per_epoch=100, device="cpu", cores=2, workers=0,
    cpu=95.0, process=90.0, iowait=1.0, memory_max=50.0,
)  # fmt: skip
GPU = replace(WELL, device="cuda", gpus=("H200",), cores=16, workers=8, gpu_p95=90.0, gpu_memory_p95=80.0)
LOADING = {"data": 0.41, "copy": 0.0, "forward": 0.20, "backward": 0.29, "optimizer": 0.07, "hook": 0.03}


def changed(facts: Facts, chosen: Mapping[str, Any] | None = None, **other: Any) -> Facts:
    return replace(facts, settings={**facts.settings, **(chosen or {})}, **other)
