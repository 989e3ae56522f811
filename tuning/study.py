"""A search: trials asked for, reported and ended, in a file on disk from which it resumes after any interruption."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from tuning.journal import Journal
from tuning.optuna_study import Optimizer, params_for_optuna, pruned_by, values_from_optuna
from tuning.results import document_of, failure_of, finished_line, notes_of
from tuning.searcher import Metrics, Trial
from tuning.settings import SearchSettings, base_values, clash_in
from tuning.space import Value
from tuning.trial_record import Point, Record, best_of, front_of, plain_row, point_of, value_of, values_of

__all__ = ["Record", "Search", "SearchSettings"]

# Trials in a row that only repeat earlier ones, before the sampler is no longer followed.
MOST_REPEATS = 2


class Search:
    """A `Searcher` over an Optuna study in `file`, which is created, or resumed if it exists.

    shown: receives a line for each trial that ended. clock: seconds that only grow.
    Raises ConfigError when the file is no journal, was begun with other settings (trials, parallel and minutes may
    change), or is in use by another process. `close` when done.
    """

    def __init__(
        self,
        file: Path,
        settings: SearchSettings,
        shown: Callable[[str], None] = lambda line: print(line, flush=True),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.reason: str | None = None
        self._shown, self._clock, self._opened = shown, clock, clock()
        self._lock = threading.RLock()
        self._journal = Journal(file, settings, time.time())
        self._records = self._journal.records
        self._running: dict[int, Record] = {}
        self._tried = {each.point for each in self._records.values()}
        self._waiting = [record for _, record in sorted(self._journal.interrupted.items())]
        known = [*self._records.values(), *self._waiting]
        self._before = max([each.ended or 0.0 for each in known], default=0.0)
        self._latest = self._before
        self._optimizer = Optimizer(settings, self._refuses)
        for _, trial in sorted(self._journal.finished.items()):
            self._optimizer.add(trial)

    def ask(self) -> Trial | None:
        """The next trial; None when there is to be no further one: `reason` says why, if not all had their turn."""
        with self._lock:
            while not self._is_over():
                record = self._propose()
                if record.point in self._tried:
                    self._repeat(record)
                elif fault := clash_in(record.hyperparameters):
                    record.state, record.reason = "failed", fault
                    self._end_at_once(record)
                else:
                    self._running[record.number] = record
                    self._journal.add(record, self._optimizer.trial(record.number))
                    return Trial(record.number, dict(record.values), record.hyperparameters)
            return None

    def report(self, number: int, epoch: int, metrics: Metrics) -> bool:
        """Never true for a trial's last epoch, nor when its objective is not a number."""
        with self._lock:
            record = self._of(number)
            if epoch in record.epochs:
                return record.end_requested
            row = plain_row(metrics)
            record.epochs[epoch] = row
            value = value_of(self.settings.objectives[0], row) if pruned_by(self.settings) else None
            self._journal.report(number, epoch, row, self._advance(), value)
            if value is not None:
                ends, notes = self._optimizer.report(number, epoch, value)
                self._journal.note(number, notes)
                record.end_requested = record.end_requested or (ends and epoch < record.hyperparameters.epochs)
            return record.end_requested

    def complete(self, number: int, metrics: Metrics, seconds: float, run: str | None = None) -> None:
        """Without a finite value of each objective the trial counts as failed."""
        with self._lock:
            record = self._of(number)
            values = values_of(self.settings.objectives, metrics)
            record.metrics = plain_row(metrics)
            if isinstance(values, str):
                record.state, record.reason = "failed", values
            else:
                record.state, record.objective = "completed", values
            self._finish(record, seconds, run)

    def prune(self, number: int, seconds: float, run: str | None = None) -> None:
        with self._lock:
            record = self._of(number)
            record.state = "pruned"
            record.metrics = dict(record.epochs[max(record.epochs)]) if record.epochs else {}
            self._finish(record, seconds, run)

    def fail(self, number: int, reason: str, seconds: float, run: str | None = None) -> None:
        with self._lock:
            record = self._of(number)
            record.state, record.reason = "failed", reason
            self._finish(record, seconds, run)

    def interrupt(self, number: int) -> None:
        """Put a trial that did not end back in the queue, as when its host is lost."""
        with self._lock:
            record = self._of(number)
            del self._running[number]
            self._journal.interrupt(number)
            self._optimizer.drop(number)
            self._waiting.append(record)
            self._waiting.sort(key=lambda each: each.number)

    @property
    def finished(self) -> list[Record]:
        """The trials that ended, by number: completed, pruned and failed ones."""
        with self._lock:
            return [self._records[number] for number in sorted(self._records)]

    @property
    def running(self) -> list[Record]:
        """The trials that were asked for and have not ended, by number."""
        with self._lock:
            return [self._running[number] for number in sorted(self._running)]

    @property
    def front(self) -> list[Record]:
        """The completed trials that no other surpasses in every objective, the best of the first objective foremost."""
        return front_of(self.finished, self.settings.objectives)

    @property
    def best(self) -> Record | None:
        """The best trial; of several objectives the front's foremost. None without a completed trial."""
        return best_of(self.finished, self.settings.objectives)

    @property
    def interrupted(self) -> int:
        """How many times a trial was begun and came to no end."""
        return self._journal.interruptions

    @property
    def began(self) -> float:
        """When the search was begun, in seconds since 1970."""
        return self._journal.began

    @property
    def seconds(self) -> float:
        """How long the search had gone on, in all its sessions together, until its last event of a trial."""
        return self._latest

    @property
    def notes(self) -> list[str]:
        """What a reader of the results should know about how they were obtained."""
        return notes_of(self.settings)

    @property
    def failure(self) -> str | None:
        """A sentence for a search without a best trial; None if it has one."""
        return None if self.best else failure_of(self.finished, self.reason)

    def document(self, state: str, reason: str | None = None, winner: dict[str, Any] | None = None) -> dict[str, Any]:
        """What tuning.json holds; see docs/tuning.md. state: running, completed or stopped."""
        with self._lock:
            return document_of(self, state, reason or self.reason, winner)

    def close(self) -> None:
        """Release the search for another process. Trials that still run count as interrupted then."""
        self._journal.close()

    def _now(self) -> float:
        return round(self._before + self._clock() - self._opened, 3)

    def _advance(self) -> float:
        self._latest = self._now()
        return self._latest

    def _of(self, number: int) -> Record:
        if number not in self._running:
            raise ValueError(f"trial {number} is not running")
        return self._running[number]

    def _is_over(self) -> bool:
        if len(self._records) + len(self._running) >= self.settings.trials:
            return True
        if self.settings.minutes and self._now() >= 60 * self.settings.minutes:
            self.reason = f"tune_minutes: {self.settings.minutes:g} minutes are over"
            return True
        points = self.settings.space.points
        if points is None or self._waiting or len(self._tried | self._at_work()) < points:
            return False
        self.reason = f"all {points} combinations were tried"
        return True

    def _propose(self) -> Record:
        params, values = None, None
        if self._waiting:
            before = self._waiting.pop(0)
            number, params, values = before.number, before.params, before.values
        else:
            number = max([0, *self._records, *self._running]) + 1
            base = base_values(self.settings)
            if number == 1 and self.settings.space.contains(base):
                params, values = params_for_optuna(self.settings.space, base), base
        params = self._optimizer.ask(number, params)
        values = values or values_from_optuna(self.settings.space, params)
        return Record(number, values, params, replace(self.settings.base, **cast("Any", values)), self._advance())

    def _at_work(self) -> set[Point]:
        return {each.point for each in self._running.values()}

    def _refuses(self, values: dict[str, Value], first: bool) -> bool:
        """Whether these values were tried, and a repetition would not do: the sampler's own choice may repeat some."""
        point = point_of(values)
        if point in self._at_work():
            return True
        in_a_row = [each.repeats is not None for each in self.finished[-MOST_REPEATS:]]
        return point in self._tried and not (first and not (len(in_a_row) == MOST_REPEATS and all(in_a_row)))

    def _repeat(self, record: Record) -> None:
        twin = next(each for each in self.finished if each.point == record.point)
        record.state, record.objective, record.metrics = twin.state, twin.objective, dict(twin.metrics)
        record.reason, record.run, record.repeats = twin.reason, twin.run, twin.number
        self._end_at_once(record)

    def _end_at_once(self, record: Record) -> None:
        record.ended = self._advance()
        self._journal.add(record, self._optimizer.end(record))
        self._enter(record)

    def _finish(self, record: Record, seconds: float, run: str | None) -> None:
        record.seconds, record.run, record.ended = seconds, run, self._advance()
        self._journal.end(record, self._optimizer.end(record))
        del self._running[record.number]
        self._enter(record)

    def _enter(self, record: Record) -> None:
        self._records[record.number] = record
        self._tried.add(record.point)
        self._shown(finished_line(record, self.settings.objectives, self.settings.trials, self.best))
