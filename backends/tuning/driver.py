"""Runs a search's trials, several at a time: a thread for each slot, signals and display in the main thread."""

import threading
from collections.abc import Callable, Sequence
from typing import Final

from backends.base import Slot
from backends.errors import BackendError
from backends.tuning.trial import Trials
from tuning.searcher import Trial

_POLL_S: Final = 0.2


class Driver:
    """One thread for each slot asks for trials until there are none, `stop` is wished, or one thread can't go on."""

    def __init__(self, trials: Trials, slots: Sequence[Slot]) -> None:
        self._trials = trials
        self._slots = slots
        self._lock = threading.Lock()
        self._running: set[int] = set()
        self._ended_well = False
        self._reasons: list[str] = []
        self._error: BaseException | None = None

    @property
    def running(self) -> list[int]:
        """The numbers of the trials that run now."""
        with self._lock:
            return sorted(self._running)

    def run(self, draw: Callable[[list[int]], None]) -> None:
        """To the search's end. draw: called a few times a second, and once at the end, with the running trials.

        Raises what a thread could not handle, and BackendError when trials only fail, all for one reason.
        """
        threads = [threading.Thread(target=self._work, args=(slot,), name=f"slot {slot}") for slot in self._slots]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(_POLL_S)
                draw(self.running)
        if self._error is not None:
            raise self._error

    def _work(self, slot: Slot) -> None:
        try:
            while not self._trials.stop.requested:
                trial = self._trials.search.ask()
                if trial is None:
                    return
                self._one(trial, slot)
        except BaseException as error:  # noqa: BLE001 - raised in the main thread, once the others have ended
            with self._lock:
                self._error = self._error or error
            self._trials.stop.request()

    def _one(self, trial: Trial, slot: Slot) -> None:
        with self._lock:
            self._running.add(trial.number)
        try:
            reason = self._trials.run(trial, slot)
        finally:
            with self._lock:
                self._running.discard(trial.number)
        if reason is None:
            self._ended_well = True
            return
        with self._lock:
            self._reasons.append(reason)
            # A fault of the data, say, of which no trial will be free.
            if not self._ended_well and self._reasons.count(reason) > 1:
                raise BackendError(f"{reason} (as in each of the first trials, so there is no further one)")
