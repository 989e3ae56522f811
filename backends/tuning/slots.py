"""How a machine is divided among trials that run at the same time."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from backends.base import WHOLE_MACHINE, Backend, Slot
from contract.hyperparameters import Hyperparameters

# Below this a training alone makes better use of the cores.
_CORES_A_TRIAL: Final = 4
_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")


def choose_slots(backend: Backend, chosen: Hyperparameters, wanted: int) -> list[Slot]:
    """A slot for each of the trials at a time: `wanted` of them; for 0 one a GPU, on the CPU one for every 4 cores."""
    gpus = [] if chosen.device == "cpu" else backend.gpus()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    usable = min(len(cores) or os.cpu_count() or 1, _quota(_QUOTA))
    return divide(gpus, cores, wanted or len(gpus) or max(1, usable // _CORES_A_TRIAL))


def divide(gpus: Sequence[str], cores: Sequence[int], count: int) -> list[Slot]:
    """`count` slots that share cores and GPUs as evenly as can be; one alone has the whole machine."""
    if count == 1:
        return [WHOLE_MACHINE]
    slots = []
    for number in range(count):
        first, end = number * len(cores) // count, (number + 1) * len(cores) // count
        # More slots than cores: each has one, and some share it.
        own = cores[first : max(end, first + 1)]
        slots.append(Slot(tuple(own), gpus[number % len(gpus)] if gpus else None))
    return slots


def _quota(file: Path) -> int:
    """The container's CPU limit in cores, from cgroup v2; a very large number when there is none."""
    try:
        quota, period = file.read_text().split()
        return max(1, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):
        return 1 << 30
