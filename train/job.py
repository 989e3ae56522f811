"""One training job from its configuration to its artifact."""

import time
from collections import Counter
from dataclasses import replace

import torch
from torch import nn

from model.errors import StoppedError
from model.files import write_json
from model.machine import available_cpus
from model.network import Classifier, assemble, build_backbone
from model.paths import MLPaths
from model.preprocess import Preprocess
from model.pretrained import load_backbone
from train.batches import Batches
from train.cache import keep_images
from train.callbacks import Callbacks
from train.companion.process import CompanionProcess
from train.config import Hyperparameters
from train.contract import Job
from train.data.dataset import DataSet
from train.data.load import load_data
from train.data.roles import ROLES, find_roles, unused_channels
from train.device import choose_device
from train.features import FeatureBatches, compute_features
from train.finish import finish, save_stopped
from train.loop import Trainer
from train.metrics import MetricLog, not_printed
from train.objective import Objective
from train.observers import observers_of
from train.progress import Progress
from train.run import Run
from train.split import ensure_validation


def run_job(paths: MLPaths, job: Job, companion: CompanionProcess | None = None) -> None:
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
    if advice := uneven(data, chosen):
        data = replace(data, notes=(*data.notes, advice))
    _tell(paths, data)
    if job.tuner_objective is not None and (told := not_printed(job.tuner_objective, "test" in data.splits)):
        print(f"tuning: {told}", flush=True)
    shape = Preprocess.for_size(chosen.test_image_size or chosen.image_size)
    run = Run(paths, chosen, device, shape, data, source, MetricLog(paths.metrics), progress)
    run.tuner_objective = job.tuner_objective
    _describe(run)
    keep_images(run)
    _train(run, _network(run, backbone, features), companion)


def _network(run: Run, backbone: nn.Module, features: int) -> Classifier:
    shape = run.preprocess
    network = assemble(backbone, features, run.hyperparameters.head, len(run.data.classes), shape.mean, shape.std)
    if run.hyperparameters.freeze == "backbone":
        network.freeze_backbone()
    return network


def _train(run: Run, network: Classifier, companion: CompanionProcess | None) -> None:
    trained, train, valid = _what_to_train(run, network)
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
    try:
        best = trainer.fit()
        trained.load_state_dict(best.weights)
        finish(run, network, best, trainer.history)
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


def _what_to_train(run: Run, network: Classifier) -> tuple[nn.Module, Batches, Batches]:
    """The network on images; or its head on features, which a frozen backbone gives for each image but once."""
    views = run.hyperparameters.feature_views
    if run.hyperparameters.freeze != "backbone" or not views:
        return network, run.loader("train", augmented=True, shuffle=True), run.loader("valid")
    start = time.monotonic()
    # No more views than epochs: nobody would see them.
    train = compute_features(run, network, "train", min(views, run.hyperparameters.epochs))
    valid = compute_features(run, network, "valid", 0)
    print(f"features: {tuple(train.values.shape)} for training, in {time.monotonic() - start:.1f} s", flush=True)
    return (
        network.head,
        FeatureBatches(train, run.order("train", shuffle=True), run.device),
        FeatureBatches(valid, run.order("valid", shuffle=False), run.device),
    )


def uneven(data: DataSet, chosen: Hyperparameters) -> str | None:
    """Advice, when the largest class has at least three times the training images of the smallest."""
    count = Counter(sample.label for sample in data.splits["train"].samples)
    (most, large), *_, (least, small) = count.most_common()
    if chosen.class_balance != "none" or large < 3 * small:
        return None
    return (
        f"the classes are uneven: {large} training images of {data.classes[most]}, {small} of {data.classes[least]}; "
        "class_balance=sampling trains on all of them equally often"
    )


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
