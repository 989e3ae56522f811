"""Who watches a training: the composition of its observers."""

from dataclasses import asdict

from contract.progress import Progress
from monitor.callback import Companion
from monitor.callbacks import Callback, TrainState
from monitor.client import CompanionProcess
from train.batches import Batches
from train.run import Run


class _ReportProgress(Callback):
    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def on_batch_end(self, state: TrainState) -> None:
        self._progress.update("training", state.step, state.epochs * state.steps_per_epoch, "batches")


def observers_of(run: Run, train: Batches, valid: Batches, companion: CompanionProcess | None) -> list[Callback]:
    """The observers that the run's hyperparameters ask for. What isn't asked for isn't imported."""
    chosen = run.hyperparameters
    observers: list[Callback] = [_ReportProgress(run.progress)]
    if chosen.tensorboard == "on":
        from train.tensorboard import TensorBoard

        observers.append(TensorBoard(run))
    if chosen.profile == "on":
        # Before the hook, whose work at the beginning of a phase is then timed with it, and taken off it.
        observers += _profiler(run)
    if chosen.debug == "on":
        from contract.debugger import Place, Schedule
        from monitor.debugger.callback import DebugHook

        steps, gpu = len(train) * chosen.epochs, run.device.type == "cuda"
        schedule = Schedule(steps, chosen.epochs, len(valid), chosen.debug_interval, gpu)
        place = Place(run.paths.tensors, run.paths.debughookconfig)
        # Only the leader of several hosts has observers.
        observers.append(DebugHook(place, schedule, bool(chosen.mixup or chosen.cutmix), only=run.group.size > 1))
    if companion is not None:
        # After the hook: when it tells of the training's start, an earlier run's tensors are out of the way.
        observers.append(Companion(companion))
    return observers


def _profiler(run: Run) -> list[Callback]:
    from contract.profiler import read_settings
    from monitor.profiler.callback import StepProfiler

    chosen = run.hyperparameters
    settings = read_settings(run.paths, chosen.profile_interval, chosen.profile_steps)
    config = {
        "hyperparameters": asdict(chosen),
        "workers": run.workers,
        "cache": "memory" if run.kept else "none",
        "device": run.device.type,
        "batch_size": chosen.batch_size,
    }
    return [StepProfiler(settings, config, run.device, run.began)] if settings.on else []
