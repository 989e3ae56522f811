"""The cancellation of running jobs: a flag, and the signals that set it."""

import contextlib
import signal
import sys
from types import FrameType
from typing import Any, Self


class CancelToken:
    """A cancellation flag, set once and never cleared; cancelled with its parent."""

    def __init__(self, parent: "CancelToken | None" = None) -> None:
        self._parent = parent
        # Plain attributes: a signal handler may set them, whatever lock the interrupted code holds.
        self._own = False
        self._again = False

    @property
    def requested(self) -> bool:
        return self._own or (self._parent is not None and self._parent.requested)

    @property
    def own(self) -> bool:
        """Whether this very token was cancelled, and not only its parent."""
        return self._own

    @property
    def forced(self) -> bool:
        """Whether it was cancelled a second time: by somebody who won't wait for the end."""
        return self._again or (self._parent is not None and self._parent.forced)

    def request(self) -> None:
        """Cancel; a second time, forced."""
        self._again = self._own
        self._own = True


class CancelOnSignals(CancelToken):
    """Within its block SIGINT and SIGTERM only cancel it. For the main thread, the only one that receives signals."""

    def __init__(self) -> None:
        super().__init__()
        self._before: dict[int, Any] = {}  # the handlers of the signals

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, _signal: int, _frame: FrameType | None) -> None:
        if not self.requested:
            print("stopping ...", file=sys.stderr, flush=True)
        self.request()


def cancel_on_signals(cancel: CancelToken | None) -> contextlib.AbstractContextManager[CancelToken]:
    """`cancel` itself; without one a token that, in the main thread alone, Ctrl-C and SIGTERM cancel in the block."""
    return contextlib.nullcontext(cancel) if cancel is not None else CancelOnSignals()
