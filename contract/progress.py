"""How far a job has come, in one small file that whoever drives the job may watch."""

import time
from pathlib import Path

from contract.files import write_json

_INTERVAL_S = 0.2


class Progress:
    """Writes {"phase", "done", "total", "unit"} to a file, a few times a second at most; or to no file."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._last = 0.0
        self._phase = ""

    def update(self, phase: str, done: int, total: int, unit: str) -> None:
        """`done` of `total` units of this phase are behind us."""
        now = time.monotonic()
        due = phase != self._phase or done == total or now - self._last >= _INTERVAL_S
        if self._file is None or not due:
            return
        self._last, self._phase = now, phase
        # Not durable: nobody needs it after a power cut, and fsync would slow the training it reports on.
        write_json(self._file, {"phase": phase, "done": done, "total": total, "unit": unit}, durable=False)
