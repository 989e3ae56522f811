"""Kennel's own profiler files, read as far as they are written; a second look reads what was added since.

They hold one JSON object a line. A process can be killed at any time: the last line may be torn, files may be missing.
Neither is an error.
"""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from contract.files import GrowingFile
from monitor.profiler.recording import PHASES, STAGES, Node, Part, Recording, number

SYSTEM: Final = "system.jsonl"
STEPS: Final = "steps.jsonl"
STAGES_FILE: Final = "stages.jsonl"
MACHINE: Final = "machine.json"
CONFIG: Final = "config.json"
OPERATORS: Final = "operators.json"
FILES: Final = (SYSTEM, STEPS, STAGES_FILE, MACHINE, CONFIG)

_PLAIN: Final = {
    "iowait": "iowait",
    "memory": "memory",
    "memory_bytes": "memory_bytes",
    "process_bytes": "process_memory",
    "process_cpu": "process_cpu",
    "disk_read": "disk_read",
    "disk_write": "disk_write",
    "net_received": "net_received",
    "net_sent": "net_sent",
}


class Lines:
    """The whole lines of a growing JSON-lines file, each read once."""

    def __init__(self, path: Path) -> None:
        self._file = GrowingFile(path)
        self.broken = 0  # whole lines that are no JSON objects

    def new(self, ended: bool = False) -> Iterator[dict[str, Any]]:
        """Objects of the lines added since the last call. ended: a last line without its end is read as well."""
        for line in self._file.read(ended):
            row = _decoded(line)
            if row is not None:
                yield row
            elif line.endswith(b"\n") and line.strip():  # what a killed process left of its last line is no fault
                self.broken += 1


def _decoded(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


class Reader:
    """Follows the profiler files in a folder; `recording` holds what they contain so far."""

    def __init__(self, folder: Path) -> None:
        self.recording = Recording()
        self._folder = folder
        self._system = Lines(folder / SYSTEM)
        self._steps = Lines(folder / STEPS)
        self._stages = Lines(folder / STAGES_FILE)

    def poll(self, ended: bool = False) -> Recording:
        """Read what is new. ended: nothing more will be written."""
        run = self.recording
        for name, table in ((MACHINE, run.machine), (CONFIG, run.config)):
            if not table:
                table.update(_object(self._folder / name) or {})
        for row in self._stages.new(ended):
            if row.get("stage") in STAGES and number(row.get("t")) > 0:
                run.stages.setdefault(row["stage"], float(row["t"]))
        for row in self._system.new(ended):
            _add_sample(run, row)
        for row in self._steps.new(ended):
            _add_step(run, row)
        if ended:
            run.operators = _object(self._folder / OPERATORS)
            broken = self._system.broken + self._steps.broken + self._stages.broken
            if broken:
                run.notes.append(f"{broken} lines of the profiler's files are no JSON objects and are left out")
        return run


def _object(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _numbers(value: object) -> list[float]:
    return [number(each) for each in value] if isinstance(value, list) else []


def _add_sample(run: Recording, row: dict[str, Any]) -> None:
    time = number(row.get("t"))
    if not time > 0:
        return
    node = run.nodes.setdefault("", Node())
    values = {column: number(row[key]) for key, column in _PLAIN.items() if key in row}
    for index, used in enumerate(_numbers(row.get("gpu_memory_bytes"))):
        values[f"gpu{index}_memory_bytes"] = used
    node.add_sample(time, _numbers(row.get("cpu")), values, _numbers(row.get("gpu")), _numbers(row.get("gpu_memory")))


def _add_step(run: Recording, row: dict[str, Any]) -> None:
    time = number(row.get("t"))
    if not time > 0:
        return
    epoch = number(row.get("epoch"))
    if row.get("phase") in ("validation", "checkpoint"):
        seconds = number(row.get("seconds"))
        if seconds >= 0:
            run.parts.append(Part(row["phase"], None if math.isnan(epoch) else int(epoch), time, seconds))
        return
    if not number(row.get("step")) >= 0:
        return
    phases = {phase: max(0.0, number(row.get(phase, 0.0))) for phase in PHASES}
    run.steps.add(
        time,
        {
            "step": number(row["step"]),
            "epoch": epoch,
            "recorded": float(bool(row.get("recorded"))),
            "seconds": sum(phases.values()),
            **phases,
        },
    )


class Rows:
    """A file of JSON lines, begun anew. Raises OSError.

    Rows wait for `flush`, which writes them at once: who reads meanwhile sees whole lines.
    """

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file.open("wb", buffering=0)
        self._waiting: list[bytes] = []

    def add(self, row: Mapping[str, Any]) -> None:
        self._waiting.append(json.dumps(row, separators=(",", ":"), allow_nan=False).encode() + b"\n")

    def flush(self) -> None:
        if self._waiting:
            self._file.write(b"".join(self._waiting))
            self._waiting.clear()

    def close(self) -> None:
        """Flush, and close the file."""
        try:
            self.flush()
        finally:
            self._file.close()
