"""Who has which trial of a search with several workers: one Searcher, which they all speak to."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from train.tuning.protocol import LOST_AFTER_S
from tuning.searcher import Metrics, Searcher, Trial

_T = TypeVar("_T")
LINGER_S: Final = 60.0


class RefusedError(Exception):
    """A request that can't be followed: the HTTP status, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass
class _Open:
    """A trial that some worker has. told: what was answered to its reports, by epoch."""

    crew: str
    worker: int
    started: float
    told: dict[int, bool] = field(default_factory=dict)


class Coordinator:
    """Who has which trial. Each call may come twice, after a lost answer, and counts once.

    A crew is the workers of one host, since its process started; `worker` is a number within it.
    """

    def __init__(self, search: Searcher, clock: Callable[[], float] = time.monotonic) -> None:
        self._search, self._clock = search, clock
        self._lock = threading.RLock()
        self._asked: dict[str, Trial | None] = {}
        self._open: dict[int, _Open] = {}
        self._ended: set[int] = set()
        self._crews: dict[str, tuple[str, float]] = {}  # of other hosts: crew -> (host, last sign of life)
        self._left: set[str] = set()
        self._closed = False
        self.fault: Exception | None = None  # of the searcher's own: the search can't go on

    @property
    def over(self) -> bool:
        """No trial is running, and there is to be no further one."""
        with self._lock:
            return self._closed and not self._open

    def ask(self, crew: str, worker: int, id: str) -> Trial | None:
        """The next trial, the same one again for the same `id`; None when there is to be no further one."""
        with self._lock:
            if id not in self._asked:
                trial = self._guarded(self._search.ask)
                self._asked[id] = trial
                if trial is None:
                    self._closed = True
                else:
                    self._open[trial.number] = _Open(crew, worker, self._clock())
            return self._asked[id]

    def report(self, number: int, epoch: int, metrics: Metrics) -> bool:
        """An epoch's metrics. True: the trial is to be ended, or has been."""
        with self._lock:
            mine = self._known(number)
            if mine is None:
                return True
            if epoch not in mine.told:
                # Whatever it is by which a pruner says so.
                mine.told[epoch] = bool(self._guarded(lambda: self._search.report(number, epoch, metrics)))
            return mine.told[epoch]

    def complete(self, number: int, metrics: Metrics, seconds: float, run: str | None = None) -> None:
        """As Searcher's, once."""
        self._end(number, lambda: self._search.complete(number, metrics, seconds, run))

    def prune(self, number: int, seconds: float, run: str | None = None) -> None:
        """As Searcher's, once."""
        self._end(number, lambda: self._search.prune(number, seconds, run))

    def fail(self, number: int, reason: str, seconds: float, run: str | None = None) -> None:
        """As Searcher's, once."""
        self._end(number, lambda: self._search.fail(number, reason, seconds, run))

    def alive(self, crew: str, host: str) -> bool:
        """Another host's sign of life; the answer is `over`."""
        with self._lock:
            self._crews[crew] = (host, self._clock())
            return self.over

    def leave(self, crew: str, host: str) -> None:
        """Another host has no worker any more."""
        with self._lock:
            self._crews.pop(crew, None)
            self.lost(crew, f"host {host} has left the search")
            self._left.add(host)

    def refuse(self, host: str) -> None:
        """A host that is at another search: it is not waited for."""
        with self._lock:
            if host not in self._left:
                print(f"search: {host} takes no part: its hyperparameters or images are others", flush=True)
            self._left.add(host)

    def lost(self, crew: str, reason: str, worker: int | None = None) -> None:
        """A crew's worker, or all of them, have ended: what they were at is failed."""
        with self._lock:
            for number, each in list(self._open.items()):
                if each.crew == crew and worker in (None, each.worker):
                    self.fail(number, reason, self._clock() - each.started)

    def others(self) -> int:
        """How many other hosts take part. Those that have been silent for too long are given up first."""
        with self._lock:
            for crew, (host, last) in list(self._crews.items()):
                if self._clock() - last > LOST_AFTER_S:
                    del self._crews[crew]
                    self.lost(crew, f"nothing was heard of host {host} for {LOST_AFTER_S:g} s")
            return len(self._crews)

    def linger(self, hosts: Iterable[str], limit: float = LINGER_S) -> None:
        """Wait until these hosts have left, for `limit` seconds at most: they have to hear that the search is over."""
        end = self._clock() + limit
        while not self._left.issuperset(hosts) and self._clock() < end:
            time.sleep(0.05)

    def _end(self, number: int, end: Callable[[], None]) -> None:
        with self._lock:
            if self._known(number) is not None:
                self._guarded(end)
                del self._open[number]
                self._ended.add(number)

    def _known(self, number: int) -> _Open | None:
        """None: it has been ended."""
        if number not in self._open and number not in self._ended:
            raise RefusedError(404, f"there is no trial {number} in this search")
        return self._open.get(number)

    def _guarded(self, call: Callable[[], _T]) -> _T:
        try:
            return call()
        except Exception as error:
            self.fault = self.fault or error
            raise
