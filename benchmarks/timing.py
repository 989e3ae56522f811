"""Times alternatives in interleaved rounds, so that a machine that gets slower does so for all of them."""

import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

from model.machine import available_cpus


def print_facts(*packages: str) -> None:
    """Processor, cores, versions and the command: what a number means nothing without."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    print(f"{model}, {available_cpus()} cores; Python {platform.python_version()}, {versions}")
    print(f"command: python -m benchmarks {' '.join(sys.argv[1:])}".rstrip())


def compare(title: str, alternatives: Mapping[str, Callable[[], object]], rounds: int, calls: int) -> None:
    """Print the median, minimum and maximum over `rounds` of the mean time of `calls` calls, in milliseconds, and the
    ratio to the first alternative: the median of the rounds' own ratios.
    """
    for call in alternatives.values():
        call()  # warm: caches, thread pools
    times: dict[str, list[float]] = {name: [] for name in alternatives}
    for _ in range(rounds):
        for name, call in alternatives.items():
            start = time.perf_counter()
            for _ in range(calls):
                call()
            times[name].append((time.perf_counter() - start) / calls * 1000)
    first = next(iter(times.values()))
    print(f"{title} (n = {rounds} rounds of {calls})")
    for name, values in times.items():
        ratio = statistics.median(own / base for own, base in zip(values, first, strict=True))
        low, middle, high = min(values), statistics.median(values), max(values)
        print(f"  {name:<44} {middle:9.2f} ms   ({low:.2f} to {high:.2f})   x {ratio:.2f}")
