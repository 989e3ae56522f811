"""What the server's processes tell each other: who is ready, and why one couldn't start."""

import mmap
from typing import Final

_SLOTS: Final = 1024
_MESSAGE: Final = 2048


class Board:
    """Memory that the master makes before it forks, shared by all. A worker is known by its number (its age).

    Each byte is written by one process, so there are no locks.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1 + 1 + _SLOTS + _MESSAGE)

    def expect(self, workers: int) -> None:
        """How many workers there shall be."""
        self._memory[0] = workers

    def mark(self, worker: int, ready: bool) -> None:
        self._memory[2 + worker % _SLOTS] = ready

    def all_ready(self) -> bool:
        return sum(self._memory[2 : 2 + _SLOTS]) >= self._memory[0]

    def leave_fault(self, message: str, users: bool) -> None:
        """Why a worker can't start, for the process that outlives it. users: whether the user can mend it."""
        text = message.encode()[:_MESSAGE]
        self._memory[-_MESSAGE:] = text.ljust(_MESSAGE, b"\0")
        self._memory[1] = 2 if users else 1

    def fault(self) -> tuple[str, bool] | None:
        """(message, whether the user can mend it), or None when all workers could start."""
        if not self._memory[1]:
            return None
        text = bytes(self._memory[-_MESSAGE:]).rstrip(b"\0").decode(errors="ignore")
        return text, self._memory[1] == 2
