"""More clients than Kennel has slots, each of which sends again as soon as it is answered, refused or not."""

import math
import statistics
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.serving.candidates import Candidate
from benchmarks.serving.load import Target, Window, percentile, run
from benchmarks.serving.measure import Inputs, served
from benchmarks.serving.process import ask

CLIENTS: Final = (64, 128, 192, 256, 512)
_PROBE_S: Final = 0.2

Row = Mapping[str, float]


def flood(candidate: Candidate, inputs: Inputs, size: str, seconds: float, logs: Path) -> list[Row]:
    """One start of the server, all numbers of clients: a row for each. Raises ServerError."""
    bodies = inputs.bodies(candidate, size)
    rows: list[Row] = []
    with served(candidate, inputs, bodies[0], logs) as (server, target, _):
        for clients in CLIENTS:
            with _pinging(target) as pings:
                load = run(target, bodies, clients, Window(1.0, seconds), server.cpu_seconds)
            refused = load.statuses.get(503, 0)
            row = {
                "clients": clients,
                "good": load.rate,
                "refused": refused / load.seconds,
                "ping": 1000 * max(pings, default=math.nan),
            }
            row |= {f"p{share}": 1000 * percentile(load.latencies, share / 100) for share in (50, 99)}
            row["cpu"] = 1000 * load.metered / max(1, len(load.latencies))
            rows.append({**row, "failed": sum(load.statuses.values()) - refused - len(load.latencies)})
    return rows


@contextmanager
def _pinging(target: Target) -> Iterator[list[float]]:
    """Seconds that each GET /ping takes, over connections of their own, now and then until the block ends; infinite
    where it isn't answered 200.
    """
    seconds: list[float] = []
    over = threading.Event()
    probe = Target(target.port, "/ping", method="GET")

    def probing() -> None:
        while not over.wait(_PROBE_S):
            started = time.perf_counter()
            status, _ = ask(probe, b"")
            seconds.append(time.perf_counter() - started if status == 200 else math.inf)

    thread = threading.Thread(target=probing)
    thread.start()
    try:
        yield seconds
    finally:
        over.set()
        thread.join()


def table(rounds: Sequence[Sequence[Row]]) -> list[str]:
    """A line for each number of clients: medians over the rounds, of /ping the longest."""
    head = ["clients", "answered 200 a second", "CPU ms of one", "p50, ms", "p99, ms", "refused a second", "failed"]
    head += ["slowest /ping, ms", "n"]
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join(['---'] * len(head))} |"]
    for rows in zip(*rounds, strict=True):
        good, p50, p99, refused = (
            f"{statistics.median(row[key] for row in rows):.0f}" for key in ("good", "p50", "p99", "refused")
        )
        cpu = f"{statistics.median(row['cpu'] for row in rows):.1f}"
        failed, ping = (f"{max(row[key] for row in rows):.0f}" for key in ("failed", "ping"))
        cells = (f"{rows[0]['clients']}", good, cpu, p50, p99, refused, failed, ping, f"{len(rows)}")
        lines.append(f"| {' | '.join(cells)} |")
    return lines
