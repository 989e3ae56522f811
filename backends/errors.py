"""What the person at the terminal is told when something can't be done, and the wish that running jobs end."""

import signal
import sys
from types import FrameType
from typing import Self


class BackendError(Exception):
    """What went wrong, in one sentence, with the next step where there is one."""


class Stopped(BackendError):
    """The person ended it (Ctrl-C or SIGTERM); whatever ran has been told and has ended."""


class StillRunning(BackendError):
    """What was started goes on without us, in an account that it costs money in; says how to come back to it."""


class Stop:
    """A wish, made once and never taken back. above: a wish that is this one's too, of all jobs together, say."""

    def __init__(self, above: "Stop | None" = None) -> None:
        self._above = above
        # A plain attribute: a signal handler may set it, whatever lock the interrupted code holds.
        self._own = False
        self._again = False

    @property
    def requested(self) -> bool:
        return self._own or (self._above is not None and self._above.requested)

    @property
    def made_here(self) -> bool:
        """Whether it is this very wish that was made, and not only the one above."""
        return self._own

    @property
    def insisted(self) -> bool:
        """Whether it was made a second time: by somebody who won't wait for the end."""
        return self._again or (self._above is not None and self._above.insisted)

    def request(self) -> None:
        self._again = self._own
        self._own = True


class StopSignals(Stop):
    """Within its block, SIGINT and SIGTERM only make the wish. For the main thread: no other one hears signals."""

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, _signal: int, _frame: FrameType | None) -> None:
        if not self.requested:
            print("stopping ...", file=sys.stderr, flush=True)
        self.request()
