"""Samples the machine beside a training process, at fixed times, into two files.

Memory and CPU time of a process and its children, bytes a second over disks and networks, and what NVML (the package
nvidia-ml-py) tells of NVIDIA GPUs.
"""

import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import psutil

from contract.files import write_json
from monitor.profiler.machine_load import MachineLoad
from monitor.profiler.reader import Rows

MACHINE: Final = "machine.json"
SYSTEM: Final = "system.jsonl"


class Sampler:
    """Writes machine.json and system.jsonl into `folder`, a line every `interval_ms`, while the process `pid` lives.

    Runs in a thread of a process other than that one, whose own memory and CPU don't count. An error ends the
    sampling, loudly, and nothing else. A sample that comes late lets the next one out, so that times stay on schedule.
    began: seconds since the epoch, where the process did something else before.
    """

    def __init__(self, folder: Path, pid: int, interval_ms: int, began: float | None = None) -> None:
        self._folder = folder
        self._pid = pid
        self._began = began
        self._interval = interval_ms / 1000
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        """Begin; what an earlier run left in the files is gone."""
        self._thread.start()

    def stop(self) -> None:
        """The last sample is in the file when this returns."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._sample()
        except Exception as error:  # noqa: BLE001 - the reports of what there is are worth more than the sampler
            print(f"WARNING: the machine is sampled no longer ({type(error).__name__}: {error})", file=sys.stderr)

    def _sample(self) -> None:
        rows = Rows(self._folder / SYSTEM)
        try:
            load = MachineLoad(self._pid)
            notes = self._describe(load)
            start = time.monotonic()
            while not self._stop.wait(until_next(start, self._interval, time.monotonic())) and not load.ended:
                row = {"t": round(time.time(), 3), **load.sample()}
                rows.add(row)
                rows.flush()
                if len(load.notes) > notes:
                    notes = self._describe(load)
        finally:
            rows.close()

    def _describe(self, load: MachineLoad) -> int:
        """Write machine.json; returns how many notes are in it."""
        started = {"process_started": self._began} if self._began else {}
        about = {**load.machine(), **started, "interval_ms": round(self._interval * 1000), "notes": load.notes}
        write_json(self._folder / MACHINE, about, durable=False)
        return len(load.notes)


def until_next(start: float, interval: float, now: float) -> float:
    """Seconds until the next whole number of intervals after `start`, more than 0."""
    passed = int((now - start) // interval)
    return start + (passed + 1) * interval - now


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
        """(resident memory in bytes, CPU in percent of one core since the last sample); None where it can't be told.

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
    """Of all interfaces together, but for the loopback: what processes here tell each other is no traffic."""
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
