"""Starts a server, checks that it answers right, loads it, and says what came out."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.serving.candidates import Candidate
from benchmarks.serving.load import Load, Target, Window, percentile, run
from benchmarks.serving.process import Server, ServerError, Start, ask, free_port

# How far probabilities may be from what the engine gave in this process. Eager servers decode at full size, which alone
# moves them; a server that chooses its form and precision is held to the nearest one.
TOLERANCE: Final = {"int8": 1e-3, "eager": 0.05, "own": 0.05}
_SLOW: Final = 30  # requests that a window waits for when the server is slow


@dataclass(frozen=True)
class Inputs:
    """artifact: its folder; photos: files by size; expected: probabilities by engine, size and photo."""

    artifact: Path
    photos: Mapping[str, Sequence[Path]]
    expected: Mapping[str, Mapping[str, Sequence[Sequence[float]]]]

    def bodies(self, candidate: Candidate, size: str) -> list[bytes]:
        """The requests' bodies, as this server wants them."""
        return [candidate.body(file.read_bytes()) for file in self.photos[size]]


@dataclass(frozen=True)
class Plan:
    """What is measured of one server: concurrencies by size, and seconds of each.

    masked: ONEDNN_MAX_CPU_ISA. patience: how many times as long a window may stay open for a slow server.
    """

    levels: Mapping[str, Sequence[int]]
    seconds: float
    masked: str = ""
    patience: float = 3.0

    @property
    def window(self) -> Window:
        return Window(min(1.0, self.seconds / 2), self.seconds, _SLOW, self.patience * self.seconds)


@contextmanager
def served(
    candidate: Candidate, inputs: Inputs, body: bytes, logs: Path, masked: str = ""
) -> Iterator[tuple[Server, Target, Start]]:
    """The server, once it has answered `body`, until the block ends. Raises ServerError."""
    with tempfile.TemporaryDirectory(prefix="kennel-bench-", ignore_cleanup_errors=True) as name:
        folder, port = Path(name), free_port()
        command = candidate.command(folder, port)
        environment = candidate.environment(folder, port, inputs.artifact)
        if masked:
            environment["ONEDNN_MAX_CPU_ISA"] = masked
        target = candidate.target(port)
        with Server(command, environment, folder, logs / f"{candidate.name}.log") as server:
            yield server, target, server.wait_for(target, body)


def measure(candidate: Candidate, inputs: Inputs, plan: Plan, logs: Path) -> list[dict[str, Any]]:
    """One start of the server, all its sizes and concurrencies: a record for each. Raises ServerError."""
    bodies = {size: inputs.bodies(candidate, size) for size in plan.levels}
    first = next(iter(bodies.values()))[0]
    with served(candidate, inputs, first, logs, plan.masked) as (server, target, start):
        difference = max(_check(candidate, inputs, size, target.port) for size in plan.levels)
        records = []
        for size, levels in plan.levels.items():
            for concurrency in levels:
                load = run(target, bodies[size], concurrency, plan.window, server.cpu_seconds)
                facts = {"size": size, "concurrency": concurrency, "memory": server.memory()}
                records.append({**facts, "difference": difference, **_start(start), **_load(load)})
    return records


def _check(candidate: Candidate, inputs: Inputs, size: str, port: int) -> float:
    """The largest difference of a probability from the right one. Raises ServerError when a label is wrong."""
    if candidate.engine == "none":
        return 0.0
    engines = ("int8", "eager") if candidate.engine == "own" else (candidate.engine,)
    worst = dict.fromkeys(engines, 0.0)
    for number, body in enumerate(inputs.bodies(candidate, size)):
        status, answer = ask(candidate.target(port), body)
        if status != 200:
            raise ServerError(f"photo {number} of {size} is answered {status}: {answer[:200]!r}")
        found = np.array(candidate.read(answer))
        for engine in engines:
            right = np.array(inputs.expected[engine][size][number])
            if found.shape != right.shape or found.argmax() != right.argmax():
                raise ServerError(
                    f"photo {number} of {size} has class {right.argmax()}, the answer is {answer[:200]!r}"
                )
            worst[engine] = max(worst[engine], float(np.abs(found - right).max()))
    if min(worst.values()) > TOLERANCE[candidate.engine]:
        raise ServerError(f"its probabilities for {size} are off by {min(worst.values()):.3f}")
    return min(worst.values())


def _start(start: Start) -> dict[str, float]:
    return {f"start_{name}": value for name, value in asdict(start).items()}


def _load(load: Load) -> dict[str, Any]:
    return {
        "rate": load.rate,
        "p50_ms": 1000 * percentile(load.latencies, 0.50),
        "p99_ms": 1000 * percentile(load.latencies, 0.99),
        "requests": sum(load.statuses.values()),
        "failed": load.failed,
        "refused": load.share(503),
        "generator_cores": load.cpu_share,
        "cpu_ms": 1000 * load.metered / max(1, len(load.latencies)),
    }


def append(file: Path, record: Mapping[str, Any]) -> None:
    """Add a line of JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(dict(record)) + "\n")
