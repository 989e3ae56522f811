"""One training job from its configuration to its artifact."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from contract.errors import DataError
from contract.files import write_json
from contract.hyperparameters import Hyperparameters
from contract.job import Job
from contract.metrics import MetricLog, not_printed
from contract.paths import MLPaths
from contract.progress import Progress
from model.machine import available_cpus
from model.threads import use_threads
from monitor.client import MonitorProcess
from train.callbacks import callback_classes
from train.data.dataset import DataSet, describe_sizes
from train.data.layouts import DataLocation
from train.data.load import load_data
from train.data.splits import SPLIT_NAMES, ensure_validation, resolve_splits, unused_channels
from train.device import choose_device
from train.distributed import join_hosts
from train.resources import Backbones, TrainingResources
from train.training import train, train_as_follower
from tuning.objective import LATENCY, parse_objectives


def run_job(paths: MLPaths, job: Job, monitor: MonitorProcess | None = None) -> None:
    """Train a job, after a search if it asks for one; write artifact, metrics and reports below `paths.root`.

    Raises UserError for what the user can correct. Cheap checks come first. When a signal stops training, the best
    whole epoch so far is still written as an artifact, marked as not completed.
    """
    hyperparameters = job.hyperparameters
    callback_classes(hyperparameters)  # a wrong name is reported before any data is read
    device = choose_device(hyperparameters.device)
    use_threads(available_cpus())
    splits = resolve_splits(job.channels)
    backbones = Backbones(several=hyperparameters.tune_trials > 0)
    progress = Progress(paths.progress)
    if hyperparameters.tune_trials:
        from train.search.in_job import join_search, load_weights, search_and_train

        load_weights(backbones, hyperparameters)
        data = _load(paths, job, splits, progress)
        if not job.is_rank0:
            join_search(paths, job, data, device)
            return
        search_and_train(paths, job, data, device, backbones, progress, monitor)
        return
    backbones.load(hyperparameters)
    data = _load(paths, job, splits, progress)
    check_enough_images(data, len(job.hosts))
    with join_hosts(job, device) as group:
        resources = TrainingResources(paths, data, device, backbones, progress)
        log = MetricLog(paths.metrics if group.is_rank0 else Path(os.devnull))
        run = resources.run(hyperparameters, log, tuner_objective=job.tuner_objective, group=group)
        if group.is_rank0:
            train(resources, run, monitor, resumable=True)
        else:
            train_as_follower(resources, run)


def _load(paths: MLPaths, job: Job, splits: Mapping[str, DataLocation], progress: Progress) -> DataSet:
    hyperparameters = job.hyperparameters
    data = ensure_validation(load_data(splits, progress), hyperparameters.validation_fraction, hyperparameters.seed)
    for name in unused_channels(job.channels, splits):
        note = f"channel {name} is not used as data; the names that are: {', '.join(SPLIT_NAMES)}"
        data = replace(data, notes=(*data.notes, note))
    if advice := imbalance_note(data, hyperparameters):
        data = replace(data, notes=(*data.notes, advice))
    _report_data(paths, data)
    if job.tuner_objective is not None:
        objectives = parse_objectives(hyperparameters.tune_objective)
        with_latency = any(objective.metric == LATENCY for objective in objectives)
        if hint := not_printed(job.tuner_objective, "test" in data.splits, with_latency):
            print(f"tuning: {hint}", flush=True)
    return data


def check_enough_images(data: DataSet, hosts: int) -> None:
    """Raises DataError when there are too few training images for so many hosts."""
    count = len(data.splits["train"].samples)
    if hosts > 1 and count < 2 * hosts:
        raise DataError(
            f"{count} training images are too few for {hosts} hosts, each of which needs 2 of every batch; "
            "set the instance count to 1"
        )


def imbalance_note(data: DataSet, hyperparameters: Hyperparameters) -> str | None:
    """Advice, when the largest class has at least three times the training images of the smallest."""
    count = Counter(sample.label for sample in data.splits["train"].samples)
    (most, large), *_, (least, small) = count.most_common()
    if hyperparameters.class_balance != "none" or large < 3 * small:
        return None
    return (
        f"the classes are uneven: {large} training images of {data.classes[most]}, {small} of {data.classes[least]}; "
        "class_balance=sampling trains on all of them equally often"
    )


def _report_data(paths: MLPaths, data: DataSet) -> None:
    write_json(paths.data_report, data.report())
    sizes = describe_sizes(len(data.classes), {name: len(split.samples) for name, split in data.splits.items()})
    print(f"data: {sizes}", flush=True)
    for note in data.notes:
        print(f"data: {note}", flush=True)
    for skipped in data.skipped[:10]:
        print(f"data: skipped {skipped.file}: {skipped.reason}", flush=True)
    if len(data.skipped) > 10:
        print(f"data: ... and {len(data.skipped) - 10} more, all named in {paths.data_report}", flush=True)
