"""What could make a job faster: one function a topic, which gives a sentence where there is something to say.

Nothing is advised that is set already, or that would not help. Every sentence knows the seconds that are at stake.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from monitor.profiler.recording import FloatArray, Recording, number
from monitor.profiler.statistics import mean, percentile
from monitor.profiler.step_times import WAITING, phase_shares


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
        workers = number(run.config.get("workers"))
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
            workers=None if math.isnan(workers) else int(workers),
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


HOOK: Final = 3.0  # percent of a step that observers may take
_FULL: Final = 85.0  # percent of CPU from which on more processes gain nothing


@dataclass(frozen=True)
class Advice:
    """A sentence. seconds: of the job, that are at stake; infinite where it is not about time.

    trade: it costs something else.
    """

    text: str
    seconds: float
    trade: bool = False


def data(facts: Facts) -> Advice | None:
    """Steps wait for their images."""
    waits = facts.share("data")
    if not waits > WAITING:
        return None
    text = f"Loading data takes {waits:.0f} % of a step: {_or(_faster_loading(facts))}."
    return Advice(text, facts.steps_s * waits / 100)


def _faster_loading(facts: Facts) -> list[str]:
    remedies = cached(facts)
    better = more_workers(facts)
    if better is not None:
        remedies.append(f"workers={better}" if remedies else f"set workers={better} (now {facts.workers})")
    if facts.settings.get("freeze") == "backbone" and facts.get("feature_views") == 0:
        remedies.append("set feature_views=4 (features are computed once)")
    if facts.iowait > 20:
        remedies.append("pack the images in archives (python -m train.pack)")
    if not remedies and facts.settings.get("freeze") == "none" and facts.settings.get("pretrained") != "none":
        remedies.append("set freeze=backbone (features are computed once)")
    return remedies or ["a machine with more CPU cores would help"]


def cached(facts: Facts) -> list[str]:
    """cache=memory, where images would be read again and there is room for them."""
    helps = facts.settings.get("cache") == "none" and facts.get("epochs") > 1 and not facts.memory_max > 80
    return ["set cache=memory (decoded images stay in memory)"] if helps else []


def more_workers(facts: Facts) -> int | None:
    """A better number of loading processes; None if the present one is best, or isn't known.

    Beside a GPU one a core, at most 8, as workers=-1 chooses. On the CPU, half as many as cores, and only while the
    network leaves some of them idle.
    """
    if facts.workers is None or not facts.cores:
        return None
    on_cpu = max(1, facts.cores // 2) if facts.cpu < _FULL else 0
    best = on_cpu if facts.device == "cpu" else min(8, facts.cores)
    return best if facts.workers < best else None


def hook(facts: Facts) -> Advice | None:
    """Observers, mostly the saving of tensors, take their part of a step."""
    takes = facts.share("hook")
    if not takes > HOOK:
        return None
    interval = facts.get("debug_interval")
    if facts.settings.get("debug") == "on" and interval > 0:
        what = f"set debug_interval={math.ceil(interval * takes / HOOK)} (now {interval:.0f})"
    elif facts.settings.get("debug") == "on":
        what = "set debug_interval higher than the automatic choice, or debug=off"
    elif facts.settings.get("tensorboard") == "on":
        what = "set tensorboard=off"
    else:
        return None
    return Advice(f"Saving tensors and other observers take {takes:.0f} % of a step: {what}.", _of_steps(facts, takes))


def _of_steps(facts: Facts, percent: float) -> float:
    return facts.steps_s * percent / 100


def batch(facts: Facts) -> Advice | None:
    """A step has too few images for what it costs."""
    size = facts.get("batch_size")
    if not size >= 1 or facts.share("data") > WAITING:
        return None
    if facts.gpu_p95 < 70 and facts.gpu_memory_p95 < 70 and facts.device != "cpu":
        larger = _larger_batch(facts, 2)
        text = f"The GPU is used up to {facts.gpu_p95:.0f} % and its memory up to {facts.gpu_memory_p95:.0f} %"
        return (
            Advice(f"{text} (95th percentiles): {larger}.", facts.steps_s * (1 - facts.gpu_p95 / 100))
            if larger
            else None
        )
    takes = facts.share("optimizer")
    if facts.device == "cpu" and takes > 15:
        # The optimizer's time is a step's, not an image's: aim at 5 % of the step.
        larger = _larger_batch(facts, 2 ** math.ceil(math.log2(19 * takes / (100 - takes))) if takes < 100 else 64)
        text = f"The optimizer takes {takes:.0f} % of a step, however many images it has: {larger}."
        return Advice(text, _of_steps(facts, takes)) if larger else None
    return None


def _larger_batch(facts: Facts, times: int) -> str | None:
    """Words: doubled, up to `times` as large, as long as an epoch has four steps; None where it is large already."""
    size = int(facts.get("batch_size"))
    most = min(size * times, 64 if facts.device == "cpu" else 512)
    if facts.steps_per_epoch:
        most = min(most, size * facts.steps_per_epoch // 4)
    larger = size
    while 2 * larger <= most:
        larger *= 2
    return f"set batch_size={larger} (now {size})" if larger > size else None


def idle(facts: Facts) -> Advice | None:
    """The CPU trains, and cores are idle although no step waits for data."""
    if facts.device != "cpu" or not facts.cpu < 60 or facts.share("data") > WAITING or batch(facts):
        return None
    larger = _larger_batch(facts, 2)
    if larger is None:
        return None
    text = f"Training uses {facts.cpu:.0f} % of {facts.cores} CPU cores on average: {larger}."
    return Advice(text, facts.stages.training * (1 - facts.cpu / 100))


def others(facts: Facts) -> Advice | None:
    """Somebody else's processes take the CPU."""
    foreign = facts.cpu - facts.process
    if not foreign > 25:
        return None
    text = f"Other processes use {foreign:.0f} % of this machine's CPU: training would be faster alone."
    return Advice(text, facts.stages.training * foreign / 100)


def validation(facts: Facts) -> Advice | None:
    """Validation takes a large part of the training loop."""
    share = facts.validation_s / facts.stages.training if facts.stages.training else 0.0
    if share < 0.25:
        return None
    remedies = cached(facts)
    fraction = facts.get("validation_fraction")
    if fraction > 0.1:
        remedies.append(f"where no validation data is given, validation_fraction=0.1 (now {fraction:g})")
    larger, size = facts.get("test_image_size"), facts.get("image_size")
    if larger > size:
        remedies.append(f"test_image_size={size:.0f} (now {larger:.0f})")
    if not remedies:
        return None
    return Advice(f"Validation takes {100 * share:.0f} % of the training loop: {_or(remedies)}.", facts.validation_s)


def initialization(facts: Facts) -> Advice | None:
    """The first step comes late."""
    took = facts.stages.initialization
    if took < 30 or took < 0.2 * facts.stages.job or not facts.stages.training:
        return None
    views = facts.get("feature_views")
    if facts.settings.get("freeze") == "backbone" and views > 1:
        what = f"set feature_views={max(1, int(views) // 2)} (now {views:.0f}; each is a pass over all images)"
    else:
        what = "pack the images in archives (python -m train.pack), which are listed and read faster"
    share = 100 * took / facts.stages.job
    return Advice(f"Before the first step {took:.0f} s pass, {share:.0f} % of the job: {what}.", took)


def finalization(facts: Facts) -> Advice | None:
    """What comes after the training loop takes long."""
    took = facts.stages.finalization
    if took < 60 or took < 0.25 * facts.stages.job or facts.settings.get("export") != "int8":
        return None
    share = 100 * took / facts.stages.job
    text = f"After the last step {took:.0f} s pass, {share:.0f} % of the job: while trying things out, set export=none."
    return Advice(text, took)


def recording(facts: Facts) -> Advice | None:
    """Recording operators slowed the training down."""
    share = facts.recorded_s / facts.stages.training if facts.stages.training else 0.0
    if share < 0.1 or facts.settings.get("profile_steps") == "none":
        return None
    text = (
        f"The steps whose operators were recorded took {100 * share:.0f} % of the training loop: set profile_steps=none"
    )
    return Advice(f"{text} where you don't need the operator table.", facts.recorded_s)


def device(facts: Facts) -> Advice | None:
    """There is a GPU that isn't used."""
    if facts.device != "cpu" or not facts.gpus or facts.settings.get("device") != "cpu":
        return None
    return Advice(
        f"The machine has a GPU ({facts.gpus[0]}), and the CPU trained: set device=auto.", facts.stages.training
    )


def memory(facts: Facts) -> Advice | None:
    """Memory is about to run out."""
    if not facts.memory_max > 90:
        return None
    size = facts.get("batch_size")
    if facts.settings.get("cache") == "memory":
        what = "set cache=none"
    elif facts.workers:
        what = f"set workers={facts.workers // 2} (now {facts.workers})"
    elif size > 1:
        what = f"set batch_size={int(size) // 2} (now {size:.0f})"
    else:
        what = "a machine with more memory is safer"
    return Advice(f"Memory is used up to {facts.memory_max:.0f} %: {what}.", math.inf)


def compute(facts: Facts) -> Advice | None:
    """The network itself takes the time: fewer operations are a trade, which comes last."""
    takes = facts.share("forward", "backward")
    if facts.device != "cpu" or not takes >= 75:
        return None
    remedies = []
    size = facts.get("image_size")
    smaller = 32 * round(0.7 * size / 32) if size >= 128 else 0
    if facts.settings.get("freeze") == "backbone":
        if facts.get("feature_views") == 0:
            remedies.append("feature_views=4 computes the features once")
        smaller = 0
    elif facts.settings.get("pretrained", "none") != "none":
        remedies.append("freeze=backbone computes the features once and trains the head alone")
    if smaller:
        part = 100 * (smaller / size) ** 2
        remedies.insert(0, f"image_size={smaller} (now {size:.0f}) needs {part:.0f} % of the operations")
    if not remedies:
        return None
    text = f"Forward and backward take {takes:.0f} % of a step: {_or(remedies)}; look at the accuracy then."
    return Advice(text, facts.steps_s * takes / 100, trade=True)


def _or(remedies: list[str]) -> str:
    return " or ".join([", ".join(remedies[:-1]), remedies[-1]] if len(remedies) > 1 else remedies)


TOPICS: Final[Mapping[str, Callable[[Facts], Advice | None]]] = {
    each.__name__: each
    for each in (
        memory, device, data, hook, batch, idle, others, validation, initialization, finalization, recording, compute,
    )
}  # fmt: skip
