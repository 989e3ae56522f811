"""What follows the last epoch: the temperature from the validation data, the test, and the artifact."""

import hashlib
import math
import os
import platform
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import torch

from contract.files import encode_json, write_json
from contract.metrics import format_line
from contract.version import VERSION
from model import artifact
from model.labels import readable_labels
from model.metrics import Evaluation
from model.network import Classifier
from model.weights import serialise
from monitor.callbacks import Callbacks
from reports.evaluation_page import write_evaluation_page
from reports.model_card import write_card
from train.context import TrainingRun
from train.evaluation.calibration import Calibration
from train.evaluation.document import describe_model, evaluation_report
from train.evaluation.result import evaluate
from train.trainer import BestEpoch, Epoch
from tuning.objective import LATENCY, parse_objectives


def finish(
    run: TrainingRun,
    network: Classifier,
    best: BestEpoch,
    history: Sequence[Epoch],
    callbacks: Callbacks,
    latency: Callable[[TrainingRun, Classifier], float],
) -> None:
    """Calibrate and test the network, which holds the best epoch's weights, and write artifact and reports.

    latency: measures it, where `tune_objective` names it.
    """
    artifact_id = hashlib.sha256(serialise(network)).hexdigest()[:12]
    provenance = _provenance(run, best, completed=True)
    calibration, test = assess(run, network, history, provenance, artifact_id, callbacks)
    if any(objective.metric == LATENCY for objective in parse_objectives(run.hyperparameters.tune_objective)):
        milliseconds = latency(run, network)
        run.metrics.write({LATENCY: milliseconds})
        test = {**test, LATENCY: milliseconds}
    _save(run, network, best, history, test, completed=True, calibration=calibration.to_dict())
    try:
        if run.hyperparameters.export != "none":
            from train.export.step import add_forms

            add_forms(run, network)
            _write_card(run)
    finally:
        _print_objective(run, best)


def save_stopped(run: TrainingRun, network: Classifier, best: BestEpoch, history: Sequence[Epoch]) -> None:
    """Write the artifact of a job that a signal stopped. There are only seconds left, so nothing more is computed."""
    _save(run, network, best, history, {}, completed=False)
    _print_objective(run, best)


def _print_objective(run: TrainingRun, best: BestEpoch) -> None:
    """Print the artifact's metrics last: SageMaker's tuner takes the last printed value as the job's result."""
    if run.tuner_objective is not None:
        print(format_line(best.metrics), flush=True)


def _save(
    run: TrainingRun,
    network: Classifier,
    best: BestEpoch,
    history: Sequence[Epoch],
    test: Mapping[str, float | int],
    completed: bool,
    calibration: Mapping[str, Any] | None = None,
) -> None:
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
        files={"history.json": encode_json({"epochs": list(history)})},
        calibration=calibration,
    )
    _write_card(run)


def _write_card(run: TrainingRun) -> None:
    try:
        write_card(run.paths.model)
    except Exception as error:  # noqa: BLE001 - the artifact is whole, and the card can be made of it at any time
        print(f"WARNING: the model card can't be written: {error}", file=sys.stderr, flush=True)


def _provenance(run: TrainingRun, best: BestEpoch, completed: bool) -> dict[str, Any]:
    finished = datetime.now(UTC)
    return {
        "kennel": VERSION,
        "completed": completed,
        "best_epoch": best.epoch,
        "hyperparameters": asdict(run.hyperparameters),
        "pretrained": run.pretrained,
        "images": {name: len(split.samples) for name, split in run.data.splits.items()},
        "images_by_class": run.data.report()["images_by_class"],
        "skipped_files": len(run.data.skipped),
        "data_notes": list(run.data.notes),
        "started_at": run.started.isoformat(timespec="seconds"),
        "finished_at": finished.isoformat(timespec="seconds"),
        "seconds": round((finished - run.started).total_seconds(), 3),
        "device": torch.cuda.get_device_name(0) if run.device.type == "cuda" else "cpu",
        **({"hosts": run.group.size} if run.group.size > 1 else {}),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "training_job_name": os.environ.get("TRAINING_JOB_NAME"),
    }


Metrics = dict[str, float | int]


def assess(
    run: TrainingRun,
    network: Classifier,
    history: Sequence[Mapping[str, Any]],
    provenance: Mapping[str, Any],
    artifact_id: str,
    callbacks: Callbacks,
) -> tuple[Calibration, Metrics]:
    """Fit the temperature on the validation data, and with it evaluate the test data.

    Writes evaluation.json and its page, on the validation data when there is no test data. Returns the calibration
    and the test's metrics (none without test data).
    """
    valid = evaluate(network, run.loader("valid"), run.device)
    callbacks.evaluation("valid", valid)
    calibration = Calibration.fit(valid)
    split = run.data.splits.get("test", run.data.splits["valid"])
    result = evaluate(network, run.loader("test"), run.device) if split.name == "test" else valid
    result = replace(result, temperature=calibration.temperature)
    names = [sample.name for sample in split.samples]
    labels = readable_labels(run.data.classes)
    report = {
        **evaluation_report(result, names, run.data.classes, labels, split.name, history),
        "artifact": artifact_id,
        "model": describe_model(run.hyperparameters.architecture, run.preprocess.image_size, provenance),
        **run.data.facts(split.name),
    }
    write_json(run.paths.evaluation, report)
    try:
        write_evaluation_page(run.paths.evaluation_page, report, split.reader())
    except Exception:  # noqa: BLE001 - hours of training may not end over a page
        print("WARNING: the evaluation's page can't be made; training goes on without it", file=sys.stderr)
        traceback.print_exc()
    if split.name != "test":
        return calibration, {}
    callbacks.evaluation("test", result)
    metrics = metrics_of_test(result)
    run.metrics.write({**metrics, "average test loss": result.loss})
    return calibration, metrics


def metrics_of_test(result: Evaluation) -> Metrics:
    """The metrics of the test. result: of the test data, at the calibration's temperature."""
    return {
        "test_loss": result.loss,
        "test_accuracy": result.accuracy,
        "test_top5_accuracy": result.top_accuracy(5),
        "test_macro_f1": result.macro_f1(),
    }
