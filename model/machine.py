"""How much of this machine the process may use."""

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def available_cpus(cgroup: Path = CGROUP) -> int:
    """CPU cores this process may use: its affinity mask, cut by the container's CPU quota; at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup_cpu_quota(cgroup)
    return max(1, affinity if quota is None else min(affinity, math.ceil(quota)))


def cgroup_cpu_quota(cgroup: Path = CGROUP) -> float | None:
    """The container's CPU limit in cores, from cgroup v2 or v1; None when there is none."""
    try:
        if (cgroup / "cpu.max").exists():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text().strip()
        return None if quota in ("max", "-1") else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def cgroup_memory(cgroup: Path = CGROUP) -> tuple[int, int] | None:
    """(used, limit) of the container's memory in bytes, from cgroup v2 or v1; None when there is no limit.

    Without file pages that the kernel can drop at once, as `docker stats` reports it.
    """
    unified = (cgroup / "memory.max").exists()
    folder = cgroup if unified else cgroup / "memory"
    limit_file, used_file, cache = (
        ("memory.max", "memory.current", "inactive_file")
        if unified
        else ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    )
    try:
        text = (folder / limit_file).read_text().strip()
        # Version 1 writes no limit as the largest number of whole pages.
        if text == "max" or int(text) >= 1 << 60:
            return None
        used = int((folder / used_file).read_text())
        rows = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
        dropped = next((int(row[1]) for row in rows if row[0] == cache), 0)
        return max(0, used - dropped), int(text)
    except (OSError, ValueError, IndexError):
        return None


def available_memory(cgroup: Path = CGROUP) -> int:
    """Bytes that can be had without swapping: the machine's, or what the container's limit leaves."""
    import psutil

    free = int(psutil.virtual_memory().available)
    container = cgroup_memory(cgroup)
    return free if container is None else max(0, min(free, container[1] - container[0]))
