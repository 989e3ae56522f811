"""`python -m train.evaluate --artifact DIR --data DIR --json FILE`: how good an artifact is, as JSON and as a page."""

import argparse
import sys
from pathlib import Path

from contract.command import page_beside, run_command
from model.artifact import Artifact
from reports.evaluation_page import write_evaluation_page
from train.evaluation.command import Measurement, add_options, artifact_folder
from train.evaluation.document import evaluation_report, model_facts, read_history


def main() -> None:
    """Evaluate, write the report and its page. Raises UserError for what the user can mend."""
    parser = argparse.ArgumentParser(prog="python -m train.evaluate", description=__doc__)
    add_options(parser)
    arguments = parser.parse_args()
    page_beside(arguments.json)
    with artifact_folder(arguments.artifact) as folder:
        _evaluate(arguments, folder)


def _evaluate(arguments: argparse.Namespace, folder: Path) -> None:
    artifact = Artifact.load(folder)
    history = read_history(artifact.path)
    measurement = Measurement.prepare(arguments, artifact)
    result = measurement.of(artifact)
    report = {
        **evaluation_report(
            result, measurement.files, artifact.classes, artifact.labels, measurement.split.name, history
        ),
        "artifact": artifact.id,
        "model": model_facts(artifact),
    }
    measurement.write(report, arguments.json, write_evaluation_page)
    print(
        f"{result.n} images: accuracy {result.accuracy:.4f}, top-5 {result.top_accuracy(5):.4f}, "
        f"macro F1 {result.macro_f1():.4f}, loss {result.loss:.4f}"
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
