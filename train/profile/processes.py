"""Memory and CPU time of a process and its children."""

import time
from pathlib import Path

import psutil

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
