"""One training of a job, observed, from its network to its artifact."""

from dataclasses import asdict, replace

import torch
from torch import nn

from contract.errors import StoppedError
from contract.progress import Progress
from model.artifact import MANIFEST
from model.network import Classifier
from monitor.callbacks import Callback, Callbacks, MonitorCallback, TrainState
from monitor.client import MonitorProcess
from train.callbacks import own_callbacks
from train.checkpoint import Checkpoint, State, capture, fingerprint, restore
from train.context import TrainingRun
from train.finish import finish, save_stopped
from train.loader import Batches
from train.loss import TrainingLoss
from train.resources import TrainingResources
from train.trainer import BestEpoch, Listeners, Trainer


def train(
    resources: TrainingResources, run: TrainingRun, monitor: MonitorProcess | None, resumable: bool = False
) -> BestEpoch:
    """Train and test, write artifact and reports, and return the best epoch.

    resumable: write a checkpoint where the job has a folder for it, and resume from the one that is there.
    When a signal or a rule stops it, the best whole epoch so far is still written as an artifact, marked as not
    completed.
    """
    describe(run)
    network = _network(resources, run)
    trained, train, valid = resources.model_and_loaders(run, network)
    callbacks = Callbacks(observers_of(run, train, valid, monitor))
    listeners = Listeners(callbacks, run.metrics.write)
    checkpoint = None
    if resumable and run.paths.checkpoints.is_dir():
        checkpoint = Checkpoint(run.paths.training_checkpoint, fingerprint(run, network))
        listeners = replace(listeners, on_whole_epoch=checkpoint.save)
    trainer = build_trainer(run, trained, train, valid, listeners)
    if checkpoint is not None:
        run.metrics.restore(checkpoint.resume(trainer))
    completed = False
    if run.group.size > 1:
        run.group.broadcast(capture(trainer) if trainer.best is not None else None)
    try:
        best = trainer.fit()
        trained.load_state_dict(best.weights)
        finish(run, network, best, trainer.history, callbacks, resources.latency)
        if checkpoint is not None:
            checkpoint.complete()
        completed = True
    except BaseException as stop:
        # After a signal (no Exception) or a rule's stop the best epoch is saved; after an error nothing is.
        if (
            (not isinstance(stop, Exception) or isinstance(stop, StoppedError))
            and trainer.best is not None
            and not (run.paths.model / MANIFEST).exists()
        ):
            trained.load_state_dict(trainer.best.weights)
            save_stopped(run, network, trainer.best, trainer.history)
        raise
    finally:
        callbacks.job_end(completed)
    print(f"artifact written to {run.paths.model}", flush=True)
    return best


def train_as_follower(resources: TrainingResources, run: TrainingRun) -> None:
    """What a host other than rank 0 does in `train`: its share of every batch; it writes nothing."""
    describe(run)
    network = _network(resources, run)
    listeners = Listeners(Callbacks([]), run.metrics.write)
    trainer = build_trainer(run, *resources.model_and_loaders(run, network), listeners)
    nothing: State | None = None
    if (state := run.group.broadcast(nothing)) is not None:
        # Rank 0 resumes from its checkpoint.
        restore(trainer, *state)
    trainer.follow()


def _network(resources: TrainingResources, run: TrainingRun) -> Classifier:
    network = resources.network(run)
    if run.group.size > 1:
        run.group.assert_same_on_all_ranks(fingerprint(run, network))
    return network


def build_trainer(
    run: TrainingRun, trained: nn.Module, train: Batches, valid: Batches, listeners: Listeners
) -> Trainer:
    """The trainer of a run, with the loss that its hyperparameters ask for."""
    hyperparameters, device = run.hyperparameters, run.device
    loss = TrainingLoss(hyperparameters, run.class_sizes, device)
    return Trainer(trained, train, valid, hyperparameters, loss, device, listeners, run.group)


def describe(run: TrainingRun) -> None:
    """Print in a line what is trained."""
    hyperparameters = run.hyperparameters
    print(
        f"training {hyperparameters.architecture} ({run.pretrained} weights, {hyperparameters.head} head, "
        f"freeze={hyperparameters.freeze}) for {hyperparameters.epochs} epochs on {run.device.type}, "
        f"{torch.get_num_threads()} threads{f' on each of {run.group.size} hosts' if run.group.size > 1 else ''}",
        flush=True,
    )


class _ReportProgress(Callback):
    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def on_batch_end(self, state: TrainState) -> None:
        self._progress.update("training", state.step, state.epochs * state.steps_per_epoch, "batches")


def observers_of(run: TrainingRun, train: Batches, valid: Batches, monitor: MonitorProcess | None) -> list[Callback]:
    """The observers that the run's hyperparameters ask for; the others are not imported."""
    hyperparameters = run.hyperparameters
    observers: list[Callback] = [_ReportProgress(run.progress)]
    if hyperparameters.tensorboard == "on":
        from train.tensorboard import TensorBoard

        observers.append(TensorBoard(run))
    if hyperparameters.profile == "on":
        # Before the hook: the hook's work at the start of a phase is then measured with the phase, and subtracted.
        observers += _profiler(run)
    if hyperparameters.debug == "on":
        from contract.debugger import HookLocation, Schedule
        from monitor.debugger.callback import DebugHook

        steps, gpu = len(train) * hyperparameters.epochs, run.device.type == "cuda"
        schedule = Schedule(steps, hyperparameters.epochs, len(valid), hyperparameters.debug_interval, gpu)
        place = HookLocation(run.paths.tensors, run.paths.debughookconfig)
        # Of several hosts only rank 0 has observers.
        observers.append(
            DebugHook(place, schedule, bool(hyperparameters.mixup or hyperparameters.cutmix), only=run.group.size > 1)
        )
    observers += own_callbacks(hyperparameters)
    if monitor is not None:
        # After the hook, which removes an earlier run's tensors when training starts.
        observers.append(MonitorCallback(monitor))
    return observers


def _profiler(run: TrainingRun) -> list[Callback]:
    from contract.profiler import read_settings
    from monitor.profiler.callback import StepProfiler

    hyperparameters = run.hyperparameters
    settings = read_settings(run.paths, hyperparameters.profile_interval, hyperparameters.profile_steps)
    config = {
        "hyperparameters": asdict(hyperparameters),
        "workers": run.workers,
        "cache": "memory" if run.cached else "none",
        "device": run.device.type,
        "batch_size": hyperparameters.batch_size,
    }
    return [StepProfiler(settings, config, run.device, run.began)] if settings.on else []
