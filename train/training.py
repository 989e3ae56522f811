"""One training of a job, observed, from its network to its artifact."""

from functools import partial

import torch

from model.errors import StoppedError
from train.callbacks import Callbacks
from train.checkpoint import Checkpoint
from train.companion.process import CompanionProcess
from train.finish import finish, save_stopped
from train.loop import Best, Trainer
from train.objective import Objective
from train.observers import observers_of
from train.run import Run
from train.shared import Shared


def train(shared: Shared, run: Run, companion: CompanionProcess | None, resumable: bool = False) -> Best:
    """Train and test, and leave artifact and reports; the best epoch.

    resumable: keep a checkpoint where the job has a folder for it, and go on from the one that is there.
    When a signal or a rule stops it, the best whole epoch so far is still written as an artifact, marked as not
    completed.
    """
    describe(run)
    network = shared.network(run)
    trained, train, valid = shared.what_to_train(run, network)
    run.callbacks = Callbacks(observers_of(run, train, valid, companion))
    completed = False
    trainer = Trainer(
        trained,
        train,
        valid,
        run.hyperparameters,
        Objective(run.hyperparameters, run.class_sizes, run.device),
        run.device,
        run.callbacks,
        run.metrics.write,
    )
    checkpoint = Checkpoint.of(run, network) if resumable and run.paths.checkpoints.is_dir() else None
    if checkpoint is not None:
        run.metrics.restore(checkpoint.resume(trainer))
        trainer.on_whole_epoch = partial(checkpoint.save, trainer)
    try:
        best = trainer.fit()
        trained.load_state_dict(best.weights)
        finish(run, network, best, trainer.history, shared.latency)
        if checkpoint is not None:
            checkpoint.complete()
        completed = True
    except BaseException as stop:
        # Signals are no Exceptions, and a rule's stop is none of a fault; an error's half-trained model is kept back.
        if (
            (not isinstance(stop, Exception) or isinstance(stop, StoppedError))
            and trainer.best is not None
            and not run.saved
        ):
            trained.load_state_dict(trainer.best.weights)
            save_stopped(run, network, trainer.best, trainer.history)
        raise
    finally:
        run.callbacks.job_end(completed)
    print(f"artifact written to {run.paths.model}", flush=True)
    return best


def describe(run: Run) -> None:
    """Say what is trained, in a line."""
    chosen = run.hyperparameters
    print(
        f"training {chosen.architecture} ({run.pretrained} weights, {chosen.head} head, "
        f"freeze={chosen.freeze}) for {chosen.epochs} epochs on {run.device.type}, "
        f"{torch.get_num_threads()} threads",
        flush=True,
    )
