"""A trial: a training without anything but its numbers."""

import gc
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import nn

from contract.command import machine_fault, out_of_memory
from contract.errors import ConfigError, DivergedError
from contract.hyperparameters import Hyperparameters
from contract.metrics import MetricLog
from model.network import Classifier
from monitor.callbacks import Callbacks
from train.context import TrainingRun
from train.evaluation.calibration import Calibration
from train.evaluation.result import evaluate
from train.finish import metrics_of_test
from train.loader import Batches
from train.resources import TrainingResources
from train.search.best_trial import BestTrial, Trained
from train.trainer import BestEpoch, Listeners
from train.training import build_trainer
from tuning.objective import LATENCY
from tuning.objective import Objective as Goal
from tuning.searcher import Searcher, Trial

TEST: Final = ("test_", "average test loss")  # how the test's metrics begin


class PrunedError(Exception):
    """The search ends the trial early."""


@dataclass(frozen=True)
class Measured:
    """What a trial measures beyond its epochs, as the search is to improve it."""

    latency: bool
    test: bool

    @classmethod
    def of(cls, goals: Iterable[Goal]) -> "Measured":
        """What the objectives need."""
        names = [goal.metric for goal in goals]
        return cls(LATENCY in names, any(name.startswith(TEST) for name in names))


def run_trials(resources: TrainingResources, searcher: Searcher, measured: Measured, best: BestTrial) -> None:
    """Run one trial after another until the searcher has no further one.

    A trial that diverges, needs too much memory, or whose hyperparameters clash has failed, and the next one comes.
    Raises what concerns all of them: UserError where images or weights are gone, OSError.
    """
    while (trial := searcher.ask()) is not None:
        start = time.monotonic()
        reason = _reason_to_fail(resources, searcher, trial, measured, best)
        if reason is not None:
            # By now the exception is gone, and with it the frames that held the network.
            gc.collect()
            if resources.device.type == "cuda":
                torch.cuda.empty_cache()
            searcher.fail(trial.number, reason, time.monotonic() - start)


def _reason_to_fail(
    resources: TrainingResources, searcher: Searcher, trial: Trial, measured: Measured, best: BestTrial
) -> str | None:
    """Train it and report to the searcher; returns the reason if it fails, which is left to the caller to report."""
    try:
        # Each value is allowed, but together they may clash.
        chosen = Hyperparameters.parse(trial.hyperparameters.to_json())
    except ConfigError as error:
        return str(error)
    try:
        _train(resources, searcher, replace(trial, hyperparameters=chosen), measured, best)
    except DivergedError as error:
        return str(error)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        return machine_fault(error)
    return None


def _train(resources: TrainingResources, searcher: Searcher, trial: Trial, measured: Measured, best: BestTrial) -> None:
    run = resources.run(trial.hyperparameters, MetricLog(None))
    network = resources.network(run)
    # Before the clock: what others share, and libraries that torch imports for the first optimizer.
    trained, train, valid = resources.model_and_loaders(run, network)
    latency = {LATENCY: resources.latency(run, network)} if measured.latency else {}

    def report(metrics: dict[str, float | int]) -> None:
        if searcher.report(trial.number, int(metrics["epoch"]), metrics):
            raise PrunedError

    # Nobody watches, and nothing is written or printed.
    listeners = Listeners(Callbacks([]), report, say=lambda _text: None)
    trainer = build_trainer(run, trained, train, valid, listeners)
    start = time.monotonic()
    try:
        best_epoch = trainer.fit()
    except PrunedError:
        searcher.prune(trial.number, time.monotonic() - start)
        return
    test = _test(resources, run, network, trained, valid, best_epoch) if measured.test else {}
    metrics = {**best_epoch.metrics, **latency, **test}
    seconds = time.monotonic() - start
    # First: a signal that comes when the trial is known as finished must find its weights.
    best.offer(Trained(trial.number, trial.hyperparameters, metrics, best_epoch, trainer.history))
    searcher.complete(trial.number, metrics, seconds)


def _test(
    resources: TrainingResources,
    run: TrainingRun,
    network: Classifier,
    trained: nn.Module,
    valid: Batches,
    best: BestEpoch,
) -> dict[str, float | int]:
    """The test's metrics, as a training reports them; with a frozen backbone by the images' features."""
    trained.load_state_dict(best.weights)
    temperature = Calibration.fit(evaluate(trained, valid, run.device)).temperature
    result = evaluate(trained, resources.test_batches(run, network), run.device)
    metrics = metrics_of_test(replace(result, temperature=temperature))
    return {**metrics, "average test loss": metrics["test_loss"]}
