"""The machine's readings, worked out by hand, and what can't be read."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from monitor.profiler import machine_load
from monitor.profiler.machine_load import MachineLoad, ProcessTree, Rates, disk_rates
from tests.train.processes import MIB, child, waiting


@pytest.fixture
def idle() -> Iterator[subprocess.Popen[str]]:
    yield from waiting()


class Times(NamedTuple):
    """As psutil gives them on Linux: seconds since boot."""

    user: float = 0.0
    nice: float = 0.0
    system: float = 0.0
    idle: float = 0.0
    iowait: float = 0.0
    irq: float = 0.0
    softirq: float = 0.0
    steal: float = 0.0
    guest: float = 0.0
    guest_nice: float = 0.0


def test_the_load_of_the_cores(monkeypatch: pytest.MonkeyPatch, idle: subprocess.Popen[str]) -> None:
    readings = iter(
        [
            [Times(user=10, idle=90), Times(idle=100), Times(idle=5)],
            # Core 0: 1 s user and 0.5 s system in 2 s, 0.5 s idle. Core 1: 2 s, all idle, of them 1 s waiting.
            [Times(user=11, system=0.5, idle=90.5), Times(idle=101, iowait=1), Times(user=2, idle=5)],
            # A guest's second counts in user, too: 1 s of 2 s. Core 1: nothing has passed.
            [Times(user=12, guest=1, system=0.5, idle=91.5), Times(idle=101, iowait=1), Times(user=4, idle=5)],
            [Times(user=12)],
        ]
    )
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: next(readings))
    monkeypatch.setattr(machine_load, "_own_cores", lambda: {0, 1})
    load = MachineLoad(idle.pid)
    first, second, third = (load.sample() for _ in range(3))
    # (1 + 0.5) / 2 and 0 / 2; 1 s of 4 s of both cores was waiting. Core 2 is not the process's.
    assert (first["cpu"], first["iowait"]) == ([75.0, 0.0], 25.0)
    assert (second["cpu"], second["iowait"]) == ([50.0, 0.0], 0.0)
    # A core is gone: nothing can be compared.
    assert third["cpu"] == [0.0]


def test_rates_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 12.0, 12.5, 13.0, 14.0])
    counters: Iterator[tuple[int, int] | Exception] = iter(
        [(1000, 50), (5000, 50), PermissionError("no"), (7000, 80), (6000, 90)]
    )

    def read() -> tuple[int, int]:
        value = next(counters)
        if isinstance(value, Exception):
            raise value
        return value

    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    rates = Rates(("in", "out"), read)
    assert (rates.sample(), rates.missing) == ({"in": 2000.0, "out": 0.0}, None)  # 4000 bytes in 2 s
    assert (rates.sample(), rates.missing) == ({"in": None, "out": None}, "no")
    assert rates.sample() == {"in": None, "out": None}  # nothing to compare with
    # A disk that was taken away takes its bytes along: no negative rate.
    assert rates.sample() == {"in": 0.0, "out": 10.0}


def test_a_container_without_disk_counters(monkeypatch: pytest.MonkeyPatch, idle: subprocess.Popen[str]) -> None:
    def missing() -> None:
        raise NotImplementedError("not supported by this system")

    monkeypatch.setattr(psutil, "disk_io_counters", missing)
    load = MachineLoad(idle.pid)
    rows = [load.sample() for _ in range(3)]
    assert [row["disk_read"] for row in rows] == [None] * 3
    assert all(row["net_sent"] is not None for row in rows)
    told = [note for note in load.notes if "disk" in note]
    assert told == ["disk_read and disk_write can't be measured here: not supported by this system"]
    monkeypatch.setattr(psutil, "disk_io_counters", lambda: None)
    assert disk_rates().missing == "the system counts none"


def test_real_counters_rise(tmp_path: Path) -> None:
    rates = disk_rates()
    before = psutil.disk_io_counters()
    with (tmp_path / "large").open("wb") as file:
        file.write(os.urandom(24 * MIB))
        file.flush()
        os.fsync(file.fileno())
    after = psutil.disk_io_counters()
    rate = rates.sample()["disk_write"]
    if before is None or after is None:
        assert rate is None
    else:
        # Where the folder is no disk's, nothing was written, and both say so.
        assert rate is not None
        assert (rate > 0) == (after.write_bytes > before.write_bytes)


def test_memory_in_a_container(tmp_path: Path, idle: subprocess.Popen[str]) -> None:
    for name, content in (("max", 400 * MIB), ("current", 150 * MIB), ("stat", f"inactive_file {50 * MIB}")):
        (tmp_path / f"memory.{name}").write_text(f"{content}\n")
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    load = MachineLoad(idle.pid, tmp_path)
    row = load.sample()
    assert (row["memory_bytes"], row["memory"]) == (100 * MIB, 25.0)
    assert load.machine()["memory_bytes"] == 400 * MIB
    assert load.machine()["cores"] == 1
    cores = len(row["cpu"])
    assert f"the container may use 0.5 of {cores} cores; their load includes the machine's other work" in load.notes


def test_a_process_of_the_tree_that_does_not_count() -> None:
    hold = "import sys; held = bytearray(b'x' * (80 << 20)); print('up', flush=True); sys.stdin.read()"
    with child(hold) as monitor:
        assert monitor.stdout is not None
        monitor.stdout.readline()
        whole, _ = ProcessTree(os.getpid()).sample()
        own, _ = ProcessTree(os.getpid(), without=monitor.pid).sample()
        monitor.kill()
    assert whole is not None
    assert own is not None
    assert whole - own > 80 * MIB


def test_a_process_that_may_not_be_looked_at(monkeypatch: pytest.MonkeyPatch, idle: subprocess.Popen[str]) -> None:
    load = MachineLoad(idle.pid)
    load.sample()

    def denied(self: psutil.Process) -> None:
        raise psutil.AccessDenied(self.pid)

    monkeypatch.setattr(psutil.Process, "memory_info", denied)
    row = load.sample()
    assert (row["process_bytes"], row["process_cpu"]) == (None, None)
    assert not load.ended


NVML = """
class NVMLError(Exception): pass
class Utilization:
    def __init__(self, gpu): self.gpu, self.memory = gpu, 3
class Memory:
    def __init__(self, used, total): self.used, self.free, self.total = used, total - used, total
started = failing = False
def nvmlInit():
    global started
    started = True
def nvmlDeviceGetCount():
    if not started: raise NVMLError("Uninitialized")
    return 2
def nvmlDeviceGetHandleByIndex(index): return ("gpu", index)
def nvmlDeviceGetName(handle): return [b"Tesla T4", "NVIDIA A10G"][handle[1]]
def nvmlDeviceGetUtilizationRates(handle):
    if failing: raise NVMLError("GPU is lost")
    return Utilization([87, 12][handle[1]])
def nvmlDeviceGetMemoryInfo(handle): return [Memory(4 << 30, 16 << 30), Memory(3 << 30, 24 << 30)][handle[1]]
"""


@pytest.fixture
def nvml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A pynvml of two GPUs, in the place of the real one."""
    (tmp_path / "nvml").mkdir()
    (tmp_path / "nvml" / "pynvml.py").write_text(NVML)
    monkeypatch.syspath_prepend(tmp_path / "nvml")
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    import pynvml

    monkeypatch.setitem(sys.modules, "pynvml", pynvml)
    return pynvml


def test_two_gpus(nvml: Any, idle: subprocess.Popen[str]) -> None:
    load = MachineLoad(idle.pid)
    assert load.machine()["gpus"] == ["Tesla T4", "NVIDIA A10G"]
    row = load.sample()
    # 4 of 16 GiB and 3 of 24.
    assert (row["gpu"], row["gpu_memory"]) == ([87.0, 12.0], [25.0, 12.5])
    assert row["gpu_memory_bytes"] == [4 << 30, 3 << 30]
    assert not any("GPU" in note for note in load.notes)


def test_a_gpu_that_fails_and_comes_back_or_not(nvml: Any, idle: subprocess.Popen[str]) -> None:
    load = MachineLoad(idle.pid)
    seen = []
    for failing in (False, True, True, False, True, True, True, False):
        nvml.failing = failing
        seen.append(len(load.sample()["gpu"]))
    # Three failures in a row are the end of it.
    assert seen == [2, 0, 0, 2, 0, 0, 0, 0]
    assert [note for note in load.notes if "GPU" in note] == ["GPUs were sampled no longer: GPU is lost"]


def test_a_machine_without_a_usable_gpu(nvml: Any, idle: subprocess.Popen[str]) -> None:
    nvml.failing = True
    load = MachineLoad(idle.pid)
    row = load.sample()
    assert (row["gpu"], row["gpu_memory"], row["gpu_memory_bytes"]) == ([], [], [])
    assert load.machine()["gpus"] == []
    assert load.notes == ["no GPU is sampled: GPU is lost"]


def test_a_machine_without_the_package(monkeypatch: pytest.MonkeyPatch, idle: subprocess.Popen[str]) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    load = MachineLoad(idle.pid)
    assert load.sample()["gpu"] == []
    assert load.notes == ["no GPU is sampled: the package nvidia-ml-py is not installed"]
