"""What was recorded of a job: samples of its machines, times of its steps, its stages. Kept in compact columns."""

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# The parts of a training step, in their order.
PHASES: Final = ("data", "copy", "forward", "backward", "optimizer", "hook")
STAGES: Final = ("initialization", "training", "finalization")


def number(value: object) -> float:
    """A float, or NaN for anything else, and beyond 1e18: nothing measures that, and sums would overflow."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    return float(value) if abs(value) < 1e18 else math.nan


class Columns:
    """Rows of named numbers, in the order of their times. A number that isn't there is NaN."""

    def __init__(self) -> None:
        self.times = array("d")
        self._columns: dict[str, array[float]] = {}

    def __len__(self) -> int:
        return len(self.times)

    def add(self, time: float, values: Mapping[str, float]) -> None:
        """One row. time: seconds since the epoch."""
        for name, column in self._columns.items():
            column.append(values.get(name, math.nan))
        for name in values.keys() - self._columns.keys():
            self._columns[name] = array("d", [math.nan] * len(self.times) + [values[name]])
        self.times.append(time)

    def names(self) -> list[str]:
        return list(self._columns)

    def __getitem__(self, name: str) -> FloatArray:
        """The column (N,); all NaN if there is none of that name."""
        column = self._columns.get(name)
        # A copy: numpy would lock the array against growing.
        return np.full(len(self), math.nan) if column is None else np.array(column, dtype=np.float64)

    def time(self) -> FloatArray:
        """Seconds since the epoch (N,)."""
        return np.array(self.times, dtype=np.float64)


class Node(Columns):
    """The samples of one machine.

    Percent: cpu (mean of the cores), cpu_max (busiest core), core0 ..., iowait, iowait_max (the core that waits most;
    where cores aren't separate, iowait), memory, gpu0, gpu0_memory ... Of one core: process_cpu. Bytes: memory_bytes,
    process_memory, gpu0_memory_bytes. Bytes a second: disk_read, disk_write, net_received, net_sent.
    """

    def __init__(self, name: str = "") -> None:
        super().__init__()
        self.name = name

    def add_sample(
        self,
        time: float,
        cores: Sequence[float],
        values: Mapping[str, float],
        gpus: Sequence[float] = (),
        gpu_memory: Sequence[float] = (),
    ) -> None:
        """One sample; `values` has the columns that aren't of a core or a GPU."""
        row = dict(values)
        row.update({f"core{index}": value for index, value in enumerate(cores)})
        row.update({f"gpu{index}": value for index, value in enumerate(gpus)})
        row.update({f"gpu{index}_memory": value for index, value in enumerate(gpu_memory)})
        known = [value for value in cores if math.isfinite(value)]
        if known:
            row["cpu"] = sum(known) / len(known)
            row["cpu_max"] = max(known)
        row.setdefault("iowait_max", row.get("iowait", math.nan))
        self.add(time, row)

    def cores(self) -> list[str]:
        return _numbered(self.names(), "core")

    def gpus(self) -> list[str]:
        """Names of the GPUs: gpu0, gpu1 ..."""
        return _numbered(self.names(), "gpu")


def _numbered(names: Iterable[str], prefix: str) -> list[str]:
    found = [name for name in names if name.startswith(prefix) and name[len(prefix) :].isdigit()]
    return sorted(found, key=lambda name: int(name[len(prefix) :]))


class Steps(Columns):
    """Training or validation steps. Columns: step, epoch, seconds, recorded (1 while torch.profiler ran), PHASES."""

    def judged(self) -> NDArray[np.bool_]:
        """(N,) which steps show how long a step takes: not the first (it warms up), none that was recorded.

        All of them where nothing else would be left.
        """
        kept = ~(self["recorded"] > 0)
        if len(kept):
            kept[0] = False
        return kept if kept.any() else np.ones(len(self), dtype=np.bool_)


@dataclass(frozen=True)
class Part:
    """What an epoch holds beside its steps. name: validation or checkpoint; start: seconds since the epoch."""

    name: str
    epoch: int | None
    start: float
    seconds: float


@dataclass
class Recording:
    """A job as it was recorded, so far. stages: name -> when it began, seconds since the epoch."""

    nodes: dict[str, Node] = field(default_factory=dict)
    steps: Steps = field(default_factory=Steps)
    evaluations: Steps = field(default_factory=Steps)  # validation steps: only SageMaker's files have them
    parts: list[Part] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    operators: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)
    source: str = "kennel"  # or "sagemaker"

    @property
    def node(self) -> Node:
        """The first machine."""
        return next(iter(self.nodes.values())) if self.nodes else Node()

    def has_gpu(self) -> bool:
        return any(node.gpus() for node in self.nodes.values())

    def cores(self) -> int:
        """Cores of the first machine; 0 where unknown."""
        cores = number(self.machine.get("cores"))
        return int(cores) if cores > 0 else len(self.node.cores())

    def started(self) -> float:
        """When the job began: its process, or the first thing that was recorded. 0 for an empty recording."""
        started = number(self.machine.get("process_started"))
        if started > 0:
            return started
        times = [each.times[0] for each in (*self.nodes.values(), self.steps) if len(each)]
        return min([*times, *self.stages.values()], default=0.0)

    def ended(self) -> float:
        """When the last thing was recorded."""
        times = [each.times[-1] for each in self.nodes.values() if len(each)]
        both = [each for each in (self.steps, self.evaluations) if len(each)]
        times += [each.times[-1] + float(np.nan_to_num(each["seconds"][-1])) for each in both]
        times += [part.start + part.seconds for part in self.parts]
        return max([*times, *self.stages.values(), self.started()])

    def training(self) -> tuple[float | None, float | None]:
        """(start, end) of the training loop; None where it hasn't come, or isn't known."""
        start = self.stages.get("training")
        if start is None and len(self.steps):
            start = self.steps.times[0]
        return start, self.stages.get("finalization")
