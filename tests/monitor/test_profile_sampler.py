"""The sampler beside real processes, whose load is known; and the machine's readings, worked out by hand."""

import json
import subprocess
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from monitor.profiler.sampler import Sampler, until_next
from tests.train.processes import MIB, child, waiting

COLUMNS = [
    *("t", "cpu", "iowait", "memory", "memory_bytes", "process_bytes", "process_cpu", "disk_read", "disk_write"),
    *("net_received", "net_sent", "gpu", "gpu_memory", "gpu_memory_bytes"),
]
WAIT_S = 60
# Each says what it holds or has used once it is done, and waits for its input to end.
BURN = """
import sys, time
while time.process_time() < 1.5: sum(range(1000))
print(time.process_time(), flush=True); sys.stdin.read()
"""
GROW = """
import sys, time
held = []
for _ in range(8): held.append(bytearray(b"x" * (25 << 20))); time.sleep(0.1)
print(sum(map(len, held)), flush=True); sys.stdin.read()
"""
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {GROW!r}], stdin=sys.stdin)
child.wait()
"""


@pytest.fixture
def idle() -> Iterator[subprocess.Popen[str]]:
    """A process that does nothing until its input ends."""
    yield from waiting()


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "system.jsonl").read_text().splitlines()]


def eventually(condition: Any) -> None:
    """Wait for it; a minute is for ever."""
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_process_that_computes_and_one_that_grows(tmp_path: Path) -> None:
    found = {}
    with child(BURN) as burning, child(PARENT) as growing:
        samplers = {}
        for name, process in (("burning", burning), ("growing", growing)):
            samplers[name] = Sampler(tmp_path / name, process.pid, 100)
            samplers[name].start()
        assert burning.stdout is not None
        assert growing.stdout is not None
        used, held = float(burning.stdout.readline()), int(growing.stdout.readline())
        # Two samples more see all of it.
        for name in samplers:
            seen = len(rows_of(tmp_path / name))
            eventually(lambda name=name, seen=seen: len(rows_of(tmp_path / name)) >= seen + 2)
        for name, sampler in samplers.items():
            sampler.stop()
            found[name] = rows_of(tmp_path / name)
        for process in (burning, growing):
            assert process.stdin is not None
            process.stdin.close()
    rows = found["burning"]
    assert [list(row) for row in rows] == [COLUMNS] * len(rows)
    # Percent of one core, times seconds: the CPU time that the process told itself.
    spans = pairwise(rows)
    measured = sum(new["process_cpu"] / 100 * (new["t"] - old["t"]) for old, new in spans)
    assert used >= 1.5
    assert 0.4 * used < measured < 1.2 * used
    # The process that was started holds nothing itself, its child 200 MiB.
    assert held == 200 * MIB
    sizes = [row["process_bytes"] for row in found["growing"]]
    assert sizes[-1] > held
    assert sizes[-1] - sizes[0] > 100 * MIB


def test_the_files_of_a_sampler(tmp_path: Path, idle: subprocess.Popen[str]) -> None:
    (tmp_path / "system.jsonl").write_text("of an earlier run\n")
    sampler = Sampler(tmp_path, idle.pid, 100)
    sampler.start()
    eventually(lambda: len(rows_of_quietly(tmp_path)) >= 4)
    sampler.stop()
    rows = rows_of(tmp_path)
    machine = json.loads((tmp_path / "machine.json").read_text())
    assert machine["pid"] == idle.pid
    assert machine["process_started"] == psutil.Process(idle.pid).create_time()
    assert machine["interval_ms"] == 100
    assert machine["cores"] >= 1
    assert machine["memory_bytes"] > 256 * MIB
    assert machine["cpu"]
    assert list(machine) == [
        *("cpu", "cores", "memory_bytes", "gpus", "pid", "process_started", "interval_ms", "notes")
    ]
    for row in rows:
        assert list(row) == COLUMNS
        assert row["cpu"]
        assert all(0 <= value <= 100 for value in [*row["cpu"], row["iowait"], row["memory"]])
        assert 0 < row["memory_bytes"] < machine["memory_bytes"]
        assert row["process_bytes"] > MIB
        assert all(row[name] is None or row[name] >= 0 for name in COLUMNS[7:11])
    times = [row["t"] for row in rows]
    assert times == sorted(times)
    # On schedule: each a whole number of intervals after the first, but for the delay of waking up.
    assert abs(time.time() - times[-1]) < WAIT_S


def rows_of_quietly(folder: Path) -> list[dict[str, Any]]:
    try:
        return rows_of(folder)
    except (OSError, ValueError):
        return []


def test_it_ends_with_the_process(tmp_path: Path, idle: subprocess.Popen[str]) -> None:
    sampler = Sampler(tmp_path, idle.pid, 100)
    sampler.start()
    eventually(lambda: len(rows_of_quietly(tmp_path)) >= 1)
    # Nobody has waited for it, so its number is still taken: a zombie.
    idle.kill()
    sampler._thread.join(WAIT_S)
    assert not sampler._thread.is_alive()
    rows = rows_of(tmp_path)
    sampler.stop()
    assert rows_of(tmp_path) == rows


def test_a_process_that_is_gone_already(tmp_path: Path, idle: subprocess.Popen[str]) -> None:
    idle.kill()
    idle.wait()
    sampler = Sampler(tmp_path, idle.pid, 100)
    sampler.start()
    sampler._thread.join(WAIT_S)
    assert not sampler._thread.is_alive()
    assert rows_of(tmp_path) == []
    assert json.loads((tmp_path / "machine.json").read_text())["process_started"] is None


def test_a_folder_that_can_not_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], idle: subprocess.Popen[str]
) -> None:
    (tmp_path / "file").write_text("")
    sampler = Sampler(tmp_path / "file", idle.pid, 100)
    sampler.start()
    sampler.stop()
    error = capsys.readouterr().err
    assert error.startswith("WARNING: the machine is sampled no longer (")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("now", "seconds"),
    [
        (100.0, 0.5),
        (100.25, 0.25),
        (100.5, 0.5),
        # A sample took 0.7 s: the one at 100.5 is let out, the next is due at 101.
        (100.75, 0.25),
        (130.125, 0.375),
    ],
)
def test_the_schedule(now: float, seconds: float) -> None:
    assert until_next(100.0, 0.5, now) == seconds
