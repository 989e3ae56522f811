"""How busy the machine is: cores, memory, disk, network, GPUs, and the training process on it.

Memory and CPU time of that process and its children, bytes a second over disks and networks, and what NVML (the package
nvidia-ml-py) reports NVIDIA GPUs.
"""

import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from model.machine import CGROUP, available_cpus, cgroup_cpu_quota, cgroup_memory

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
        # Now, so that machine.json has them from the start.
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
        """One row of system.jsonl without its time. None stands for what is unknown."""
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


_LOOK_S = 1.0  # how often new children are looked for


class ProcessTree:
    """A process, its children and theirs, but for `without` (a process of the tree) and what it has started."""

    def __init__(self, pid: int, without: int | None = None) -> None:
        self._without = without
        self._known: dict[int, psutil.Process] = {}
        self._cpu: dict[int, float] = {}
        self._last = self._looked = -1e9
        self._root: psutil.Process | None
        try:
            self._root = psutil.Process(pid)
            self.started: float | None = self._root.create_time()
        except psutil.Error:
            self._root, self.started = None, None

    @property
    def ended(self) -> bool:
        """Also when another process has its number by now."""
        try:
            return self._root is None or not self._root.is_running() or self._root.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True
        except psutil.Error:
            return False

    def sample(self) -> tuple[int | None, float | None]:
        """(resident memory in bytes, CPU in percent of one core since the last sample); None where it is unknown.

        Memory that processes share counts for each of them.
        """
        now = time.monotonic()
        if now - self._looked >= _LOOK_S:
            self._look()
            self._looked = now
        memory, cpu = {}, {}
        for pid, process in list(self._known.items()):
            try:
                memory[pid] = process.memory_info().rss
                times = process.cpu_times()
                cpu[pid] = times.user + times.system
            except psutil.NoSuchProcess:
                self._known.pop(pid)
            except psutil.Error:
                continue
        # A process that was not there before counts from the next sample on.
        used = sum(max(0.0, value - self._cpu[pid]) for pid, value in cpu.items() if pid in self._cpu)
        elapsed, self._last = now - self._last, now
        self._cpu = cpu
        known = bool(cpu) and elapsed < 1e6
        return (sum(memory.values()) if memory else None), (round(100 * used / elapsed, 1) if known else None)

    def _look(self) -> None:
        if self._root is None:
            return
        pids = [self._root.pid, *_descendants(self._root, self._without)]
        self._known = {pid: known for pid in pids if (known := self._known.get(pid) or _process(pid)) is not None}


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.Error:
        return None


def _descendants(root: psutil.Process, without: int | None) -> list[int]:
    if not Path(f"/proc/{root.pid}/task/{root.pid}/children").exists():
        try:
            return [each.pid for each in root.children(recursive=True) if each.pid != without]
        except psutil.Error:
            return []
    # psutil reads every process of the machine for this; the kernel has the answer.
    found: list[int] = []
    waiting = [root.pid]
    while waiting:
        own = [pid for pid in _children(waiting.pop()) if pid != without]
        found += own
        waiting += own
    return found


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for file in Path(f"/proc/{pid}/task").glob("*/children"):
            found += [int(word) for word in file.read_text().split()]
    except (OSError, ValueError):
        pass  # it has ended meanwhile
    return found


class Rates:
    """How fast counters rise. missing: why there are none, once they could not be read."""

    def __init__(self, names: Sequence[str], read: Callable[[], Sequence[int]]) -> None:
        self.names = names
        self.missing: str | None = None
        self._read = read
        self._last = self._values()

    def _values(self) -> tuple[float, Sequence[int]] | None:
        try:
            return time.monotonic(), self._read()
        except Exception as error:  # noqa: BLE001 - psutil raises NotImplementedError, OSError, ValueError and more
            self.missing = str(error) or type(error).__name__
            return None

    def sample(self) -> dict[str, float | None]:
        """By name, a second, since the last sample; None where one of the two readings failed."""
        last, self._last = self._last, self._values()
        if last is None or self._last is None or self._last[0] <= last[0]:
            return dict.fromkeys(self.names)
        seconds = self._last[0] - last[0]
        # A device that was taken away takes its bytes along.
        rises = (max(0, new - old) for old, new in zip(last[1], self._last[1], strict=True))
        return {name: round(rise / seconds, 1) for name, rise in zip(self.names, rises, strict=True)}


def disk_rates() -> Rates:
    """Of all disks together."""
    return Rates(("disk_read", "disk_write"), _disks)


def network_rates() -> Rates:
    """Of all interfaces together, but for the loopback: what processes here send each other is no traffic."""
    return Rates(("net_received", "net_sent"), _networks)


def _disks() -> tuple[int, int]:
    # None on a machine without disks.
    counters = psutil.disk_io_counters()
    if counters is None:
        raise OSError("the system counts none")
    return counters.read_bytes, counters.write_bytes


def _networks() -> tuple[int, int]:
    counters = [each for name, each in psutil.net_io_counters(pernic=True).items() if not name.startswith("lo")]
    return sum(each.bytes_recv for each in counters), sum(each.bytes_sent for each in counters)


_MOST_FAILURES = 3


class Gpus:
    """All GPUs that NVML shows. Without the package, a driver or a GPU there are none, and `note` says why.

    names: one a GPU. `sample` gives all of them or, while NVML fails, none; after three failures in a row it gives up.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.note: str | None = None
        self._handles: list[Any] = []
        self._failures = 0
        try:
            import pynvml
        except ImportError:
            self.note = "no GPU is sampled: the package nvidia-ml-py is not installed"
            return
        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
            handles = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
            names = [pynvml.nvmlDeviceGetName(each) for each in handles]
            # A partitioned GPU (MIG) has no utilisation of its own; better to know now.
            for each in handles:
                self._read(each)
        except Exception as error:  # noqa: BLE001 - NVMLError, and what ctypes raises on a driver without a function
            self.note = f"no GPU is sampled: {error}"
            return
        self._handles = handles
        self.names = [name.decode() if isinstance(name, bytes) else str(name) for name in names]

    def sample(self) -> dict[str, list[float] | list[int]]:
        """gpu, gpu_memory: percent; gpu_memory_bytes. One value a GPU each."""
        rows = []
        try:
            rows = [self._read(each) for each in self._handles]
            self._failures = 0
        except Exception as error:  # noqa: BLE001 - as above
            rows = []
            self._failures += 1
            if self._failures == _MOST_FAILURES:
                self._handles = []
                self.note = f"GPUs were sampled no longer: {error}"
        return {
            "gpu": [row[0] for row in rows],
            "gpu_memory": [row[1] for row in rows],
            "gpu_memory_bytes": [row[2] for row in rows],
        }

    def _read(self, handle: Any) -> tuple[float, float, int]:
        rates = self._nvml.nvmlDeviceGetUtilizationRates(handle)
        memory = self._nvml.nvmlDeviceGetMemoryInfo(handle)
        return float(rates.gpu), round(100 * memory.used / memory.total, 2), int(memory.used)
