"""Samples the machine beside a training process, at fixed times, into two files."""

import sys
import threading
import time
from pathlib import Path
from typing import Final

from contract.files import write_json
from monitor.profiler.machine_load import MachineLoad
from monitor.profiler.reader import Rows

MACHINE: Final = "machine.json"
SYSTEM: Final = "system.jsonl"


class Sampler:
    """Writes machine.json and system.jsonl into `folder`, a line every `interval_ms`, while the process `pid` lives.

    Runs in a thread of a process other than that one, whose own memory and CPU don't count. An error ends the
    sampling, loudly, and nothing else. A sample that comes late lets the next one out, so that times stay on schedule.
    began: seconds since the epoch, where the process did something else before.
    """

    def __init__(self, folder: Path, pid: int, interval_ms: int, began: float | None = None) -> None:
        self._folder = folder
        self._pid = pid
        self._began = began
        self._interval = interval_ms / 1000
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        """Begin; what an earlier run left in the files is gone."""
        self._thread.start()

    def stop(self) -> None:
        """The last sample is in the file when this returns."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._sample()
        except Exception as error:  # noqa: BLE001 - the reports of what there is are worth more than the sampler
            print(f"WARNING: the machine is sampled no longer ({type(error).__name__}: {error})", file=sys.stderr)

    def _sample(self) -> None:
        rows = Rows(self._folder / SYSTEM)
        try:
            load = MachineLoad(self._pid)
            notes = self._describe(load)
            start = time.monotonic()
            while not self._stop.wait(until_next(start, self._interval, time.monotonic())) and not load.ended:
                row = {"t": round(time.time(), 3), **load.sample()}
                rows.add(row)
                rows.flush()
                if len(load.notes) > notes:
                    notes = self._describe(load)
        finally:
            rows.close()

    def _describe(self, load: MachineLoad) -> int:
        """Write machine.json; returns how many notes are in it."""
        started = {"process_started": self._began} if self._began else {}
        about = {**load.machine(), **started, "interval_ms": round(self._interval * 1000), "notes": load.notes}
        write_json(self._folder / MACHINE, about, durable=False)
        return len(load.notes)


def until_next(start: float, interval: float, now: float) -> float:
    """Seconds until the next whole number of intervals after `start`, more than 0."""
    passed = int((now - start) // interval)
    return start + (passed + 1) * interval - now
