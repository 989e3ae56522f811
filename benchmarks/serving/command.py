"""The benchmark: what it makes first, the order in which it measures, and what it prints."""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.decoding import plain_pillow
from benchmarks.serving import environments, report
from benchmarks.serving.candidates import Candidate, candidates
from benchmarks.serving.environments import bench_folder
from benchmarks.serving.flood import flood
from benchmarks.serving.flood import table as flood_table
from benchmarks.serving.floor import Floor
from benchmarks.serving.inputs import SIZES, expected, make_artifact, photos
from benchmarks.serving.measure import Inputs, Plan, append, measure
from benchmarks.serving.process import ServerError
from benchmarks.timing import print_facts
from model.preprocess import Preprocess

SMALL: Final = "500x375"
LEVELS: Final = (1, 4, 16, 64)
# AVX-512 as the first processors had it: without the instructions for int8 (VNNI) and bfloat16, and without AMX.
MASK: Final = "AVX512_CORE"


@dataclass(frozen=True)
class Choice:
    """What the command line asks for."""

    only: frozenset[str]
    sizes: tuple[str, ...]
    rounds: int
    seconds: float
    levels: tuple[int, ...] = LEVELS
    flood: bool = False

    def wants(self, group: str) -> bool:
        return not self.only or group in self.only


def main(words: Sequence[str] = ()) -> None:
    """Prepare, measure in rounds, print."""
    every = candidates(os.environ.get("KENNEL_ENGINE"))
    choice = _arguments(words, sorted({each.group for each in every} | {report.FLOOR}))
    print_facts("torch", "openvino", "flask", "gunicorn", "pillow")
    folder = bench_folder()
    files = photos(folder)
    artifact = make_artifact(folder, files)
    inputs = Inputs(artifact, files, expected(artifact, files))
    for size, each in files.items():
        print(f"{size}: {len(each)} photos of {statistics.mean(file.stat().st_size for file in each) / 1e3:.0f} kB")
    if choice.flood:
        rounds = [flood(every[0], inputs, SMALL, choice.seconds, folder / "logs") for _ in range(choice.rounds)]
        print("\n".join(flood_table(rounds)))
        return
    session = _Session(inputs, folder, choice)
    able = list(_prepare([each for each in every if choice.wants(each.group)]))
    chosen = session.choose(able)
    session.rounds(chosen)
    session.masked(chosen)
    _print(session, choice, {each.name: each for each in able})


def _arguments(words: Sequence[str], groups: Sequence[str]) -> Choice:
    parser = argparse.ArgumentParser(prog="python -m benchmarks serving", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of one second, 500x375 alone: does all work?")
    parser.add_argument("--only", action="append", choices=groups, default=[], help="this one; may be repeated")
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement (default 3)")
    parser.add_argument(
        "--levels", nargs="+", type=int, default=list(LEVELS), help="requests at once, for small photos"
    )
    parser.add_argument("--flood", action="store_true", help="only this: Kennel with more clients than it has slots")
    given = parser.parse_args(words)
    if given.quick:
        return Choice(frozenset(given.only), (SMALL,), 1, 1.0)
    return Choice(
        frozenset(given.only), tuple(given.sizes), max(1, given.rounds), given.seconds, tuple(given.levels), given.flood
    )


def _prepare(wanted: Sequence[Candidate]) -> Iterator[Candidate]:
    """Those whose environment is there, made if need be; of the others it is said why they are left out."""
    faults: dict[str, str | None] = {}
    for each in wanted:
        if each.venv is not None and each.venv not in faults:
            faults[each.venv] = environments.missing(each.venv) or environments.make(each.venv)
        if each.venv is None or faults[each.venv] is None:
            yield each
        else:
            print(f"left out: {each.title}: {faults[each.venv]}")
    for name in (name for name, fault in faults.items() if fault is None):
        print(f"{name}: {' '.join(package for part in environments.PINS[name] for package in part)}")


class _Session:
    """One run of the benchmark: its records, in memory and in results.jsonl."""

    def __init__(self, inputs: Inputs, folder: Path, choice: Choice) -> None:
        self._inputs, self._folder, self._choice = inputs, folder, choice
        self._started = time.strftime("%Y-%m-%dT%H:%M:%S")
        self._speed: dict[str, float] = {}
        self.records: list[dict[str, Any]] = []

    def choose(self, able: Sequence[Candidate]) -> list[Candidate]:
        """One of each group: the one that answers most at a concurrency of 16 in a first short measurement."""
        chosen = []
        for group in dict.fromkeys(each.group for each in able):
            members = [each for each in able if each.group == group]
            if members[0].venv is not None and members[0].engine == "int8":
                plan = Plan({SMALL: (report.JUDGED_AT,)}, min(2.0, self._choice.seconds))
                for each in members:
                    for record in self._measure(each, plan, "heat"):
                        self._speed[each.name] = record["rate"]
                        print(f"tried: {each.title}: {record['rate']:.0f} requests/s at {report.JUDGED_AT}", flush=True)
                members = [each for each in members if each.name in self._speed]
            if members:
                chosen.append(max(members, key=lambda each: self._speed.get(each.name, 0.0)))
        return chosen

    def rounds(self, chosen: Sequence[Candidate]) -> None:
        """Each server in turn, every other round in reverse."""
        best = self._best(chosen, 2)
        large = [size for size in self._choice.sizes if size != SMALL]
        for number in range(self._choice.rounds):
            for each in chosen if number % 2 == 0 else reversed(chosen):
                levels: dict[str, tuple[int, ...]] = {SMALL: self._choice.levels} if SMALL in self._choice.sizes else {}
                if each.group in (report.KENNEL, *report.TUTORIALS) or each in best:
                    levels |= dict.fromkeys(large, (1, report.JUDGED_AT))
                if levels:
                    self._round(each, Plan(levels, self._choice.seconds), number)
            self._floor(self._choice.sizes, number)

    def masked(self, chosen: Sequence[Candidate]) -> None:
        """Kennel, the tutorial and the best peer once more without the processor's newest instructions."""
        if SMALL not in self._choice.sizes:
            return
        few = [each for each in chosen if each.group in (report.KENNEL, "tutorial-tuned")] + self._best(chosen, 1)
        for number in range(min(2, self._choice.rounds)):
            for each in few:
                self._round(each, Plan({SMALL: (report.JUDGED_AT,)}, self._choice.seconds, MASK), number)
            self._floor((SMALL,), number, MASK)

    def _best(self, chosen: Sequence[Candidate], count: int) -> list[Candidate]:
        peers = [each for each in chosen if each.venv is not None and each.engine == "int8"]
        return sorted(peers, key=lambda each: -self._speed[each.name])[:count]

    def _round(self, candidate: Candidate, plan: Plan, number: int) -> None:
        records = self._measure(candidate, plan, number)
        self.records += records
        for size in dict.fromkeys(record["size"] for record in records):
            rates = (f"c {each['concurrency']}: {each['rate']:.0f}" for each in records if each["size"] == size)
            how = plan.masked or "all instructions"
            print(f"round {number + 1}: {candidate.title}, {how}, {size}: {', '.join(rates)}", flush=True)

    def _measure(self, candidate: Candidate, plan: Plan, number: int | str) -> list[dict[str, Any]]:
        facts = {"run": self._started, "name": candidate.name, "title": candidate.title, "round": number}
        try:
            records = measure(candidate, self._inputs, plan, self._folder / "logs")
        except ServerError as error:
            print(f"not measured: {candidate.title}: {error}", flush=True)
            return []
        done = [{**facts, "masked": plan.masked, **record} for record in records]
        for record in done:
            append(self._folder / "results.jsonl", record)
        return done

    def _floor(self, sizes: Sequence[str], number: int, mask: str = "") -> None:
        if not self._choice.wants(report.FLOOR):
            return
        variables = environments.plain_environment() | ({"ONEDNN_MAX_CPU_ISA": mask} if mask else {})
        for size in sizes:
            # One photo at a time, and eight: whichever is faster.
            found = []
            for batch in (1, 8):
                with Floor(self._inputs.artifact, self._inputs.photos[size], batch, variables) as floor:
                    found.append(floor.measure(self._choice.seconds))
            record = {"run": self._started, "name": report.FLOOR, "title": _FLOOR_TITLE, "round": number}
            record |= {"masked": mask, "size": size, "concurrency": 0, "rate": max(found)[0]}
            record["cpu_ms"] = min(cpu for _, cpu in found)
            self.records.append(record)
            append(self._folder / "results.jsonl", record)


_FLOOR_TITLE: Final = "no server: decoding and engine in a loop on every core"


def _decoding(
    files: Mapping[str, Sequence[Path]], sizes: Sequence[str], rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """Milliseconds on one core, of plain Pillow and of model.preprocess, by size and round."""
    ours = Preprocess().load

    def milliseconds(call: Callable[[bytes], object], bodies: Sequence[bytes]) -> float:
        start = time.perf_counter()
        for body in bodies:
            call(body)
        return (time.perf_counter() - start) / len(bodies) * 1000

    found: dict[str, list[tuple[float, float]]] = {}
    for size in sizes:
        bodies = [file.read_bytes() for file in files[size]]
        plain_pillow(bodies[0])
        ours(bodies[0])
        found[size] = [(milliseconds(plain_pillow, bodies), milliseconds(ours, bodies)) for _ in range(rounds)]
    return found


def _print(session: _Session, choice: Choice, servers: Mapping[str, Candidate]) -> None:
    titles = {name: each.title for name, each in servers.items()} | {report.FLOOR: _FLOOR_TITLE}
    decoding = _decoding(photos(bench_folder()), choice.sizes, choice.rounds)
    lines: list[str] = []
    for size in choice.sizes:
        if rows := report.table(session.records, size, titles):
            lines += ["", f"Requests/s, {size}, {choice.rounds} rounds of {choice.seconds:g} s:", "", *rows]
    if rows := report.masked_table(session.records, titles):
        lines += ["", "With some of the processor's instructions masked:", "", *rows]
    lines += ["", "| decoding on one core | plain Pillow, ms | Kennel, ms |", "| --- | --- | --- |"]
    for size, pairs in decoding.items():
        plain, ours = (statistics.median(values) for values in zip(*pairs, strict=True))
        lines.append(f"| {size} | {plain:.1f} | {ours:.1f} |")
    peers = [each.name for each in servers.values() if each.venv is not None and each.engine == "int8"]
    large = [plain / ours for plain, ours in decoding.get("4000x3000", [])]
    lines += ["", *(f"- {ratio.line()}" for ratio in report.ratios(session.records, peers, large))]
    cores = [each["generator_cores"] for each in session.records if "generator_cores" in each]
    if cores:
        lines.append(
            f"- the load generator took {max(cores):.2f} cores at most, {statistics.median(cores):.2f} as a rule"
        )
    text = "\n".join(lines).strip() + "\n"
    (bench_folder() / "table.md").write_text(text, encoding="utf-8")
    print(f"\n{text}")
