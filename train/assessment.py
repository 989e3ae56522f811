"""What a finished training is worth: its temperature from the validation data, then the test."""

import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from contract.files import write_json
from model.labels import readable_labels
from model.metrics import Evaluation, class_figures, confusion_matrix, macro
from model.network import Classifier
from reports.evaluation_page import write_evaluation_page
from train.evaluation.calibration import Calibration
from train.evaluation.document import describe_model, evaluation_report
from train.evaluation.result import evaluate
from train.run import Run

Metrics = dict[str, float | int]


def assess(
    run: Run, network: Classifier, history: Sequence[Mapping[str, Any]], provenance: Mapping[str, Any], artifact_id: str
) -> tuple[Calibration, Metrics]:
    """Fit the temperature on the validation data, and with it evaluate the test data.

    Writes evaluation.json and its page, on the validation data when there is no test data. Returns the calibration
    and the test's metrics (none without test data).
    """
    valid = evaluate(network, run.loader("valid"), run.device)
    run.callbacks.evaluation("valid", valid)
    calibration = Calibration.fit(valid)
    role = "test" if "test" in run.data.splits else "valid"
    result = evaluate(network, run.loader("test"), run.device) if role == "test" else valid
    result = replace(result, temperature=calibration.temperature)
    split = run.data.splits[role]
    names = [split.name(sample) for sample in split.samples]
    labels = readable_labels(run.data.classes)
    report = {
        **evaluation_report(result, names, run.data.classes, labels, role, history),
        "artifact": artifact_id,
        "model": describe_model(run.hyperparameters.architecture, run.preprocess.image_size, provenance),
        "data": split.where,
        "skipped": [each for each in run.data.report()["skipped"] if each["file"].startswith(f"{role}/")],
        "notes": list(run.data.notes),
    }
    write_json(run.paths.evaluation, report)
    try:
        write_evaluation_page(run.paths.evaluation_page, report, split.reader())
    except Exception:  # noqa: BLE001 - hours of training may not end over a page
        print("WARNING: the evaluation's page can't be made; training goes on without it", file=sys.stderr)
        traceback.print_exc()
    if role != "test":
        return calibration, {}
    run.callbacks.evaluation("test", result)
    metrics = metrics_of_test(result)
    run.metrics.write({**metrics, "average test loss": result.loss})
    return calibration, metrics


def metrics_of_test(result: Evaluation) -> Metrics:
    """What the metric line of the test tells. result: of the test data, with the calibration's temperature."""
    classes = result.logits.shape[1]
    means = macro(class_figures(confusion_matrix(result.labels, result.predictions, classes)))
    return {
        "test_loss": result.loss,
        "test_accuracy": result.accuracy,
        "test_top5_accuracy": result.top_accuracy(5),
        "test_macro_f1": means.f1,
    }
