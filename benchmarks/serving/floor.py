"""Without a server: a process for each core decodes photos and runs the engine on them, and nothing else.

As a program, `python -m benchmarks.serving.floor ARTIFACT BATCH FILE...`, it is one of these: it prints `ready`, and
for each number of seconds that it reads from its input how many photos it did in how many seconds, of CPU time too.
"""

import itertools
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from benchmarks.serving.environments import ROOT
from model.machine import available_cpus


class Floor:
    """The processes, until the `with` ends."""

    def __init__(self, artifact: Path, files: Sequence[Path], batch: int, environment: Mapping[str, str]) -> None:
        command = [sys.executable, "-m", "benchmarks.serving.floor", str(artifact), str(batch), *map(str, files)]
        self._processes = [
            subprocess.Popen(
                command, cwd=ROOT, env=dict(environment), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            for _ in range(available_cpus())
        ]
        self._lines()

    def __enter__(self) -> "Floor":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()

    def measure(self, seconds: float) -> tuple[float, float]:
        """(photos a second that all processes together do, milliseconds of CPU time of one)."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{seconds}\n")
            process.stdin.flush()
        done = [line.split() for line in self._lines()]
        rate = sum(int(count) / float(elapsed) for count, elapsed, _ in done)
        return rate, 1000 * sum(float(used) for *_, used in done) / sum(int(count) for count, *_ in done)

    def _lines(self) -> list[str]:
        lines = []
        for process in self._processes:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"the loop without a server ended with exit code {process.wait()}")
            lines.append(line)
        return lines


def main() -> None:
    """One process of the floor."""
    from benchmarks.serving.peers.int8_engine import Int8Engine

    engine, batch = Int8Engine(1, Path(sys.argv[1])), int(sys.argv[2])
    bodies = itertools.cycle([Path(file).read_bytes() for file in sys.argv[3:]])

    def step() -> None:
        engine.predict(np.stack([engine.load(next(bodies)) for _ in range(batch)]))

    step()
    print("ready", flush=True)
    for line in sys.stdin:
        count, start, used = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - start < float(line):
            step()
            count += batch
        print(count, time.perf_counter() - start, time.process_time() - used, flush=True)


if __name__ == "__main__":
    main()
