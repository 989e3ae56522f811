"""The trials of a tuning run: ordinary trainings, each in a run folder of its own.

Several run at a time, each in a thread with a slot of the machine; signals and display are the main thread's.
"""

import json
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from backends.base import WHOLE_MACHINE, Backend, JobProgress, MachineSlot
from backends.cancel import CancelToken
from backends.errors import BackendError, Pruned, Stopped
from backends.inputs import DATA_CHANNEL
from backends.runs import Run, create_run, recorded, trials_of
from backends.search.request import SearchRequest
from contract.files import GrowingFile
from contract.hyperparameters import Hyperparameters
from tuning.searcher import Metrics, Trial
from tuning.study import Search


@dataclass(frozen=True)
class Trials:
    """What all trials of a tuning run share. on_progress: called with a trial's number and its progress."""

    backend: Backend
    tuning: Run
    request: SearchRequest
    search: Search
    cancel: CancelToken
    on_progress: Callable[[int, JobProgress], None]

    def run(self, trial: Trial, slot: MachineSlot) -> str | None:
        """Train a trial to its end, and record it in the search and in its run folder; returns the reason if it failed.

        The search doesn't learn of a cancelled trial, so it repeats that when it goes on.
        """
        if done := self._find_unrecorded_run(trial.number):
            seconds = done.read_json("ml/model/kennel.json")["provenance"]["seconds"]
            self._complete(trial.number, done, EpochRows.of(done), seconds)
            return self._reason(trial.number)
        hyperparameters = self.request.of_trial(trial.hyperparameters)
        run = self._create_run(trial.number, asdict(hyperparameters))
        try:
            # The search first: a trial that it doesn't know would be run again.
            with recorded(run):
                self._train(trial.number, run, hyperparameters, slot)
        except BackendError:
            return str(run.record["reason"]) if run.status == "failed" else None
        return self._reason(trial.number)

    def _train(self, number: int, run: Run, hyperparameters: Hyperparameters, slot: MachineSlot) -> None:
        """Train, and report the trial's epochs and its end to the search. Raises BackendError, Stopped and Pruned."""
        rows, pruned, start = EpochRows.of(run), CancelToken(self.cancel), time.monotonic()

        def watch(progress: JobProgress) -> None:
            self.on_progress(number, progress)
            for row in rows.read():
                if self.search.report(number, int(row["epoch"]), row):
                    pruned.request()

        try:
            self.backend.train(run, self.request.data, hyperparameters, watch, slot, pruned)
        except Stopped:
            if not pruned.own:
                raise
            self.search.prune(number, time.monotonic() - start, run.name)
            raise Pruned(f"pruned by {self.tuning.name}") from None
        except BackendError as error:
            # With the data set's own path, not the trial's: two trials with the same fault have the same reason.
            seen = str(run.ml / "input" / "data" / DATA_CHANNEL)
            reason = str(error).removeprefix("ClientError: ").replace(seen, str(self.request.data))
            self.search.fail(number, reason, time.monotonic() - start, run.name)
            raise BackendError(reason) from error
        self._complete(number, run, rows, time.monotonic() - start)

    def _complete(self, number: int, run: Run, rows: "EpochRows", seconds: float) -> None:
        # All epochs, also those of the last tenth of a second: the learning curves are the report's.
        for row in rows.read():
            self.search.report(number, int(row["epoch"]), row)
        self.search.complete(number, run.metrics(), seconds, run.name)

    def _reason(self, number: int) -> str | None:
        """Why the search can do nothing with a trained trial: its metrics lack the objective, say."""
        return next((trial.reason for trial in self.search.finished if trial.number == number), None)

    def _find_unrecorded_run(self, number: int) -> Run | None:
        """The trial's run, if it was trained to its end after the search had been killed."""
        trials = (run for run in trials_of(self.tuning) if run.record["trial"] == number)
        return next((run for run in trials if run.status == "completed"), None)

    def _create_run(self, number: int, hyperparameters: dict[str, object]) -> Run:
        """Its name is NAME-trial-007; NAME-trial-007-2 when it is repeated."""
        runs, stem = self.tuning.path.parent, f"{self.tuning.name}-trial-{number:03d}"
        name, attempt = stem, 1
        while (runs / name).exists():
            attempt += 1
            name = f"{stem}-{attempt}"
        return create_run(
            runs, "training", name, backend=self.backend.name, tuning=self.tuning.name, trial=number,
            data=str(self.request.data), hyperparameters=hyperparameters,
        )  # fmt: skip


def reap_orphans(backend: Backend, tuning: Run, search: Search) -> None:
    """End the trials that outlived their tuning run, and correct the records that still say running.

    Those that were cut off are stopped, and the search repeats them.
    """
    finished = {trial.run: trial for trial in search.finished}
    for run in trials_of(tuning):
        if run.status != "running":
            continue
        backend.stop(run)
        ended = finished.get(run.name)
        if ended is not None and ended.state in ("pruned", "failed"):
            run.finish(ended.state, reason=ended.reason or f"pruned by {tuning.name}", metrics=run.metrics())
        elif run.read_json("ml/model/kennel.json").get("provenance", {}).get("completed"):
            run.finish("completed", metrics=run.metrics())
        else:
            run.finish("stopped", reason=f"cut off with {tuning.name}, and run again when that goes on")


class EpochRows:
    """The epochs' rows of a metrics.jsonl that is being written, each once and in order."""

    def __init__(self, file: Path) -> None:
        self._file = GrowingFile(file)

    @classmethod
    def of(cls, run: Run) -> "EpochRows":
        return cls(run.ml / "output" / "data" / "metrics.jsonl")

    def read(self) -> Iterator[Metrics]:
        """The rows since the last call, without values that are no numbers."""
        for line in self._file.read():
            row = json.loads(line)
            if "validation_loss" in row:
                yield {name: value for name, value in row.items() if value is not None and math.isfinite(value)}


_POLL_S: Final = 0.2


class Driver:
    """One thread for each slot runs trials until none is left, the search is cancelled, or one thread can't go on."""

    def __init__(self, trials: Trials, slots: Sequence[MachineSlot]) -> None:
        self._trials = trials
        self._slots = slots
        self._lock = threading.Lock()
        self._running: set[int] = set()
        self._any_completed = False
        self._reasons: list[str] = []
        self._error: BaseException | None = None

    @property
    def running(self) -> list[int]:
        """The numbers of the trials that run now."""
        with self._lock:
            return sorted(self._running)

    def run(self, draw: Callable[[list[int]], None]) -> None:
        """Run the search to its end. draw: called a few times a second, and at the end, with the running trials.

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

    def _work(self, slot: MachineSlot) -> None:
        try:
            while not self._trials.cancel.requested:
                trial = self._trials.search.ask()
                if trial is None:
                    return
                self._run_trial(trial, slot)
        except BaseException as error:  # noqa: BLE001 - raised in the main thread, once the others have ended
            with self._lock:
                self._error = self._error or error
            self._trials.cancel.request()

    def _run_trial(self, trial: Trial, slot: MachineSlot) -> None:
        with self._lock:
            self._running.add(trial.number)
        try:
            reason = self._trials.run(trial, slot)
        finally:
            with self._lock:
                self._running.discard(trial.number)
        if reason is None:
            self._any_completed = True
            return
        with self._lock:
            self._reasons.append(reason)
            # Such as a fault of the data, which every trial would meet.
            if not self._any_completed and self._reasons.count(reason) > 1:
                raise BackendError(f"{reason} (as in each of the first trials, so there is no further one)")


# Below this a training alone makes better use of the cores.
_CORES_A_TRIAL: Final = 4
_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")


def choose_slots(backend: Backend, search: Hyperparameters) -> list[MachineSlot]:
    """A slot for each of `tune_parallel` trials, `tune_trials` at most.

    For 0 there is one a GPU; on the CPU one for every 4 cores.
    """
    gpus = [] if search.device == "cpu" else backend.gpus()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    usable = min(len(cores) or os.cpu_count() or 1, _quota(_QUOTA))
    count = search.tune_parallel or len(gpus) or max(1, usable // _CORES_A_TRIAL)
    return divide(gpus, cores, count)[: search.tune_trials]


def divide(gpus: Sequence[str], cores: Sequence[int], count: int) -> list[MachineSlot]:
    """`count` slots that share cores and GPUs as evenly as can be; one alone has the whole machine."""
    if count == 1:
        return [WHOLE_MACHINE]
    slots = []
    for number in range(count):
        first, end = number * len(cores) // count, (number + 1) * len(cores) // count
        # With more slots than cores each slot has one core, which some share.
        own = cores[first : max(end, first + 1)]
        slots.append(MachineSlot(tuple(own), gpus[number % len(gpus)] if gpus else None))
    return slots


def _quota(file: Path) -> int:
    """The container's CPU limit in cores, from cgroup v2; a very large number when there is none."""
    try:
        quota, period = file.read_text().split()
        return max(1, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):
        return 1 << 30
