"""The figures of a job that advice is made from."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from train.profile.phases import phase_shares
from train.profile.recording import FloatArray, Recording, number
from train.profile.statistics import mean, percentile


def settings(run: Recording) -> dict[str, Any]:
    """The job's hyperparameters, decoded where they came as JSON in strings."""
    given = run.config.get("hyperparameters")
    found = dict(given) if isinstance(given, Mapping) else {}
    for name, value in found.items():
        if isinstance(value, str):
            try:
                found[name] = json.loads(value)
            except ValueError:
                continue
    return found


@dataclass(frozen=True)
class Stages:
    """Seconds that the stages of a job took."""

    initialization: float
    training: float
    finalization: float

    @property
    def job(self) -> float:
        return self.initialization + self.training + self.finalization


def stages(run: Recording) -> Stages:
    """A stage that hasn't come took no time: a job whose training never began was all initialization."""
    began, until = run.started(), run.ended()
    starts, ends = run.training()
    start = min(max(starts, began), until) if starts is not None else until
    end = min(max(ends, start), until) if ends is not None else until
    return Stages(start - began, end - start, until - end)


@dataclass(frozen=True)
class Facts:
    """What is known; NaN or None where it isn't. Percentages are of the training loop's samples.

    shares: of a step's time, from 0 to 1, by phase. process: the training process's part of the machine's CPU.
    """

    stages: Stages
    settings: Mapping[str, Any] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    steps_s: float = 0.0
    recorded_s: float = 0.0
    validation_s: float = 0.0
    steps_per_epoch: int = 0
    device: str = ""
    gpus: tuple[str, ...] = ()
    cores: int = 0
    workers: int | None = None
    cpu: float = math.nan
    process: float = math.nan
    iowait: float = math.nan
    memory_max: float = math.nan
    gpu_p95: float = math.nan
    gpu_memory_p95: float = math.nan

    @classmethod
    def of(cls, run: Recording) -> "Facts":
        node = run.node
        starts, ends = run.training()
        times = node.time()
        inside = (times >= (starts or 0.0)) & (times < (math.inf if ends is None else ends))

        def column(name: str) -> FloatArray:
            return node[name][inside]

        gpus = node.gpus()
        told = number(run.config.get("workers"))
        cores = run.cores()
        epochs = run.steps["epoch"]
        names = run.machine.get("gpus")
        return cls(
            stages(run),
            settings(run),
            phase_shares(run.steps),
            steps_s=float(np.nansum(run.steps["seconds"])),
            recorded_s=float(np.nansum(run.steps["seconds"][run.steps["recorded"] > 0])),
            validation_s=sum(part.seconds for part in run.parts if part.name == "validation"),
            steps_per_epoch=int(np.unique(epochs[np.isfinite(epochs)], return_counts=True)[1].max(initial=0)),
            device=str(run.config.get("device", "")),
            gpus=tuple(str(each) for each in names) if isinstance(names, list) else (),
            cores=cores,
            workers=None if math.isnan(told) else int(told),
            cpu=mean(column("cpu")),
            process=mean(column("process_cpu")) / cores if cores else math.nan,
            iowait=mean(column("iowait")),
            memory_max=percentile(column("memory"), 100),
            gpu_p95=max((percentile(column(gpu), 95) for gpu in gpus), default=math.nan),
            gpu_memory_p95=max((percentile(column(f"{gpu}_memory"), 95) for gpu in gpus), default=math.nan),
        )

    def get(self, name: str) -> float:
        """A hyperparameter's number; NaN if it isn't there."""
        return number(self.settings.get(name))

    def share(self, *phases: str) -> float:
        """Percent of a step's time; NaN where steps weren't taken apart."""
        return 100 * sum(self.shares.get(phase, math.nan) for phase in phases)
