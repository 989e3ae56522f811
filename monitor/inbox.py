"""What the training process says, read without holding anything up."""

import json
import os
import select
from typing import Any


class Inbox:
    """JSON lines from a pipe. `closed` when the other end is gone: the training process has ended, or was killed.

    The loading processes that a training process forks hold the pipe open a little longer than it lives; so whether it
    is still our parent counts as well.
    """

    def __init__(self, pipe: int, parent: int) -> None:
        self._pipe = pipe
        self._parent = parent
        self._heard = b""
        self._kept: list[dict[str, Any]] = []
        self.closed = False

    def first(self) -> dict[str, Any] | None:
        """The first line, waited for; None when nothing comes any more."""
        while not self._kept and not self.closed:
            self._kept = self.read(1.0)
        return self._kept.pop(0) if self._kept else None

    def read(self, seconds: float) -> list[dict[str, Any]]:
        """Whole lines that came, after waiting for `seconds` at most."""
        if self._kept:
            kept, self._kept = self._kept, []
            return kept
        # Before the pipe is read: what was written before its end must not be missed.
        orphaned = os.getppid() != self._parent
        ready, _, _ = select.select([self._pipe], [], [], 0 if orphaned else seconds)
        if not ready:
            self.closed = orphaned
            return []
        heard = os.read(self._pipe, 65536)
        if not heard:
            self.closed = True
            return []
        *lines, self._heard = (self._heard + heard).split(b"\n")
        return [json.loads(line) for line in lines]
