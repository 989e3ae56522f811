"""What follows the last epoch: the test, and the artifact."""

import hashlib
import math
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import torch

from contract.files import encode_json
from contract.metrics import format_line
from contract.version import VERSION
from model import artifact
from model.network import Classifier
from model.weights import serialise
from reports.model_card import write_card
from train.assessment import assess
from train.loop import Best, Epoch
from train.run import Run
from tuning.objective import LATENCY, parse_objectives


def finish(
    run: Run,
    network: Classifier,
    best: Best,
    history: Sequence[Epoch],
    latency: Callable[[Run, Classifier], float],
) -> None:
    """Calibrate and test the network, which holds the best epoch's weights, and write artifact and reports.

    latency: measures it, where `tune_objective` names it.
    """
    artifact_id = hashlib.sha256(serialise(network)).hexdigest()[:12]
    calibration, test = assess(run, network, history, _provenance(run, best, completed=True), artifact_id)
    if any(each.metric == LATENCY for each in parse_objectives(run.hyperparameters.tune_objective)):
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
        _tell_tuner(run, best)


def save_stopped(run: Run, network: Classifier, best: Best, history: Sequence[Epoch]) -> None:
    """Write the artifact of a job that a signal stopped. It has seconds: nothing more is computed."""
    _save(run, network, best, history, {}, completed=False)
    _tell_tuner(run, best)


def _tell_tuner(run: Run, best: Best) -> None:
    """SageMaker's tuner takes a job's last value for its result: it has to be the artifact's, not the last epoch's."""
    if run.tuner_objective is not None:
        print(format_line(best.metrics), flush=True)


def _save(
    run: Run,
    network: Classifier,
    best: Best,
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
    run.saved = completed
    _write_card(run)


def _write_card(run: Run) -> None:
    try:
        write_card(run.paths.model)
    except Exception as error:  # noqa: BLE001 - the artifact is whole, and the card can be made of it at any time
        print(f"WARNING: the model card can't be written: {error}", file=sys.stderr, flush=True)


def _provenance(run: Run, best: Best, completed: bool) -> dict[str, Any]:
    finished = datetime.now(UTC)
    return {
        "kennel": VERSION,
        "completed": completed,
        "best_epoch": best.epoch,
        "hyperparameters": asdict(run.hyperparameters),
        "pretrained": run.pretrained,
        "images": {role: len(split.samples) for role, split in run.data.splits.items()},
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
