"""What a search in a job leaves to be read: tuning.json, its page, the best hyperparameters, progress."""

import sys
import threading
import time
import traceback
from dataclasses import replace
from typing import Any, Final

from contract.files import write_atomic, write_json
from contract.hyperparameters import Hyperparameters
from contract.paths import MLPaths
from contract.progress import Progress
from tuning.searcher import Metrics, Trial
from tuning.study import Search
from tuning.trial_record import Record

_EVERY_S: Final = 0.5  # often enough for whoever watches, and no weight on trials of a tenth of a second
_SHARE: Final = 0.05  # of the search's time, at most, that this takes


class Watched:
    """A Searcher that keeps the files up to date with the search behind it."""

    def __init__(self, search: Search, paths: MLPaths, progress: Progress, objective: str) -> None:
        """objective: the job's tune_objective, which says whether a training measures the latency."""
        self._search, self._paths, self._progress, self._objective = search, paths, progress, objective
        self._lock = threading.Lock()
        self._due = 0.0
        self._best: int | None = None

    def ask(self) -> Trial | None:
        trial = self._search.ask()
        self._changed()
        return trial

    def report(self, number: int, epoch: int, metrics: Metrics) -> bool:
        return self._search.report(number, epoch, metrics)

    def complete(self, number: int, metrics: Metrics, seconds: float, run: str | None = None) -> None:
        self._search.complete(number, metrics, seconds, run)
        self._changed()

    def prune(self, number: int, seconds: float, run: str | None = None) -> None:
        self._search.prune(number, seconds, run)
        self._changed()

    def fail(self, number: int, reason: str, seconds: float, run: str | None = None) -> None:
        self._search.fail(number, reason, seconds, run)
        self._changed()

    def end(self, state: str, reason: str | None = None, winner: dict[str, Any] | None = None) -> None:
        """Write everything. state: completed, or stopped for a reason. winner: how its training went."""
        winner = winner or {"trained": False, "metrics": {}, "reproduced": None}
        with self._lock:
            document = self._search.document(state, reason, winner)
            write_json(self._paths.tuning_report, document)
            self._write_best()
            try:
                from reports.tuning_page import tuning_page

                write_atomic(self._paths.tuning_page, tuning_page(document))
            except Exception:  # noqa: BLE001 - a search may not end over a page
                print("WARNING: the search's page can't be made; the job goes on without it", file=sys.stderr)
                traceback.print_exc()

    def _changed(self) -> None:
        finished = len(self._search.finished)
        with self._lock:
            self._progress.update("searching", finished, self._search.settings.trials, "trials")
            if time.monotonic() < self._due:
                return
            start = time.monotonic()
            write_json(self._paths.tuning_report, self._search.document("running"), durable=False)
            self._write_best()
            now = time.monotonic()
            self._due = now + max(_EVERY_S, (now - start) / _SHARE)

    def _write_best(self) -> None:
        best = self._search.best
        if best is not None and best.number != self._best:
            write_json(self._paths.best_hyperparameters, self.trained_with(best).to_json())
            self._best = best.number

    def trained_with(self, trial: Record) -> Hyperparameters:
        """What a training of its own takes to give the trial's numbers."""
        return replace(trial.hyperparameters, tune_objective=self._objective)
