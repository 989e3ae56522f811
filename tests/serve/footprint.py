"""What a server's processes take, as the kernel tells it: the same program asks on this machine and in a container."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

# Standard library alone. Prints the processes from the one whose number is given, and the container's own account, in
# cgroup version 2 or 1 (null where there is none: on a machine it would be everybody's).
PROGRAM = """
import json, os, re, sys
from pathlib import Path

def read(path):
    try:
        return Path(path).read_text()
    except OSError:
        return None

def about(pid):
    fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    # Its own time, and that of its children that have ended.
    ticks = sum(map(int, fields[11:15]))
    rollup = dict(re.findall(r"^(\\w+): +(\\d+) kB", read(f"/proc/{pid}/smaps_rollup"), re.M))
    mapped = sorted({line.split(None, 5)[5] for line in read(f"/proc/{pid}/maps").splitlines() if "/" in line})
    return {"pid": pid, "parent": int(fields[1]), "cpu_s": ticks / os.sysconf("SC_CLK_TCK"),
            "rss": 1024 * int(rollup["Rss"]), "pss": 1024 * int(rollup["Pss"]), "mapped": mapped}

def account():
    base = "/sys/fs/cgroup/"
    stat = read(base + "cpu.stat")
    if stat and "usage_usec" in stat and (used := read(base + "memory.current")):
        cpu, stat, cache = int(stat.split()[1]) / 1e6, read(base + "memory.stat"), "inactive_file"
    elif (cpu := read(base + "cpuacct/cpuacct.usage")) and (used := read(base + "memory/memory.usage_in_bytes")):
        cpu, stat, cache = int(cpu) / 1e9, read(base + "memory/memory.stat"), "total_inactive_file"
    else:
        return None
    dropped = next((int(line.split()[1]) for line in stat.splitlines() if line.split()[0] == cache), 0)
    return {"cpu_s": cpu, "memory": int(used) - dropped}

root = int(sys.argv[1])
own = account()
family, grew = {root}, True
parents = {}
for entry in Path("/proc").iterdir():
    if entry.name.isdecimal() and (stat := read(entry / "stat")):
        parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
while grew:
    more = {pid for pid, parent in parents.items() if parent in family} - family
    family, grew = family | more, bool(more)
print(json.dumps({"processes": [about(pid) for pid in sorted(family)], "account": own}))
"""


@dataclass(frozen=True)
class Process:
    """cpu_s: seconds of user and system time. rss, pss: resident bytes, shared ones whole and by shares."""

    pid: int
    parent: int
    cpu_s: float
    rss: int
    pss: int
    mapped: tuple[str, ...]

    def maps(self, name: str) -> bool:
        """Whether a file whose path holds `name` is mapped."""
        return any(name in path for path in self.mapped)


@dataclass(frozen=True)
class Footprint:
    """processes: master and workers. cpu_s, memory: the container's, None where its cgroup can't be read."""

    processes: tuple[Process, ...]
    cpu_s: float | None
    memory: int | None

    @property
    def workers(self) -> tuple[Process, ...]:
        numbers = {process.pid for process in self.processes}
        return tuple(process for process in self.processes if process.parent in numbers)

    @property
    def processes_cpu_s(self) -> float:
        return sum(process.cpu_s for process in self.processes)


def measure(root: int, prefix: Sequence[str] = (), container: bool = False) -> Footprint:
    """prefix: how a program is started there, as in `docker exec NAME`. root: the master's number there."""
    python = "python" if container else sys.executable
    command = [*prefix, python, "-c", PROGRAM, str(root)]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)
    account = (found["account"] if container else None) or {"cpu_s": None, "memory": None}
    processes = tuple(Process(**{**each, "mapped": tuple(each["mapped"])}) for each in found["processes"])
    return Footprint(processes, **account)
