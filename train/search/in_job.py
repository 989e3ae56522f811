"""A search within one training job, and the training of its best trial.

It leaves tuning.json, its page, the best hyperparameters, and progress.
"""

import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch

from contract.errors import ConfigError, UserError
from contract.files import write_atomic, write_json
from contract.hyperparameters import Hyperparameters
from contract.job import Job
from contract.metrics import MetricLog
from contract.paths import MLPaths
from contract.progress import Progress
from model.artifact import MANIFEST, Artifact
from monitor.client import MonitorProcess
from train.data.dataset import DataSet
from train.finish import save_stopped
from train.resources import Backbones, TrainingResources, on_features
from train.search.best_trial import BEST, JOURNAL, BestTrial, check_data, note_data
from train.search.parallel import Work, follow, leading
from train.search.trial import Measured, run_trials
from train.search.workers import Slot, slots_of
from train.training import train
from tuning.searcher import Metrics, Trial
from tuning.settings import SearchSettings
from tuning.space import Categorical, Integer, Space, Value
from tuning.study import Search
from tuning.trial_record import Record

_EVERY_S: Final = 0.5  # often enough for whoever watches, and no weight on trials of a tenth of a second
_SHARE: Final = 0.05  # of the search's time, at most, that this takes


class ReportingSearch:
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


_SAME: Final = 1e-6  # metrics that differ by less are reproduced
_OF_TIME: Final = ("epoch_seconds",)


def load_weights(backbones: Backbones, chosen: Hyperparameters) -> None:
    """Load the weights of each architecture that the search may try, before any data are read.

    Raises WeightsError.
    """
    for name in _values(Space.parse(chosen.tune_space), chosen, "architecture"):
        backbones.load(replace(chosen, architecture=str(name)))


def search_and_train(
    paths: MLPaths,
    job: Job,
    data: DataSet,
    device: torch.device,
    backbones: Backbones,
    progress: Progress,
    monitor: MonitorProcess | None,
) -> None:
    """Search as the job says, or go on with the search in its checkpoints; then train the best trial as a job's own.

    Leaves tuning.json, its page and best-hyperparameters.json beside what a training leaves. When a signal stops the
    search, the best trial's network is written as an artifact, marked as not completed.
    Raises ConfigError when the checkpoints are another search's, or no trial was completed.
    """
    slots = _slots(job, device)
    settings = replace(_settings(job, data), parallel=len(slots) * len(job.hosts))
    folder = paths.tuning_checkpoints
    check_data(folder, data)
    search = Search(folder / JOURNAL, settings)
    note_data(folder, data)
    work = _work(paths, job, data, device, folder / BEST)
    resources = TrainingResources(paths, data, device, backbones, progress, epochs=work.epochs)
    reporting = ReportingSearch(search, paths, progress, job.hyperparameters.tune_objective)
    best = BestTrial(folder / BEST, settings.objectives)
    job_search = _JobSearch(job, resources, search, reporting, best, MetricLog(paths.metrics))
    _print_settings(settings)
    here = nullcontext(lambda: run_trials(resources, reporting, Measured.of(settings.objectives), best))
    try:
        with here if settings.parallel == 1 else leading(job, slots, work, reporting) as run_all:
            job_search.search(run_all)
            job_search.train(monitor)
    finally:
        search.close()


def join_search(paths: MLPaths, job: Job, data: DataSet, device: torch.device) -> None:
    """Run trials of the search that another host leads, until there is no further one; writes no model.

    Raises LeaderError and NoWorkerError, as `follow` does.
    """
    _settings(job, data)
    with tempfile.TemporaryDirectory(prefix="kennel-best-", ignore_cleanup_errors=True) as folder:
        follow(job, _slots(job, device), _work(paths, job, data, device, Path(folder, BEST)))


def _settings(job: Job, data: DataSet) -> SearchSettings:
    settings = SearchSettings.of(job.hyperparameters)
    if Measured.of(settings.objectives).test and "test" not in data.splits:
        names = ", ".join(each.metric for each in settings.objectives)
        raise ConfigError(f"tune_objective: {names} needs test data, and there are none; add a channel test")
    return settings


def _slots(job: Job, device: torch.device) -> tuple[Slot, ...]:
    return slots_of(job.hyperparameters.tune_parallel, torch.cuda.device_count() if device.type == "cuda" else 0)


def _work(paths: MLPaths, job: Job, data: DataSet, device: torch.device, best: Path) -> Work:
    settings = SearchSettings.of(job.hyperparameters)
    epochs = max(int(each) for each in _values(settings.space, settings.base, "epochs"))
    return Work(paths, job.hyperparameters, data, device.type, epochs, best)


@dataclass
class _JobSearch:
    job: Job
    resources: TrainingResources
    study: Search
    reporting: ReportingSearch
    best: BestTrial
    metrics: MetricLog

    def search(self, run_all: Callable[[], None]) -> None:
        """Run the trials that are left."""
        try:
            run_all()
        except BaseException as stop:
            self.reporting.end("stopped", _why(stop))
            # Signals are no Exceptions; after an error there is no artifact, as ever.
            if not isinstance(stop, Exception):
                self._save_best()
            raise
        self.reporting.end("completed")

    def train(self, monitor: MonitorProcess | None) -> None:
        """Train the best trial's hyperparameters, with everything that an ordinary job has."""
        trial = self.study.best
        if trial is None:
            raise ConfigError(self.study.failure or "the search has no best trial")
        goal = self.study.settings.objectives[0].metric
        print(f"search: trial {trial.number} is the best, with {goal} {trial.metrics[goal]:.4g}", flush=True)
        chosen = self.reporting.trained_with(trial)
        began = time.time()
        if monitor is not None:
            monitor.start(self.resources.paths, replace(self.job, hyperparameters=chosen), began)
        run = self.resources.run(chosen, self.metrics, tuner_objective=self.job.tuner_objective, began=began)
        try:
            best_epoch = train(self.resources, run, monitor)
        except BaseException as stop:
            if not isinstance(stop, Exception) and not (run.paths.model / MANIFEST).exists():
                self._save_best()
            raise
        reproduced = _same(trial, best_epoch.metrics)
        if not reproduced:
            print(f"WARNING: the training's metrics are not those of trial {trial.number}", flush=True)
        metrics = Artifact.load(run.paths.model, verify=False).metrics
        self.reporting.end("completed", winner={"trained": True, "metrics": metrics, "reproduced": reproduced})

    def _save_best(self) -> None:
        """The best trial's network as an artifact, marked as not completed."""
        kept = self.best.read()
        if kept is None:
            return
        run = self.resources.run(kept.hyperparameters, self.metrics, tuner_objective=self.job.tuner_objective)
        network = self.resources.network(run)
        trained = network.head if on_features(run.hyperparameters) else network
        trained.load_state_dict(kept.best.weights)
        save_stopped(run, network, kept.best, kept.history)


def _values(space: Space, base: Hyperparameters, name: str) -> tuple[Value, ...]:
    """A hyperparameter's values in a search: all of them, or an integer range's limits."""
    for each in space.parameters:
        if each.name == name:
            assert isinstance(each, Categorical | Integer)
            return each.values if isinstance(each, Categorical) else (each.low, each.high)
    return (getattr(base, name),)


def _print_settings(settings: SearchSettings) -> None:
    objectives = ", ".join(str(each).replace(":", ", to ") for each in settings.objectives)
    print(
        f"search: {settings.trials} trials of {', '.join(settings.space.names)} for {objectives} "
        f"({settings.sampler} sampler, {settings.pruner} pruner)",
        flush=True,
    )


def _same(trial: Record, metrics: dict[str, float | int]) -> bool:
    compared = [name for name in metrics if name not in _OF_TIME]
    return all(_close(trial.metrics.get(name), metrics[name]) for name in compared)


def _close(before: float | int | None, now: float | int) -> bool:
    return before is not None and abs(before - now) <= _SAME


def _why(stop: BaseException) -> str:
    if isinstance(stop, KeyboardInterrupt):
        return "interrupted by Ctrl-C"
    if not isinstance(stop, Exception):
        return "stopped by SIGTERM"
    return str(stop) if isinstance(stop, UserError) else type(stop).__name__
