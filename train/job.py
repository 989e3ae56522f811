"""One training job from its configuration to its artifact."""

import math
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import torch
from torch import nn

from model import artifact
from model.files import write_json
from model.labels import readable_labels
from model.machine import available_cpus
from model.network import Classifier, assemble, build_backbone
from model.paths import MLPaths
from model.preprocess import Preprocess
from model.pretrained import load_backbone
from model.version import VERSION
from model.weights import serialise
from train.augment import Augment
from train.callbacks import Callback, Callbacks, TrainState
from train.config import Hyperparameters
from train.contract import Job
from train.data import ROLES, DataSet, find_roles, load_data, unused_channels
from train.device import choose_device
from train.evaluation import evaluate, evaluation_report
from train.loader import Images, Loader
from train.loop import Best, Trainer
from train.metrics import MetricLog
from train.progress import Progress
from train.split import ensure_validation

Metrics = dict[str, float | int]


@dataclass
class Run:
    """What the steps of one job share."""

    paths: MLPaths
    hyperparameters: Hyperparameters
    device: torch.device
    preprocess: Preprocess
    data: DataSet
    pretrained: str
    metrics: MetricLog
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    def loader(self, role: str, shuffle: bool) -> Loader:
        """Batches of a split: shuffled and augmented, or plain and in order."""
        chosen = self.hyperparameters
        augment = Augment(self.preprocess) if shuffle else None
        images = Images(self.data.splits[role].samples, self.preprocess, augment, chosen.seed)
        cuda = self.device.type == "cuda"
        workers = chosen.workers
        if workers < 0:
            # On the CPU the network needs every core itself; loading in its own process gains nothing.
            workers = min(8, available_cpus()) if cuda else 0
        return Loader(images, chosen.batch_size, chosen.seed, shuffle, workers, pin=cuda)


def run_job(paths: MLPaths, job: Job) -> None:
    """Train as `job` says, and leave artifact, metrics and reports below `paths.root`.

    Raises UserError for what the user can mend. The checks come in the order of their cost. When a signal
    stops training, the best whole epoch so far is still written as an artifact, marked as not completed.
    """
    chosen = job.hyperparameters
    device = choose_device(chosen.device)
    torch.set_num_threads(available_cpus())
    torch.manual_seed(chosen.seed)
    roles = find_roles(job.channels)
    backbone, features = build_backbone(chosen.architecture)
    source = load_backbone(backbone, chosen.architecture, chosen.pretrained)
    progress = Progress(paths.progress)
    data = ensure_validation(load_data(roles, progress), chosen.validation_fraction, chosen.seed)
    for name in unused_channels(job.channels, roles):
        note = f"channel {name} is not used as data; the names that are: {', '.join(ROLES)}"
        data = replace(data, notes=(*data.notes, note))
    _tell(paths, data)
    run = Run(paths, chosen, device, Preprocess.for_size(chosen.image_size), data, source, MetricLog(paths.metrics))
    _describe(run)
    _train(run, _network(run, backbone, features), progress)


def _network(run: Run, backbone: nn.Module, features: int) -> Classifier:
    shape = run.preprocess
    network = assemble(backbone, features, run.hyperparameters.head, len(run.data.classes), shape.mean, shape.std)
    if run.hyperparameters.freeze == "backbone":
        network.freeze_backbone()
    return network


class _ReportProgress(Callback):
    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def on_batch_end(self, state: TrainState) -> None:
        self._progress.update("training", state.step, state.epochs * state.steps_per_epoch, "batches")


def _train(run: Run, network: Classifier, progress: Progress) -> None:
    trainer = Trainer(
        network,
        run.loader("train", shuffle=True),
        run.loader("valid", shuffle=False),
        run.hyperparameters,
        run.device,
        Callbacks([_ReportProgress(progress)]),
        run.metrics.write,
    )
    try:
        best = trainer.fit()
        network.load_state_dict(best.weights)
        test = _test(run, network) if "test" in run.data.splits else {}
        _save(run, network, best, test, completed=True)
    except BaseException as stop:
        # Signals are no Exceptions; an error's half-trained model is kept back.
        if not isinstance(stop, Exception) and trainer.best is not None:
            network.load_state_dict(trainer.best.weights)
            _save(run, network, trainer.best, {}, completed=False)
        raise
    print(f"artifact written to {run.paths.model}", flush=True)


def _test(run: Run, network: Classifier) -> Metrics:
    split = run.data.splits["test"]
    evaluation = evaluate(network, run.loader("test", shuffle=False), run.device)
    names = [split.name(sample) for sample in split.samples]
    report = evaluation_report(evaluation, names, run.data.classes, readable_labels(run.data.classes))
    write_json(run.paths.evaluation, report)
    summary = evaluation.summary()
    metrics: Metrics = {
        "test_loss": summary["loss"],
        "test_accuracy": summary["accuracy"],
        "test_top5_accuracy": summary["top5_accuracy"],
        "test_macro_f1": summary["macro_f1"],
    }
    run.metrics.write({**metrics, "average test loss": summary["loss"]})
    return metrics


def _save(run: Run, network: Classifier, best: Best, test: Mapping[str, float | int], completed: bool) -> None:
    metrics = {name: value for name, value in {**best.metrics, **test}.items() if math.isfinite(value)}
    artifact.save(
        run.paths.model,
        architecture=run.hyperparameters.architecture,
        head=run.hyperparameters.head,
        classes=run.data.classes,
        preprocess=run.preprocess,
        weights=serialise(network),
        provenance=_provenance(run, best, completed),
        metrics=metrics,
    )


def _provenance(run: Run, best: Best, completed: bool) -> dict[str, Any]:
    finished = datetime.now(UTC)
    return {
        "kennel": VERSION,
        "completed": completed,
        "best_epoch": best.epoch,
        "hyperparameters": asdict(run.hyperparameters),
        "pretrained": run.pretrained,
        "images": {role: len(split.samples) for role, split in run.data.splits.items()},
        "skipped_files": len(run.data.skipped),
        "started_at": run.started.isoformat(timespec="seconds"),
        "finished_at": finished.isoformat(timespec="seconds"),
        "seconds": round((finished - run.started).total_seconds(), 3),
        "device": torch.cuda.get_device_name(0) if run.device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "python": platform.python_version(),
        "training_job_name": os.environ.get("TRAINING_JOB_NAME"),
    }


def _tell(paths: MLPaths, data: DataSet) -> None:
    write_json(paths.data_report, data.report())
    counts = ", ".join(f"{len(split.samples)} {role}" for role, split in data.splits.items())
    print(f"data: {len(data.classes)} classes; images: {counts}", flush=True)
    for note in data.notes:
        print(f"data: {note}", flush=True)
    for each in data.skipped[:10]:
        print(f"data: skipped {each.file}: {each.reason}", flush=True)
    if len(data.skipped) > 10:
        print(f"data: ... and {len(data.skipped) - 10} more, all named in {paths.data_report}", flush=True)


def _describe(run: Run) -> None:
    chosen = run.hyperparameters
    print(
        f"training {chosen.architecture} ({run.pretrained} weights, {chosen.head} head, "
        f"freeze={chosen.freeze}) for {chosen.epochs} epochs on {run.device.type}, "
        f"{torch.get_num_threads()} threads",
        flush=True,
    )
