"""How busy the machine is: cores, memory, disk, network, GPUs, and the training process on it."""

import os
import platform
from pathlib import Path
from typing import Any

import psutil

from model.machine import CGROUP, available_cpus, cgroup_cpu_quota, cgroup_memory
from monitor.profiler.sampler import Gpus, ProcessTree, disk_rates, network_rates

_CPUINFO = Path("/proc/cpuinfo")


class MachineLoad:
    """Readings of this machine and of the process `pid` with its children, this process excepted.

    notes: what can't be measured here, and why; one sentence each. Rates are of the time since the last sample, the
    first of the time since the start. Disk, network and cores are the whole machine's, in a container too.
    """

    def __init__(self, pid: int, cgroup: Path = CGROUP) -> None:
        self.pid = pid
        self.notes: list[str] = []
        self._cgroup = cgroup
        self._gpus = Gpus()
        self._tree = ProcessTree(pid, without=os.getpid())
        self._cores = _own_cores()
        self._cpu = self._cpu_times()
        self._rates = (disk_rates(), network_rates())
        self._tree.sample()
        # Now, so that machine.json tells them from the start.
        self._note_missing()
        self._note_limits()

    @property
    def ended(self) -> bool:
        """Whether the process has."""
        return self._tree.ended

    def machine(self) -> dict[str, Any]:
        """What stays as it is: for machine.json."""
        limit = cgroup_memory(self._cgroup)
        total = psutil.virtual_memory().total
        return {
            "cpu": _cpu_model(),
            "cores": available_cpus(self._cgroup),
            "memory_bytes": total if limit is None else min(total, limit[1]),
            "gpus": self._gpus.names,
            "pid": self.pid,
            "process_started": self._tree.started,
        }

    def sample(self) -> dict[str, Any]:
        """One row of system.jsonl without its time. None stands for what can't be told."""
        cores, waiting = self._cpu_load()
        used, percent = self._memory()
        resident, process_cpu = self._tree.sample()
        rates: dict[str, float | None] = {}
        for each in self._rates:
            rates |= each.sample()
        gpus = self._gpus.sample()
        self._note_missing()
        return {
            "cpu": cores,
            "iowait": waiting,
            "memory": percent,
            "memory_bytes": used,
            "process_bytes": resident,
            "process_cpu": process_cpu,
            **rates,
            **gpus,
        }

    def _note(self, text: str | None) -> None:
        if text is not None and text not in self.notes:
            self.notes.append(text)

    def _note_missing(self) -> None:
        self._note(self._gpus.note)
        for each in self._rates:
            if each.missing is not None:
                self._note(f"{' and '.join(each.names)} can't be measured here: {each.missing}")

    def _note_limits(self) -> None:
        quota = cgroup_cpu_quota(self._cgroup)
        if quota is not None and quota < len(self._cpu):
            self._note(
                f"the container may use {quota:g} of {len(self._cpu)} cores; their load includes "
                "the machine's other work"
            )

    def _memory(self) -> tuple[int, float]:
        """(bytes used, percent of what may be used)."""
        limited = cgroup_memory(self._cgroup)
        whole = psutil.virtual_memory()
        used, total = whole.total - whole.available, whole.total
        if limited is not None and limited[1] < total:
            used, total = limited
        return used, round(100 * used / total, 2)

    def _cpu_times(self) -> list[tuple[float, float, float]]:
        """(all, idle, waiting for I/O) in seconds since boot, of each core this process may run on."""
        rows = []
        for times in psutil.cpu_times(percpu=True):
            waiting = getattr(times, "iowait", 0.0)
            # Linux counts guests' time twice, once in user and nice.
            twice = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
            rows.append((sum(times) - twice, times.idle + waiting, waiting))
        chosen = [row for number, row in enumerate(rows) if number in self._cores]
        return chosen or rows

    def _cpu_load(self) -> tuple[list[float], float]:
        """(percent busy by core, percent of all their time in which a core was idle and waited for I/O)."""
        before, now = self._cpu, self._cpu_times()
        self._cpu = now
        if len(before) != len(now):  # a core was switched on or off
            before = now
        spans = [tuple(b - a for a, b in zip(old, new, strict=True)) for old, new in zip(before, now, strict=True)]
        busy = [_percent(whole - idle, whole) for whole, idle, _ in spans]
        return busy, _percent(sum(span[2] for span in spans), sum(span[0] for span in spans))


def _percent(part: float, whole: float) -> float:
    return round(min(100.0, max(0.0, 100 * part / whole)), 1) if whole > 0 else 0.0


def _own_cores() -> set[int]:
    return set(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _cpu_model() -> str:
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        lines = []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
